"""The visit: PV1, PV2 and EVN -> Encounter with its places and people; IN1 -> Coverage."""

from adapters.contract import Resource
from adapters.hl7v2.map_context import Context, filled, lookup, said
from adapters.hl7v2.map_datatypes import authority, coded, identifier, namespace
from adapters.hl7v2.map_people import named_organization, organization, place, practitioner
from adapters.hl7v2.message import Segment, Value
from adapters.kit.resource import Made

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
NULL_FLAVOR = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"

_PARTICIPANTS = ((7, "ATND", "attender"), (8, "REF", "referrer"), (9, "CON", "consultant"), (17, "ADM", "admitter"))
_PLACES = ((3, ""), (6, "completed"), (11, "active"), (42, "planned"), (43, "completed"))


def encounter(context: Context, segment: Segment, second: Segment | None, event: Segment | None) -> None:
    """PV1 -> Encounter, owned by the sender. `second` is PV2, `event` EVN."""
    segment.note(1)
    if context.patient is None:
        return
    visit = _visit_number(context, segment)
    made = context.encounter = context.make("Encounter", _key(context, segment, visit), "owned")
    for _, number, value in visit:
        made.add("identifier", number, value.place, value.line)
    made.put("status", _status(context, segment), "PV1-2", segment.line)
    value = segment.value(2)
    made.put("class", _class(context, value), value.place, value.line)
    for field in (4, 18):
        value = segment.value(field)
        made.add("type", coded(context, value), value.place, value.line)
    value = segment.value(10)
    made.put("serviceType", coded(context, value), value.place, value.line)
    made.put("subject", context.subject(), "PID-3")
    _participants(context, made, segment)
    _period(context, made, segment, event)
    if second is not None:
        value = second.value(3)
        made.add("reasonCode", coded(context, value), value.place, value.line)
        value = second.value(12)
        text = said(value.whole)
        made.add("reasonCode", {"text": text} if text else None, value.place, value.line)
    _hospitalization(context, made, segment)
    _places(context, made, segment)
    made.put("serviceProvider", context.organization, "MSH-4", 1)


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
        context.problem("warning", "incomplete", text, "PV1-19", segment.line)
    return context.key("visit", who, admitted)


def _status(context: Context, segment: Segment) -> str:
    """A01 in-progress, A03 finished; else by the time of discharge, and planned for a pre-admission."""
    event = context.mapped.kind
    if event == "ADT^A01":
        return "in-progress"
    if event == "ADT^A03" or segment.value(45).component(1):
        return "finished"
    return "planned" if segment.value(2).component(1).upper() == "P" else "in-progress"


def _class(context: Context, value: Value) -> Resource:
    """Coding of PV1-2. A code that is not in the table stays what it was, in the sender's own system."""
    code = said(value.taken().component(1))
    if not code:
        context.problem("warning", "incomplete", "the patient class is not given", value.place, value.line)
        return {"system": NULL_FLAVOR, "code": "UNK", "display": "unknown"}
    row = lookup("encounter_class", code)
    if row is None:
        context.unknown(value, code, "patient class")
        display = said(value.component(2)) or code
        return {"system": context.local("code", "patient-class"), "code": code, "display": display}
    return {"system": ACT_CODE, "code": row[0], "display": row[1]}


def _participants(context: Context, made: Made, segment: Segment) -> None:
    for field, code, display in _PARTICIPANTS:
        for value in segment.values(field):
            individual = practitioner(context, value)
            if individual:
                role = {"coding": [{"system": PARTICIPATION, "code": code, "display": display}]}
                made.add("participant", {"type": [role], "individual": individual}, value.place, value.line)


def _period(context: Context, made: Made, segment: Segment, event: Segment | None) -> None:
    """PV1-44 to PV1-45. An admission or discharge without its time in PV1 has it in EVN-6 (when it happened)."""
    start, end = segment.value(44), segment.value(45)
    if event is not None:
        happened = event.value(6)
        if context.mapped.kind == "ADT^A01" and not start.component(1):
            start = happened
        if context.mapped.kind == "ADT^A03" and not end.component(1):
            end = happened
    period = context.period(start, end)
    context.inner(made, "period", [("start", period.get("start"), start), ("end", period.get("end"), end)])


def _hospitalization(context: Context, made: Made, segment: Segment) -> None:
    concepts = {
        "admitSource": 14,
        "reAdmission": 13,
        "dischargeDisposition": 36,
    }
    parts: list[tuple[str, object, Value]] = []
    value = segment.value(5)
    number = identifier(context, value)
    parts.append(("preAdmissionIdentifier", number[1] if number else None, value))
    parts += [(name, coded(context, segment.value(field)), segment.value(field)) for name, field in concepts.items()]
    for name, field in (("dietPreference", 38), ("specialCourtesy", 16), ("specialArrangement", 15)):
        found = [concept for value in segment.values(field) if (concept := coded(context, value))]
        parts.append((name, found, segment.value(field)))
    value = segment.value(37)
    destination = said(value.component(1))
    where = {"display": said(value.component(9)) or destination} if destination else None
    value.component(2)
    parts.append(("destination", where, value))
    context.inner(made, "hospitalization", parts)


def _places(context: Context, made: Made, segment: Segment) -> None:
    status = "completed" if made.resource["status"] == "finished" else "active"
    for field, fixed in _PLACES:
        for value in segment.values(field):
            location = place(context, value)
            if location:
                made.add("location", {"location": location, "status": fixed or status}, value.place, value.line)


# ----------------------------------------------------------------------------------------------- Coverage
def coverage(context: Context, segment: Segment) -> None:
    """IN1 -> Coverage of the patient. The payor may be known by name only."""
    segment.note(1)
    if context.patient is None or context.repeats(segment):
        return
    plan, policy, insured = segment.value(2), segment.value(36), segment.value(49)
    payor = _payor(context, segment)
    if payor is None:
        context.problem("warning", "incomplete", "no insurer is named; left out", "IN1-3", segment.line)
        return
    described = said(policy.component(1)) or said(plan.component(1)) or said(plan.component(2)) or payor.get("display")
    who = context.patient_key.removeprefix(context.mapped.source + "|")
    made = context.make("Coverage", context.own_key("coverage", who, str(described or "")), "owned")
    for value in (policy, insured):
        number = identifier(context, value)
        made.add("identifier", number[1] if number else None, value.place, value.line)
    made.put("status", "active")
    value = segment.value(15)
    made.put("type", coded(context, value), value.place, value.line)
    subscriber = segment.value(16)
    name = said(subscriber.component(2)) + " " + said(subscriber.component(1))
    made.put("subscriber", {"display": name.strip()} if name.strip() else None, subscriber.place, subscriber.line)
    made.put("subscriberId", said(insured.component(1)) or said(policy.component(1)), insured.place, insured.line)
    made.put("beneficiary", context.subject(), "PID-3")
    value = segment.value(17)
    made.put("relationship", _relationship(context, value), value.place, value.line)
    made.put("period", context.period(segment.value(12), segment.value(13)), "IN1-12", segment.line)
    made.add("payor", payor, "IN1-4" if said(segment.value(4).component(1)) else "IN1-3", segment.line)
    _classes(made, segment)


def _payor(context: Context, segment: Segment) -> Resource | None:
    number, named, plan = segment.value(3), segment.value(4), segment.value(2)
    name = said(named.component(1))
    identity = said(number.component(1))
    if identity:
        system = authority(context, number, 4) or context.local("insurer", namespace(number, 4))
        number.component(5)
        return organization(context, name, (system, identity), number)
    if name:
        return named_organization(context, named)
    words = said(plan.component(2)) or said(plan.component(1))
    return {"display": words} if words else None


def _relationship(context: Context, value: Value) -> Resource | None:
    concept = coded(context, value)
    row = lookup("relationship", said(value.component(1))) if concept else None
    if concept and row:
        system = "http://terminology.hl7.org/CodeSystem/subscriber-relationship"
        concept["coding"] = [{"system": system, "code": row[0]}, *concept.get("coding", [])]
    return concept


def _classes(made: Made, segment: Segment) -> None:
    system = "http://terminology.hl7.org/CodeSystem/coverage-class"
    plan, group, group_name = segment.value(2), segment.value(8), segment.value(9)
    for kind, value, name in (("plan", plan, said(plan.component(2))), ("group", group, said(group_name.component(1)))):
        code = said(value.component(1))
        if code:
            content = {"type": {"coding": [{"system": system, "code": kind}]}, "value": code, "name": name}
            made.add("class", filled(content), value.place, value.line)
