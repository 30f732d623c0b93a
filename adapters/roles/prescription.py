"""处方流转 D001-D007 -> one RequestGroup and Task a prescription number, MedicationRequests, dispensing, the file.

The Task (key: the number) carries the state: every later service writes it anew; the drugs stay what D001 or D003 said.
"""

import base64
import binascii

from adapters.contract import Resource
from adapters.kit import codes
from adapters.kit.resource import Made, reference
from adapters.roles.case import Case, coded
from adapters.roles.diagnoses import diagnoses
from adapters.roles.fields import Fields, source
from adapters.roles.observing import measured
from adapters.roles.people import local_system, name_of

_FULFILL = {"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}
DRUGS = ("rxdrugdetail", "rxDetlList", "rxDrugDetail", "drugs", "DrugList")
DISEASES = ("diseinfo", "rxDiseList", "diseInfo", "Diagnoses")
DISPENSED = ("seltdelts", "seltdetls", "selldetl")

# service -> Task.status when the message names no state of its own, Task.code text
SERVICES = {
    "D001": ("draft", "电子处方上传预核验"),
    "D002": ("draft", "电子处方医保电子签名"),
    "D003": ("requested", "电子处方上传"),
    "D004": ("cancelled", "电子处方撤销"),
    "D005": ("requested", "电子处方信息查询"),
    "D006": ("received", "电子处方审核结果"),
    "D007": ("completed", "电子处方取药结果"),
}


def make_prescription(case: Case, service: str) -> None:
    """Services after D003 name the prescription only: they need no patient; drugs do."""
    fields = case.fields
    if case.patient is None and fields.children(*DRUGS):
        fields.missing("the drugs are for nobody: no number identifies the patient", "patient.card", "patient.local")
        return
    number = fields.all("number")
    conditions = [made for row in (fields, *fields.children(*DISEASES)) for made, _ in diagnoses(case, row)]
    requests = [_request(case, row, index, conditions) for index, row in enumerate(fields.children(*DRUGS))]
    if requests:
        group = case.make("RequestGroup", "group")
        case.number(group, "number", "prescription")
        group.put("status", "draft" if service == "D001" else "active")
        group.put("intent", "order")
        group.put("subject", case.subject)
        group.put("authoredOn", case.at, *source(case.at_field))
        group.put("author", case.author)
        for request in requests:
            group.add("action", {"resource": request.reference()})
    _task(case, service, bool(requests))
    for index, row in enumerate(fields.children(*DISPENSED)):
        _dispense(case, row, index)
    _file(case, number[0].text if number else "")


def _request(case: Case, row: Fields, index: int, conditions: list[Made]) -> Made:
    """One drug; https://hl7.org/fhir/R4/medicationrequest.html"""
    made = case.make("MedicationRequest", f"drug|{index}")
    made.put("status", "active")
    made.put("intent", "order")
    _medicine(made, row)
    made.put("subject", case.subject)
    made.put("authoredOn", case.at, *source(case.at_field))
    made.put("requester", case.author)
    number = case.fields.one("number")
    if number:
        made.put("groupIdentifier", {"system": local_system(case.mapped.source, "prescription"), "value": number.text})
    for condition in conditions:
        made.add("reasonReference", condition.reference())
    dosage: Resource = {}
    told = []
    route, once, often, days = (row.one(f"drug.{part}") for part in ("route", "dose", "frequency", "days"))
    unit = row.one("drug.dose_unit")
    if route:
        dosage["route"] = coded(row, route)
    quantity = measured(row, once, unit.text if unit else "") if once else None
    if quantity:
        dosage["doseAndRate"] = [{"doseQuantity": quantity}]
    elif once:
        told.append(once.sentence)
    if often:
        dosage["timing"] = {"code": coded(row, often) or {"text": often.text}}
    told += [f.sentence for f in row.all("drug.note")]
    if told:
        dosage["text"] = "；".join(told)
    used = [f for f in (route, once, unit, often, *row.all("drug.note")) if f]
    made.add("dosageInstruction", dosage, ", ".join(f.column for f in used), used[0].line if used else None)
    total, total_unit = row.one("drug.total"), row.one("drug.total_unit")
    supply: Resource = {}
    if total:
        supply["quantity"] = measured(row, total, total_unit.text if total_unit else "")
    if days and days.text.isdigit():
        supply["expectedSupplyDuration"] = {"value": int(days.text), "unit": "天", "system": codes.UCUM, "code": "d"}
    valid = case.fields.one("valid.days")
    repeats = case.fields.one("repeats")
    if repeats and repeats.text.isdigit():
        supply["numberOfRepeatsAllowed"] = int(repeats.text)
    made.put(
        "dispenseRequest",
        {k: v for k, v in supply.items() if v is not None},
        ", ".join(f.column for f in (total, total_unit, days, repeats) if f),
    )
    if valid:
        made.add("note", {"text": valid.sentence}, *source(valid))
    return made


def _medicine(made: Made, row: Fields) -> None:
    """The drug by its code of the source, and its name with form, strength, maker."""
    code, name = row.one("drug.code"), row.one("drug.name")
    more = [f.text for role in ("drug.brand", "drug.form", "drug.strength", "drug.maker") for f in row.all(role)]
    text = " ".join([name.text if name else "", *more]).strip()
    system = codes.system_of(f"{row.layout}.{code.column}") if code else ""
    concept = codes.concept(code.text if code else "", system, name.text if name else "", text)
    first = code or name
    columns = [
        f.column
        for role in ("drug.code", "drug.name", "drug.brand", "drug.form", "drug.strength", "drug.maker")
        for f in row.all(role)
    ]
    made.put(
        "medicationCodeableConcept", concept or {"text": "未说明"}, ", ".join(columns), first.line if first else None
    )


def _task(case: Case, service: str, has_group: bool) -> None:
    """What has become of the prescription, by its number; the source's states beside FHIR's."""
    fields = case.fields
    status, title = SERVICES[service]
    made = case.make("Task", "state")
    case.number(made, "number", "prescription")
    states = [field for role in ("state.used", "state.review", "state") for field in fields.all(role)]
    for field in states:
        row = fields.word(field)
        if row and row[1]:
            status = row[1]
            break
    made.put("status", status, *source(states[0] if states else None))
    if states:
        made.put("businessStatus", coded(fields, states[0]), *source(states[0]))
    made.put("intent", "order")
    made.put("code", {"coding": [_FULFILL], "text": title})
    if has_group:
        made.put("focus", reference(f"{case.key}|group"))
    else:  # the drugs came, or will come, in another message
        number = fields.one("number")
        identifier = {
            "system": local_system(case.mapped.source, "prescription"),
            "value": number.text if number else "",
        }
        made.put("focus", {"type": "RequestGroup", "identifier": identifier} if number else None, *source(number))
    made.put("for", case.subject)
    made.put("authoredOn", case.at, *source(case.at_field))
    changed, changed_field = fields.date_time("changed")
    made.put("lastModified", changed, *source(changed_field))
    reason = fields.one("reason")
    if reason:
        made.put("statusReason", {"text": reason.text}, *source(reason))
    made.put("requester", case.author)
    reviewer = case.people.doctor("pharmacist")
    if reviewer:
        made.put("owner", reviewer.reference(name_of(reviewer)), fields.columns("pharmacist.name", "pharmacist.code"))
    for note in [*fields.all("note"), *(field for field in states[1:])]:
        made.add("note", {"text": note.sentence}, *source(note))


def _dispense(case: Case, row: Fields, index: int) -> None:
    """https://hl7.org/fhir/R4/medicationdispense.html"""
    made = case.make("MedicationDispense", f"dispense|{index}")
    made.put("status", "completed")
    _medicine(made, row)
    made.put("subject", case.subject)
    if case.org.institution:
        made.add("performer", {"actor": case.org.institution.reference(name_of(case.org.institution))}, case.org.field)
    total, unit = row.one("drug.total"), row.one("drug.total_unit")
    if total:
        made.put("quantity", measured(row, total, unit.text if unit else ""), *source(total))
    changed, field = case.fields.date_time("changed")
    made.put("whenHandedOver", changed or case.at, *source(field or case.at_field))
    for note in row.all("drug.note"):
        made.add("note", {"text": note.sentence}, *source(note))


def _file(case: Case, number: str) -> None:
    """The signed prescription file as it came, in a DocumentReference."""
    file = case.fields.one("file")
    if file is None:
        return
    try:
        base64.b64decode(file.text, validate=True)
    except (binascii.Error, ValueError):
        case.fields.problem("warning", "value", "is not base64; the file is only in the raw message", file)
        return
    made = case.make("DocumentReference", "file")
    case.number(made, "number", "prescription")
    made.put("status", "current")
    made.put("type", {"text": "电子处方文件"})
    made.put("subject", case.subject)
    if "T" in case.at:
        made.put("date", case.at)
    pdf = file.text.startswith("JVBERi0")
    attachment = {
        "contentType": "application/pdf" if pdf else "application/octet-stream",
        "data": file.text,
        "title": number,
    }
    digest = case.fields.one("file.digest")
    if digest:
        made.put("description", digest.sentence, *source(digest))
    made.add("content", {"attachment": attachment}, *source(file))
