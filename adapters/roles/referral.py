"""The referral itself: ServiceRequest, the Task that follows it, Conditions, and the CarePlan of the advice given."""

from adapters.contract import Mapped, Resource
from adapters.kit import codes
from adapters.kit.resource import Made, id_of
from adapters.roles.fields import Field, Fields, source
from adapters.roles.people import Side, local_system, name_of

DIRECTION = "https://tiercare.example/fhir/CodeSystem/referral-direction"
_DIRECTIONS = {"up": "上转", "down": "下转"}
_REFERRAL = {"system": codes.SNOMED, "code": "3457005", "display": "Patient referral"}
_TASK_CODE = {"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}

# ServiceRequest.status -> Task.status and CarePlan.status; of several flags the last in this order wins.
_STATUS = {
    "active": ("requested", "active"),
    "revoked": ("cancelled", "revoked"),
    "entered-in-error": ("entered-in-error", "entered-in-error"),
}


class Referral:
    """Makes the resources of one referral whose patient, sides and key are known."""

    def __init__(
        self, fields: Fields, mapped: Mapped, key: str, direction: str, patient: Made, sender: Side, receiver: Side
    ) -> None:
        self._fields, self._mapped, self._key, self._direction = fields, mapped, key, direction
        self._patient, self._from, self._to = patient, sender, receiver
        self._subject = patient.reference(name_of(patient))
        self._authored, self._authored_field = fields.date_time("authored")
        self._status, self._flags = self._read_status()

    def make(self, answers: str) -> None:
        """`answers` is the key of the up-referral that this one answers, '' for none."""
        reasons = self._conditions("condition.reason")
        history = self._conditions("condition.history")
        request = self._request(answers, reasons, history)
        self._task(request)
        self._care_plan(request, reasons, answers)
        sent, field = self._fields.date_time("sent")
        self._mapped.when = sent if field else self._authored

    # ------------------------------------------------------------------------------------------- ServiceRequest
    def _request(self, answers: str, reasons: list[Made], history: list[Made]) -> Made:
        """https://hl7.org/fhir/R4/servicerequest.html"""
        made = Made(self._mapped, "ServiceRequest", self._key, "owned")
        self._security(made)
        self._identify(made, answers)
        flags = self._flags[0] if self._flags else None
        made.put("status", self._status, _column(flags), _line(flags))
        made.put("intent", "order")
        self._categories(made)
        made.put("code", {"coding": [_REFERRAL], "text": "转诊"})
        made.put("subject", self._subject, *source(self._fields.one("patient.name")))
        self._visit(made)
        occurrence, field = self._fields.date_time("occurrence")
        made.put("occurrenceDateTime", occurrence, *source(field))
        made.put("authoredOn", self._authored, *source(self._authored_field))
        requester = self._from.doctor or self._from.institution
        if requester:
            made.put("requester", requester.reference(name_of(requester)), self._from.field)
        for performer in (self._to.institution, self._to.department, self._to.doctor):
            if performer:
                made.add("performer", performer.reference(name_of(performer)), self._to.field)
        for reason in self._fields.all("reason"):
            made.add("reasonCode", {"text": reason.text}, *source(reason))
        for condition in reasons:
            made.add("reasonReference", condition.reference())
        for condition in history:
            made.add("supportingInfo", condition.reference("既往史"))
        self._notes(made)
        return made

    def _identify(self, made: Made, answers: str) -> None:
        number, answered = self._fields.one("number"), self._fields.one("answers")
        system = local_system(self._mapped.source, "referral" if not answers else "return-report")
        if number:
            made.add("identifier", {"system": system, "value": number.text}, *source(number))
        if answered:
            identifier = {"system": local_system(self._mapped.source, "referral"), "value": answered.text}
            # A literal reference, not one inside the bundle: the up-referral came, or will come, in another message.
            based_on = {"reference": f"ServiceRequest/{id_of(answers)}", "identifier": identifier}
            made.add("basedOn", based_on, *source(answered))
            made.put("requisition", identifier, *source(answered))

    def _categories(self, made: Made) -> None:
        made.add("category", {"coding": [_REFERRAL], "text": "双向转诊"})
        if self._direction:
            coding = {"system": DIRECTION, "code": self._direction}
            made.add("category", {"coding": [coding], "text": _DIRECTIONS[self._direction]})
        texts = self._fields.all("category.text")
        for category in self._fields.all("category"):
            text = texts[0].text if texts else f"{category.title} {category.text}"
            system = codes.system_of(f"{self._fields.layout}.{category.column}")
            made.add("category", codes.concept(category.text, system, text=text), *source(category))
        if texts and not self._fields.all("category"):
            made.add("category", {"text": texts[0].text}, *source(texts[0]))

    def _security(self, made: Made) -> None:
        level = self._fields.one("security")
        if level:
            concept = codes.concept(level.text, codes.system_of(f"{self._fields.layout}.{level.column}"))
            made.put("meta", concept and {"security": concept["coding"]}, *source(level))

    def _visit(self, made: Made) -> None:
        """The visit by its number: the visit itself comes by other messages (ADT). A second number becomes a note."""
        for visit in self._fields.all("visit"):
            if "encounter" in made.resource:
                made.add("note", {"text": visit.sentence}, *source(visit))
                continue
            identifier = {"system": local_system(self._mapped.source, visit.column), "value": visit.text}
            encounter = {"type": "Encounter", "identifier": identifier, "display": f"{visit.title} {visit.text}"}
            made.put("encounter", encounter, *source(visit))

    def _notes(self, made: Made) -> None:
        for note in self._fields.all("note"):
            made.add("note", {"text": note.sentence}, *source(note))
        for note in self._fields.all("note.date"):
            if self._fields.checked(note):
                made.add("note", {"text": note.sentence}, *source(note))
        for note in self._fields.all("note.code"):
            row = self._fields.word(note)
            text = f"{note.sentence} {row[0]}" if row else note.sentence
            made.add("note", {"text": text}, *source(note))

    def _read_status(self) -> tuple[str, list[Field]]:
        """The gravest status of the flags, and the flags that say it."""
        gravest, saying = "active", []
        order = list(_STATUS)
        for flag in self._fields.all("status"):
            row = self._fields.word(flag)
            status = row[0] if row else "active"
            if order.index(status) > order.index(gravest):
                gravest, saying = status, [flag]
            elif status == gravest:
                saying.append(flag)
        return gravest, saying

    # ------------------------------------------------------------------------------------------------ Condition
    def _conditions(self, role: str) -> list[Made]:
        """Texts about the patient's illness, as Conditions without a code: the source codes none of them."""
        found = []
        for field in self._fields.all(role):
            made = Made(self._mapped, "Condition", f"{self._key}|{field.column}", "owned")
            status = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
            if self._status == "entered-in-error":
                made.put("verificationStatus", {"coding": [{"system": status, "code": "entered-in-error"}]})
            made.add("category", {"text": field.title})
            made.put("code", {"text": field.text}, *source(field))
            made.put("subject", self._subject)
            made.put("recordedDate", self._authored, *source(self._authored_field))
            if self._from.doctor:
                made.put("recorder", self._from.doctor.reference(name_of(self._from.doctor)))
            found.append(made)
        return found

    # ----------------------------------------------------------------------------------------------------- Task
    def _task(self, request: Made) -> None:
        """What the receiving institution has to do about it. https://hl7.org/fhir/R4/task.html"""
        made = Made(self._mapped, "Task", f"{self._key}|task", "owned")
        refused, (received, received_field) = self._fields.one("refused"), self._fields.date_time("received")
        status = _STATUS[self._status][0]
        if status == "requested":
            status = "rejected" if refused else "accepted" if received else status
        saying = self._flags[0] if self._flags else None
        made.put("status", status, _column(refused or received_field or saying), _line(refused, received_field, saying))
        if refused:
            made.put("statusReason", {"text": refused.text}, *source(refused))
        self._business_status(made)
        made.put("intent", "order")
        made.put("code", {"coding": [_TASK_CODE], "text": "接收转诊"})
        made.put("focus", request.reference())
        made.put("for", self._subject)
        if received:
            made.put("executionPeriod", {"start": received}, *source(received_field))
        made.put("authoredOn", self._authored, *source(self._authored_field))
        if self._from.institution:
            requester = self._from.institution.reference(name_of(self._from.institution))
            made.put("requester", requester, self._from.field)
        if self._to.institution:
            made.put("owner", self._to.institution.reference(name_of(self._to.institution)), self._to.field)

    def _business_status(self, made: Made) -> None:
        """The source's own code and word for the state; unknown codes are kept here."""
        words = self._fields.all("status.text")
        for flag in self._flags:
            row = codes.table(self._fields.package, flag.codes).get(flag.text)
            text = row[1] if row else words[0].text if words else f"{flag.title} {flag.text}"
            system = codes.system_of(f"{self._fields.layout}.{flag.column}")
            made.put("businessStatus", codes.concept(flag.text, system, text=text), *source(flag))
            return

    # ------------------------------------------------------------------------------------------------- CarePlan
    def _care_plan(self, request: Made, reasons: list[Made], answers: str) -> None:
        """Next treatment and rehabilitation, as the sender advises. https://hl7.org/fhir/R4/careplan.html"""
        advice = self._fields.all("plan")
        if not advice:
            return
        made = Made(self._mapped, "CarePlan", f"{self._key}|plan", "owned")
        made.put("status", _STATUS[self._status][1])
        made.put("intent", "plan")
        made.add("category", {"text": "下一步治疗方案及康复建议"})
        made.put("title", "下一步治疗方案及康复建议")
        made.put("subject", self._subject)
        made.put("created", self._authored, *source(self._authored_field))
        author = self._from.doctor or self._from.institution
        if author:
            made.put("author", author.reference(name_of(author)), self._from.field)
        for condition in reasons:
            made.add("addresses", condition.reference())
        made.add("supportingInfo", request.reference())
        if answers:
            made.add("supportingInfo", {"reference": f"ServiceRequest/{id_of(answers)}"})
        for field in advice:
            detail: Resource = {"status": "not-started", "description": field.text}
            if len(advice) > 1:
                detail["code"] = {"text": field.title}
            made.add("activity", {"detail": detail}, *source(field))


def _column(field: Field | None) -> str:
    return field.column if field else ""


def _line(*fields: Field | None) -> int | None:
    return next((field.line for field in fields if field), None)
