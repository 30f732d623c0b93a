"""The visit: PV1, PV2 and EVN -> Encounter with its places and people."""

from adapters.contract import Mode, Resource
from adapters.hl7v2.map_context import Context, filled
from adapters.hl7v2.map_datatypes import coded, decimal, identifier, text_concept
from adapters.hl7v2.map_people import organization, place, practitioner, roles
from adapters.hl7v2.message import Segment, Value
from adapters.hl7v2.structure import Group
from adapters.kit.resource import Made

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
NULL_FLAVOR = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
ARRIVAL = "http://hl7.org/fhir/StructureDefinition/encounter-modeOfArrival"

_PARTICIPANTS = (
    (7, "ATND", "attender"),
    (8, "REF", "referrer"),
    (9, "CON", "consultant"),
    (17, "ADM", "admitter"),
    (52, "PART", "Participation"),
)
_PLACES = ((3, ""), (6, "completed"), (11, "active"), (42, "planned"), (43, "completed"))


def encounter(context: Context, group: Group) -> Made | None:
    """A VISIT group -> Encounter. The authority on the patient is that on the visit: others only make sure of it."""
    segment, second = group.first("PV1"), group.first("PV2")
    if segment is None or context.patient is None:
        return None
    visit = _visit_number(context, segment)
    if segment.value(2).said(1) == "N" and not visit:  # "not applicable": a segment that had to be sent
        return None
    key = _key(context, segment, visit)
    known = context.made(key)
    if known is not None:
        context.encounter = known
        return known
    mode: Mode = "owned"
    if visit:
        mode = "refreshed" if context.event.patient in ("refreshed", "moved") else "shared"
    made = context.encounter = context.make("Encounter", key, mode)
    for _, number, value in visit:
        made.add("identifier", number, value.place, value.line)
    made.put("status", _status(context, segment), segment.place(2), segment.line)
    value = segment.value(2)
    made.put("class", _class(context, value), value.place, value.line)
    context.fill(made, segment, ((4, "type[]", coded), (18, "type[]", coded), (10, "serviceType", coded)))
    made.put("subject", context.subject(), "PID-3")
    _participants(context, made, segment, group)
    _period(context, made, segment)
    if second is not None:
        _details(context, made, second)
    _hospitalization(context, made, segment)
    _places(context, made, segment)
    _provider(context, made, segment)
    return made


def _visit_number(context: Context, segment: Segment) -> list[tuple[int | None, Resource, Value]]:
    """PV1-19 visit number, PV1-50 alternate visit number."""
    found = []
    for field in (19, 50):
        for value in segment.values(field):
            made = identifier(context, value, "VN")
            if made is not None:
                found.append((made[0], made[1], value))
    return found


def _key(context: Context, segment: Segment, visit: list[tuple[int | None, Resource, Value]]) -> str:
    """The visit's number; else the patient and the time of admission; else the patient's visits are one."""
    if visit:
        number = visit[0][1]
        return context.key("visit", f"{number.get('system', '')}|{number['value']}")
    admitted = segment.value(44).component(1)
    who = context.patient_key.removeprefix(context.mapped.source + "|")
    if not admitted:
        text = "no visit number and no time of admission: one visit of the patient cannot be told from another"
        context.problem("warning", "incomplete", text, segment.place(19), segment.line)
    return context.key("visit", who, admitted)


def _status(context: Context, segment: Segment) -> str:
    """What the event says (events.csv); else by the time of discharge, and planned for a pre-admission."""
    if context.event.structure == "ADT" and context.event.state:
        return context.event.state
    if segment.value(45).component(1):
        return "finished"
    return "planned" if segment.value(2).component(1).upper() == "P" else "in-progress"


def _class(context: Context, value: Value) -> Resource:
    """Coding of PV1-2. A code that is not in the table stays what it was, in the sender's own system."""
    code = value.taken().said(1)
    if not code:
        context.problem("warning", "incomplete", "the patient class is not given", value.place, value.line)
        return {"system": NULL_FLAVOR, "code": "UNK", "display": "unknown"}
    row = context.row("encounter_class", code)
    if row is None:
        context.unknown(value, code, "patient class")
        display = value.said(2) or code
        return {"system": context.local("code", "patient-class"), "code": code, "display": display}
    return {"system": ACT_CODE, "code": row[0], "display": row[1]}


def _participants(context: Context, made: Made, segment: Segment, group: Group) -> None:
    for field, code, display in _PARTICIPANTS:
        for value in segment.values(field):
            individual = practitioner(context, value)
            if individual:
                role = {"coding": [{"system": PARTICIPATION, "code": code, "display": display}]}
                made.add("participant", {"type": [role], "individual": individual}, value.place, value.line)
    participants(context, made, group.segments)


def participants(context: Context, made: Made, segments: list[Segment]) -> None:
    """PRT and ROL -> Encounter.participant; institutions and places take no part in an Encounter."""
    for actor, role, value, named in roles(context, segments):
        target = context.referenced(actor)
        if target is None or target.type == "Practitioner":
            content = filled({"type": [role] if role else [], "individual": actor})
            made.add("participant", content, value.place, value.line)
            context.traced(made, "participant.type", named)


def _period(context: Context, made: Made, segment: Segment) -> None:
    """PV1-44 to PV1-45. An admission or discharge without its time in PV1 has it in EVN-6 (when it happened)."""
    start, end = segment.value(44), segment.value(45)
    event = context.message.first("EVN")
    if event is not None:
        happened = event.value(6)
        if context.event.name == "ADT^A01" and not start.component(1):
            start = happened
        if context.event.name == "ADT^A03" and not end.component(1):
            end = happened
    if context.event.name == "ADT^A13":  # the discharge is taken back, its time with it
        end = Value(segment, 45, 0, "")
    period = context.period(start, end)
    context.inner(made, "period", [("start", period.get("start"), start), ("end", period.get("end"), end)])


def _details(context: Context, made: Made, second: Segment) -> None:
    rows = ((3, "reasonCode[]", coded), (12, "reasonCode[]", text_concept), (4, "reasonCode[]", coded))
    context.fill(made, second, (*rows, (25, "priority", coded)))
    days = second.value(11)
    number = decimal(days.component(1))
    if number is not None and number >= 0:
        length = {"value": number, "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"}
        made.put("length", length, days.place, days.line)
    arrival = second.value(38)
    concept = coded(context, arrival)
    if concept and "coding" in concept:
        extension = {"url": ARRIVAL, "valueCoding": concept["coding"][0]}
        made.add("extension", extension, arrival.place, arrival.line)
    for value in second.values(13):
        source = practitioner(context, value)
        if source:
            role = {"coding": [{"system": PARTICIPATION, "code": "REF", "display": "referrer"}]}
            made.add("participant", {"type": [role], "individual": source}, value.place, value.line)


def _hospitalization(context: Context, made: Made, segment: Segment) -> None:
    parts: list[tuple[str, object, Value]] = []
    value = segment.value(5)
    number = identifier(context, value)
    parts.append(("preAdmissionIdentifier", number[1] if number else None, value))
    for name, field in (("admitSource", 14), ("reAdmission", 13), ("dischargeDisposition", 36)):
        value = segment.value(field)
        parts.append((name, coded(context, value), value))
    for name, field in (("dietPreference", 38), ("specialCourtesy", 16), ("specialArrangement", 15)):
        values = segment.values(field)
        found = [concept for value in values if (concept := coded(context, value))]
        parts.append((name, found, segment.value(field)))
        context.traced(made, f"hospitalization.{name}", *(values[1:] if found else []))
    episode = segment.value(54)
    number = identifier(context, episode)
    if number:
        made.add("episodeOfCare", {"identifier": number[1]}, episode.place, episode.line)
    value = segment.value(37)
    destination = value.said(1)
    where = {"display": value.said(9) or value.said(2) or destination} if destination else None
    parts.append(("destination", where, value))
    context.inner(made, "hospitalization", parts)


def _places(context: Context, made: Made, segment: Segment) -> None:
    status = "completed" if made.resource["status"] == "finished" else "active"
    for field, fixed in _PLACES:
        for value in segment.values(field):
            location = place(context, value)
            if location:
                made.add("location", {"location": location, "status": fixed or status}, value.place, value.line)
    bed, beds = segment.value(40), context.row("bed_status", segment.value(40).said(1))
    first = made.resource.get("location")
    target = context.referenced(first[0]["location"]) if first and bed else None
    if target is not None and target.type == "Location" and "operationalStatus" not in target.resource:
        system = "http://terminology.hl7.org/CodeSystem/v2-0116"
        content = {"system": system, "code": beds[0], "display": beds[1]} if beds else None
        target.put("operationalStatus", content, bed.place, bed.line)


def _provider(context: Context, made: Made, segment: Segment) -> None:
    """The institution of PV1-39 where it names another one than the sender."""
    value = segment.value(39)
    code = value.said(1)
    if code and context.organization and code != context.organization.get("display"):
        pair = (context.local("organization"), code)
        made.put("serviceProvider", organization(context, value.said(2) or code, pair, value), value.place, value.line)
    else:
        made.put(
            "serviceProvider", context.organization, segment.place(39) if code else "MSH-4", segment.line if code else 1
        )
