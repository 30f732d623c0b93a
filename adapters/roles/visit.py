"""A stay or a visit -> Encounter with diagnoses, operations, coverage, and the referral that its discharge tells of."""

from adapters.contract import Resource
from adapters.kit import codes
from adapters.kit.resource import Made
from adapters.roles.case import Case, coded
from adapters.roles.diagnoses import diagnoses, on_encounter, procedures
from adapters.roles.fields import Field, Fields, source
from adapters.roles.observing import observations
from adapters.roles.people import name_of

_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_REFERRAL = {"system": codes.SNOMED, "code": "3457005", "display": "Patient referral"}
_FULFILL = {"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}
_TYPES = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"


def make_visit(case: Case, kind: str = "IMP", groups: tuple[str, ...] = ("diagnoses", "procedures")) -> Made:
    """`kind` is the v3-ActCode when the record does not say it; `groups` name the repeating groups that belong here."""
    fields = case.fields
    encounter = case.make("Encounter", "encounter")
    case.number(encounter, "number", "visit")
    case.number(encounter, "visit.number", "visit")
    start, start_field = fields.date_time("visit.start")
    end, end_field = fields.date_time("visit.end")
    told = fields.one("visit.status")
    encounter.put("status", _status(fields, told, start, end), *source(told))
    _class(case, encounter, kind)
    encounter.put("subject", case.subject)
    _participants(case, encounter)
    period = {key: value for key, value in (("start", start or case.at), ("end", end)) if value}
    said = [field for field in (start_field or case.at_field, end_field) if field]
    encounter.put("period", period, ", ".join(field.column for field in said), said[0].line if said else None)
    _length(fields, encounter)
    for reason in fields.all("visit.reason"):
        encounter.add("reasonCode", {"text": reason.text}, *source(reason))
    target = _hospitalization(case, encounter)
    _places(case, encounter)
    rows = [fields, *fields.children(*groups)]
    found = []
    for index, row in enumerate(rows):
        prefix = "" if index == 0 else "row|"
        found += diagnoses(case, row, prefix, encounter)
        procedures(case, row, prefix, encounter)
    on_encounter(encounter, found)
    observations(case, end or start or case.at, fields, "", encounter)
    coverage(case)
    if target:
        _referral(case, encounter, target, [made for made, _ in found], end or case.at)
    return encounter


def _status(fields: Fields, told: Field | None, start: str, end: str) -> str:
    row = fields.word(told) if told else None
    if row:
        return row[1]
    return "finished" if end else "in-progress" if start else "unknown"


def _class(case: Case, encounter: Made, kind: str) -> None:
    field = case.fields.one("visit.class")
    row = case.fields.word(field) if field else None
    encounter.put("class", {"system": _ACT, "code": row[1] if row else kind}, *source(field))
    if field and (row is None or case.fields.shown(field)):
        encounter.add("type", coded(case.fields, field), *source(field))
    for field in case.fields.all("visit.type"):
        encounter.add("type", coded(case.fields, field), *source(field))


def _participants(case: Case, encounter: Made) -> None:
    for role, code in (("org", "ATND"), ("nurse", "PPRF"), ("referrer", "REF")):
        made = case.org.doctor if role == "org" else case.people.doctor(role)
        if made:
            type = {"coding": [{"system": _TYPES, "code": code}]}
            encounter.add("participant", {"type": [type], "individual": made.reference(name_of(made))})
    provider = case.org.department or case.org.institution
    if provider:
        encounter.put("serviceProvider", provider.reference(name_of(provider)), case.org.field)


def _length(fields: Fields, encounter: Made) -> None:
    days = fields.one("visit.days")
    if days is None:
        return
    if days.text.isdigit():
        quantity = {"value": int(days.text), "unit": "天", "system": codes.UCUM, "code": "d"}
        encounter.put("length", quantity, *source(days))
    else:
        fields.problem("warning", "value", f"{days.text} is no number of days; left out", days)


def _hospitalization(case: Case, encounter: Made) -> "tuple[Field | None, Made | None] | None":
    """Admission and discharge; what it returns is the referral signal: 离院方式 2 or 3, or a receiving institution."""
    fields, parts, sources = case.fields, {}, []
    said, word = fields.one("visit.disposition"), None
    for role, element in (("visit.admit_source", "admitSource"), ("visit.disposition", "dischargeDisposition")):
        field = fields.one(role)
        if field:
            parts[element] = coded(fields, field)
            sources.append(field)
    word = fields.word(said) if said else None
    destination = case.people.side("to").institution
    if destination:
        parts["destination"] = destination.reference(name_of(destination))
    encounter.put(
        "hospitalization", parts, ", ".join(field.column for field in sources) or (case.fields.columns("to.name"))
    )
    away = word and len(word) > 3 and word[3] == "referral"
    return (said, destination) if away or destination else None


def _places(case: Case, encounter: Made) -> None:
    """Ward, room and bed as they are named; https://hl7.org/fhir/R4/location.html"""
    for role, type in (("visit.ward", "wa"), ("visit.room", "ro"), ("visit.bed", "bd")):
        field = case.fields.one(role)
        if field is None:
            continue
        place = case.make("Location", f"{role}|{field.text}")
        place.put("status", "active")
        place.put("name", field.text, *source(field))
        physical = "http://terminology.hl7.org/CodeSystem/location-physical-type"
        place.put("physicalType", {"coding": [{"system": physical, "code": type}]})
        encounter.add("location", {"location": place.reference(field.text)}, *source(field))


def coverage(case: Case) -> None:
    """https://hl7.org/fhir/R4/coverage.html; the payor is named by the kind of insurance, no source says who it is."""
    kind, number = case.fields.one("coverage.type"), case.fields.one("coverage.number")
    if kind is None and number is None:
        return
    made = case.make("Coverage", "coverage")
    made.put("status", "active")
    text = "医疗保险"
    if kind:
        concept = coded(case.fields, kind)
        text = concept["text"] if concept else text
        made.put("type", concept, *source(kind))
    if number:
        made.put("subscriberId", number.text, *source(number))
    made.put("beneficiary", case.subject)
    made.add("payor", {"display": text})


def _referral(
    case: Case, encounter: Made, target: tuple[Field | None, Made | None], conditions: list[Made], at: str
) -> None:
    """The discharge to another institution, as ServiceRequest and, when the institution is named, its Task."""
    said, receiver = target
    request = case.make("ServiceRequest", "referral")
    request.put("status", "active")
    request.put("intent", "order")
    request.add("category", {"coding": [_REFERRAL], "text": "双向转诊"})
    request.put("code", {"coding": [_REFERRAL], "text": "转诊"})
    request.put("subject", case.subject)
    request.put("encounter", encounter.reference())
    request.put("authoredOn", at)
    request.put("requester", case.author)
    reason = coded(case.fields, said) if said else None
    request.add("reasonCode", reason, *source(said))
    for condition in conditions[:1]:
        request.add("reasonReference", condition.reference())
    if receiver is None:
        text = "the discharge is to another institution, which the record does not name: no Task was made"
        if said:
            case.fields.problem("warning", "incomplete", text, said)
        return
    request.add("performer", receiver.reference(name_of(receiver)))
    task: Resource = {"coding": [_FULFILL], "text": "接收转诊"}
    made = case.make("Task", "referral-task")
    made.put("status", "requested")
    made.put("intent", "order")
    made.put("code", task)
    made.put("focus", request.reference())
    made.put("for", case.subject)
    made.put("authoredOn", at)
    made.put("requester", case.institution)
    made.put("owner", receiver.reference(name_of(receiver)))
