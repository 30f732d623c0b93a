"""What pays: an INSURANCE group (IN1, IN2) -> Coverage; FT1 -> ChargeItem."""

from adapters.contract import Resource
from adapters.hl7v2.map_context import Context, filled
from adapters.hl7v2.map_datatypes import (
    authority,
    coded,
    decimal,
    entity,
    first_text,
    identifier,
    money,
    namespace,
    note,
    unknown_concept,
    when,
)
from adapters.hl7v2.map_names import address, name, work_phone
from adapters.hl7v2.map_people import described_organization, organization, practitioner
from adapters.hl7v2.message import Segment, Value
from adapters.hl7v2.structure import Group
from adapters.kit.resource import Made

CLASSES = "http://terminology.hl7.org/CodeSystem/coverage-class"
SUBSCRIBER = "http://terminology.hl7.org/CodeSystem/subscriber-relationship"


def coverage(context: Context, group: Group) -> None:
    """IN1 and IN2 -> Coverage of the patient. The payor may be known by name only."""
    segment = group.first("IN1")
    if segment is None or context.patient is None or context.repeats(segment):
        return
    plan, policy, insured = segment.value(2), segment.value(36), segment.value(49)
    payor = _payor(context, segment)
    if payor is None:
        context.problem("warning", "incomplete", "no insurer is named; left out", segment.place(3), segment.line)
        return
    described = policy.said(1) or plan.said(1) or plan.said(2) or payor.get("display")
    who = context.patient_key.removeprefix(context.mapped.source + "|")
    made = context.make("Coverage", context.own_key("coverage", who, str(described or "")), "owned")
    for value in (policy, insured):
        number = identifier(context, value)
        made.add("identifier", number[1] if number else None, value.place, value.line)
    made.put("status", "active")
    value = segment.value(15)
    made.put("type", coded(context, value), value.place, value.line)
    _subscriber(context, made, segment)
    made.put("subscriberId", insured.said(1) or policy.said(1), insured.place, insured.line)
    made.put("beneficiary", context.subject(), "PID-3")
    value = segment.value(17)
    made.put("relationship", _relationship(context, value), value.place, value.line)
    made.put("period", context.period(segment.value(12), segment.value(13)), segment.place(12), segment.line)
    context.traced(made, "period", segment.value(13))
    made.add("payor", payor, segment.place(4 if segment.value(4).said(1) else 3), segment.line)
    _classes(context, made, segment)
    order = segment.value(22)
    rank = order.component(1)
    made.put("order", int(rank) if rank.isdecimal() and 0 < int(rank) < 100 else None, order.place, order.line)
    second = group.first("IN2")
    if second is not None:
        _second(context, made, second)


def _second(context: Context, made: Made, segment: Segment) -> None:
    """IN2: the numbers under which payers know the insured."""
    for field, kind in ((2, "SS"), (6, "MC"), (8, "MA"), (10, "MI"), (61, "PI"), (63, "XX")):
        for value in segment.values(field):
            number = identifier(context, value, kind)
            made.add("identifier", number[1] if number else None, value.place, value.line)


def _subscriber(context: Context, made: Made, segment: Segment) -> None:
    value = segment.value(16)
    found = name(context, value)
    if found:
        made.put("subscriber", {"display": found["text"]}, value.place, value.line)


def _payor(context: Context, segment: Segment) -> Resource | None:
    number, named, plan = segment.value(3), segment.value(4), segment.value(2)
    called = named.said(1)
    identity = number.said(1)
    if identity:
        system = authority(context, number, 4) or context.local("insurer", namespace(number, 4))
        number.component(5)
        found = organization(context, called, (system, identity), number)
        return _reachable(context, found, segment)
    if called:
        return described_organization(context, named, segment.value(5), segment.value(7))
    text = plan.said(2) or plan.said(1)
    return {"display": text} if text else None


def _reachable(context: Context, payor: Resource | None, segment: Segment) -> Resource | None:
    made = context.referenced(payor) if payor else None
    if made is not None:
        context.fill(made, segment, ((5, "address[]", address), (7, "telecom[]", work_phone)))
    return payor


def _relationship(context: Context, value: Value) -> Resource | None:
    concept = coded(context, value)
    row = context.row("relationship", value.said(1)) if concept else None
    if concept and row:
        concept["coding"] = [{"system": SUBSCRIBER, "code": row[0]}, *concept.get("coding", [])]
    return concept


def _classes(context: Context, made: Made, segment: Segment) -> None:
    plan, group, group_name = segment.value(2), segment.value(8), segment.value(9)
    for kind, value, title in (("plan", plan, plan.said(2)), ("group", group, group_name.said(1))):
        code = value.said(1)
        if code:
            content = {"type": {"coding": [{"system": CLASSES, "code": kind}]}, "value": code, "name": title}
            made.add("class", filled(content), value.place, value.line)
            if kind == "group" and title:
                context.traced(made, "class", group_name)


# ---------------------------------------------------------------------------------------------- ChargeItem
def _department(context: Context, value: Value) -> Resource | None:
    text, code = first_text(context, value), value.said(1)
    number = {"system": context.local("department"), "value": code} if code else None
    return filled({"identifier": number, "display": text}) if text else None


def _count(context: Context, value: Value) -> Resource | None:
    number = decimal(value.component(1))
    return {"value": number} if number is not None else None


_CHARGE = (
    (5, "enteredDate", when),
    (8, "note[]", note),
    (9, "note[]", note),
    (10, "quantity", _count),
    (11, "priceOverride", money),
    (13, "costCenter", _department),
    (19, "reason[]", coded),
    (24, "enterer", practitioner),
)


def charge(context: Context, group: Group) -> None:
    """FT1 -> ChargeItem: what was done for the patient and is paid for."""
    segment = group.first("FT1")
    if segment is None or context.patient is None or context.repeats(segment):
        return
    number, code, done = segment.value(2), segment.value(7), segment.value(25)
    concept, procedure = coded(context, code), coded(context, done)
    identity = number.said(1) or f"{(concept or {}).get('text', '')}|{segment.value(4).component(1)}"
    made = context.make("ChargeItem", context.own_key(context.scope(), "charge", identity), "owned")
    made.add("identifier", entity(context, number, "charge"), number.place, number.line)
    kind = segment.value(6)
    row = context.row("charge_status", kind.taken().said(1))
    made.put("status", row[0] if row else "billable", kind.place, kind.line)
    if concept is None and procedure is None:
        context.problem("warning", "incomplete", "the charge does not say for what", segment.place(7), segment.line)
    joined = _joined(concept, procedure)
    made.put("code", joined or unknown_concept(), code.place, code.line)
    context.traced(made, "code", *([done] if procedure else []))
    made.put("subject", context.subject(), "PID-3")
    if context.encounter:
        made.put("context", context.encounter.reference(), "PV1-19")
    at = segment.value(4)
    period = context.period(at, at, (1, 2))
    if "end" in period:
        made.put("occurrencePeriod", period, at.place, at.line)
    else:
        made.put("occurrenceDateTime", period.get("start"), at.place, at.line)
    for field in (20, 21):
        for value in segment.values(field):
            actor = practitioner(context, value)
            made.add("performer", {"actor": actor} if actor else None, value.place, value.line)
    context.fill(made, segment, _CHARGE)


def _joined(one: Resource | None, other: Resource | None) -> Resource | None:
    """One concept with the codings of both."""
    if one is None or other is None:
        return one or other
    codings = [*one.get("coding", []), *other.get("coding", [])]
    return filled({"coding": codings, "text": one["text"]})
