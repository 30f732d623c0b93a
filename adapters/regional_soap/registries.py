"""What only the V3 services have: registries of persons, institutions and staff, orders, appointments, documents."""

import base64
import binascii

from adapters.contract import Mapped, Resource
from adapters.kit import codes, people
from adapters.kit.resource import Made
from adapters.roles.case import Case, coded
from adapters.roles.diagnoses import diagnoses
from adapters.roles.fields import Field, Fields, source
from adapters.roles.observing import measured
from adapters.roles.people import INSTITUTION, People, local_system, name_of
from adapters.roles.visit import coverage

_TYPES = "http://terminology.hl7.org/CodeSystem/organization-type"
DEPARTMENT = "2.16.156.10011.1.26"


def _refreshed(mapped: Mapped, made: Made) -> None:
    """A registry is the authority on what it registers: its message renews what is stored."""
    next(item for item in mapped.items if item.key == made.key).mode = "refreshed"


def make_person(fields: Fields, mapped: Mapped, people_: People) -> None:
    """PRPA_IN201311UV02, 201314UV02."""
    patient = people_.patient()
    if patient is None:
        return
    _refreshed(mapped, patient)
    for archive in fields.all("patient.archive"):
        patient.add("identifier", {"system": "urn:oid:2.16.156.10011.1.2", "value": archive.text}, *source(archive))
    org = people_.side("org")
    if org.institution:
        patient.put("managingOrganization", org.institution.reference(name_of(org.institution)), org.field)
    at, at_field = fields.first_time("at")
    coverage(Case(fields, mapped, people_, patient, org, f"{mapped.source}|person|{patient.key}", at, at_field))


def make_merge(fields: Fields, mapped: Mapped, people_: People) -> None:
    """PRPA_IN201304UV02: the numbers that are given up become Patients that point to the surviving one."""
    patient, replaced = people_.patient(), fields.all("patient.replaced")
    if not replaced:
        fields.missing("the message does not name the number that is given up", "patient.replaced")
    if patient is None:
        return
    for old in replaced:
        system = local_system(mapped.source, "patient")
        made = Made(mapped, "Patient", f"{system}|Patient|{old.text}", "refreshed")
        made.add("identifier", {"use": "old", "system": system, "value": old.text}, *source(old))
        made.put("active", False)
        made.add("link", {"other": patient.reference(name_of(patient)), "type": "replaced-by"}, *source(old))


def make_organization(fields: Fields, mapped: Mapped, people_: People) -> None:
    """PRPM_IN401030UV01, 403010UV01: an institution, or with a root of 科室 a department."""
    code, name = fields.one("organization.code"), fields.one("organization.name")
    if code is None:
        fields.missing("the institution has no code", "organization.code")
        return
    department = DEPARTMENT in code.column
    system = f"urn:oid:{DEPARTMENT}" if department else INSTITUTION
    made = Made(mapped, "Organization", f"{system}|Organization|{code.text}", "refreshed")
    made.add("identifier", {"system": system, "value": code.text}, *source(code))
    status = fields.one("organization.status")
    made.put("active", status is None or status.text in ("active", "normal"), *source(status))
    made.add(
        "type",
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/organization-type",
                    "code": "dept" if department else "prov",
                }
            ]
        },
    )
    kind, words = fields.one("organization.type"), fields.one("organization.type.text")
    if kind:
        made.add(
            "type",
            codes.concept(kind.text, codes.system_of(kind.meaning.code), text=words.text if words else ""),
            *source(kind),
        )
    made.put("name", name.text if name else None, *source(name))
    for phone in fields.all("organization.phone"):
        made.add("telecom", people.phone(phone.text), *source(phone))
    for address in fields.all("organization.address"):
        made.add("address", {"text": address.text, "country": "CN"}, *source(address))
    above, title = fields.one("organization.part_of.code"), fields.one("organization.part_of.name")
    if above:
        parent = Made(mapped, "Organization", f"{INSTITUTION}|Organization|{above.text}", "shared")
        parent.add("identifier", {"system": INSTITUTION, "value": above.text}, *source(above))
        parent.put("name", title.text if title else None, *source(title))
        made.put("partOf", parent.reference(name_of(parent)), *source(above))


def make_staff(fields: Fields, mapped: Mapped, people_: People) -> None:
    """PRPM_IN301010UV01, 303010UV01: Practitioner and, with a department or a title, PractitionerRole."""
    code, card, name = fields.one("staff.code"), fields.one("staff.id_card"), fields.one("staff.name")
    if code is None:
        fields.missing("the member of staff has no number", "staff.code")
        return
    system = local_system(mapped.source, "staff")
    made = Made(mapped, "Practitioner", f"{system}|Practitioner|{code.text}", "refreshed")
    made.add("identifier", {"system": system, "value": code.text}, *source(code))
    if card:
        made.add("identifier", {"system": people.RESIDENT_ID, "value": people.fold_digits(card.text)}, *source(card))
    made.add("name", people.name(name.text) if name else None, *source(name))
    sex = fields.one("staff.sex")
    made.put("gender", people.gender(sex.text) if sex else None, *source(sex))
    born, field = fields.date("staff.birth")
    made.put("birthDate", born, *source(field))
    for phone in fields.all("staff.phone"):
        made.add("telecom", people.phone(phone.text), *source(phone))
    department, title = people_.side("org").department, fields.one("staff.title")
    if not (department or title):
        return
    role = Made(mapped, "PractitionerRole", f"{made.key}|role", "owned")
    status = fields.one("staff.status")
    role.put("active", status is None or status.text == "active", *source(status))
    role.put("practitioner", made.reference(name_of(made)))
    if department:
        role.put("organization", department.reference(name_of(department)))
    if title:
        words = fields.one("staff.title.text")
        concept = codes.concept(title.text, codes.system_of(title.meaning.code), text=words.text if words else "")
        role.add("code", concept, *source(title))
    (start, first), (end, _) = fields.date_time("staff.start"), fields.date_time("staff.end")
    role.put("period", {key: value for key, value in (("start", start), ("end", end)) if value}, *source(first))


def make_orders(case: Case) -> None:
    """POOR_IN200901UV, 200902UV: every component is a MedicationRequest or a ServiceRequest; the form groups them."""
    fields, visit = case.fields, case.fields.one("order.visit")
    found = diagnoses(case, fields)
    group = fields.one("order.group")
    status, priority = fields.one("order.status"), fields.one("order.priority")
    notes = fields.all("order.note")
    for row in fields.children("order"):
        drug, asked = row.one("order.drug"), row.one("order.request")
        number = drug or asked
        if number is None:
            row.missing("an order has no number", "order.drug", "order.request")
            continue
        kind = "MedicationRequest" if drug else "ServiceRequest"
        made = Made(case.mapped, kind, f"{case.mapped.source}|order|{number.text}", "owned")
        made.add(
            "identifier", {"system": local_system(case.mapped.source, "order"), "value": number.text}, *source(number)
        )
        own = row.one("order.status") or status
        word = (row if row.one("order.status") else fields).word(own) if own else None
        made.put("status", _status(kind, word[1] if word else "active"), *source(own))
        made.put("intent", "order")
        urgent = fields.word(priority) if priority else None
        made.put("priority", urgent[1] if urgent else None, *source(priority))
        made.put("subject", case.subject)
        if visit:
            identifier = {"system": local_system(case.mapped.source, "visit"), "value": visit.text}
            made.put("encounter", {"type": "Encounter", "identifier": identifier}, *source(visit))
        made.put("authoredOn", case.at, *source(case.at_field))
        made.put("requester", case.author)
        if group:
            identifier = {"system": local_system(case.mapped.source, "request-form"), "value": group.text}
            made.put("groupIdentifier" if drug else "requisition", identifier, *source(group))
        for condition, _ in found:
            made.add("reasonReference", condition.reference())
        (_medication if drug else _service)(made, row)
        for note in [*notes, *row.all("order.note")]:
            made.add("note", {"text": note.sentence}, *source(note))


def _status(kind: str, status: str) -> str:
    """ServiceRequest says revoked where MedicationRequest says cancelled."""
    return "cancelled" if kind == "MedicationRequest" and status == "revoked" else status


def _medication(made: Made, row: Fields) -> None:
    code, name, form, strength = (row.one(f"drug.{part}") for part in ("code", "name", "form", "strength"))
    text = " ".join(part.text for part in (name, form, strength) if part)
    system = codes.system_of(code.meaning.code) if code else ""
    drug = codes.concept(code.text if code else "", system, name.text if name else "", text)
    made.put(
        "medicationCodeableConcept",
        drug or {"text": "未说明"},
        ", ".join(f.column for f in (code, name, form, strength) if f),
    )
    category = row.one("order.category")
    if category:
        made.add("category", coded(row, category) or None, *source(category))
    dosage: Resource = {}
    often, route, dose = row.one("drug.frequency"), row.one("drug.route"), row.one("drug.dose")
    (start, first), (end, last) = row.date_time("order.start"), row.date_time("order.end")
    timing: Resource = {}
    if start or end:
        timing["repeat"] = {"boundsPeriod": {k: v for k, v in (("start", start), ("end", end)) if v}}
    if often:
        timing["code"] = coded(row, often)
    if timing:
        dosage["timing"] = timing
    if route:
        dosage["route"] = coded(row, route)
    quantity = measured(row, dose, "") if dose else None
    if quantity:
        dosage["doseAndRate"] = [{"doseQuantity": quantity}]
    elif dose:
        dosage["text"] = dose.sentence
    made.add("dosageInstruction", dosage, ", ".join(f.column for f in (often, route, dose, first, last) if f))
    total = row.one("drug.total")
    amount = measured(row, total, "") if total else None
    made.put("dispenseRequest", {"quantity": amount} if amount else None, *source(total))


def _service(made: Made, row: Fields) -> None:
    code, name = row.one("order.code"), row.one("order.name")
    system = codes.system_of(code.meaning.code) if code else ""
    what = codes.concept(code.text if code else "", system, name.text if name else "", name.text if name else "")
    made.put("code", what, *source(code or name))
    start, field = row.date_time("order.start")
    made.put("occurrenceDateTime", start, *source(field))
    place, number = row.one("performer.name"), row.one("performer.code")
    if place or number:
        said: Resource = {"display": place.text} if place else {}
        if number:
            said["identifier"] = {"system": f"urn:oid:{DEPARTMENT}", "value": number.text}
        made.add("performer", {**said, "type": "Organization"}, ", ".join(f.column for f in (place, number) if f))


def make_appointment(case: Case) -> None:
    """PRSC_IN010101UV01, PRPA_IN410001UV."""
    fields = case.fields
    made = case.make("Appointment", "appointment")
    case.number(made, "number", "appointment")
    told = fields.one("appointment.status")
    word = fields.word(told) if told else None
    (start, first), (end, last) = fields.date_time("appointment.start"), fields.date_time("appointment.end")
    status = word[1] if word else "booked"
    if status in ("booked", "arrived", "fulfilled") and not (start and end):
        status = "proposed" if not start else status
    whole = "T" in start and "T" in end
    made.put("status", status if whole or status in ("proposed", "cancelled") else "proposed", *source(told))
    kind = fields.one("appointment.type")
    made.put("appointmentType", coded(fields, kind) if kind else None, *source(kind))
    for reason in fields.all("appointment.reason"):
        made.add("reasonCode", {"text": reason.text}, *source(reason))
    if whole:
        made.put("start", start, *source(first))
        made.put("end", end, *source(last))
    elif start:
        made.add("requestedPeriod", {k: v for k, v in (("start", start), ("end", end)) if v}, *source(first))
    made.put("created", case.fields.date_time("sent")[0])
    place = fields.one("appointment.place")
    if place:
        made.put("description", place.sentence, *source(place))
    for actor in (case.patient, case.org.doctor, case.org.department):
        if actor:
            made.add("participant", {"actor": actor.reference(name_of(actor)), "status": "accepted"})


def make_document(case: Case) -> None:
    """ProvideAndRegisterDocumentSetRequest: the document as it came; `tiercare convert` of it is the cda adapter's."""
    fields = case.fields
    made = case.make("DocumentReference", "document")
    case.number(made, "number", "document")
    made.put("status", "current")
    kind, title, file = fields.one("document.type"), fields.one("document.title"), fields.one("file")
    if kind:
        made.put("type", codes.concept(kind.text, "urn:oid:2.16.156.10011.2.4"), *source(kind))
    made.put("subject", case.subject)
    if "T" in case.at:
        made.put("date", case.at, *source(case.at_field))
    if case.institution:
        made.put("custodian", case.institution, case.org.field)
    attachment = _attachment(fields, file)
    if title:
        attachment["title"] = title.text
    made.add("content", {"attachment": attachment or {"title": "未附内容"}}, *source(file))


def _attachment(fields: Fields, file: Field | None) -> Resource:
    """Base64 as FHIR writes it, blanks taken out; a text that is none is encoded."""
    if file is None:
        return {}
    packed = "".join(file.text.split())
    try:
        content = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        content = file.text.encode()
    kind = (
        "text/xml"
        if content.lstrip().startswith(b"<")
        else "application/pdf"
        if content.startswith(b"%PDF")
        else "application/octet-stream"
    )
    return {"contentType": kind, "data": base64.b64encode(content).decode()}
