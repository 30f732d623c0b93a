"""PD1, NK1, GT1, PID-21 -> Patient.generalPractitioner and .contact, RelatedPerson for the guarantor and the mother."""

from adapters.contract import Resource
from adapters.hl7v2.map_context import Context, filled
from adapters.hl7v2.map_datatypes import coded, identifier
from adapters.hl7v2.map_names import address, home_phone, name, telecom, work_phone
from adapters.hl7v2.map_patient import EXT, ROLE_CODE, extend, gender
from adapters.hl7v2.map_people import named_organization, practitioner
from adapters.hl7v2.message import Segment, Value


def additional(context: Context, segment: Segment) -> None:
    """PD1 -> Patient.generalPractitioner (the person of PD1-4, the institution of PD1-3)."""
    if context.patient is not None:
        rows = ((4, "generalPractitioner[]", practitioner), (3, "generalPractitioner[]", named_organization))
        context.fill(context.patient, segment, rows)
        value = segment.value(14)
        extend(context.patient, f"{EXT}patient-congregation", "valueString", value.said(1), value)


_PHONES = ((5, ""), (6, "work"), (40, ""), (41, ""), (31, ""))


def contact(context: Context, segment: Segment) -> None:
    """NK1 -> Patient.contact; one without a name, a phone or an address says too little (rule pat-1)."""
    if context.patient is None or context.repeats(segment):
        return
    relations = [(coded(context, value), value) for value in (segment.value(3), segment.value(7))]
    points = [(telecom(context, value, use), value) for number, use in _PHONES for value in segment.values(number)]
    named = next(((n, v) for number in (2, 30) for v in segment.values(number) if (n := name(context, v))), None)
    lives = next(((a, v) for number in (4, 32) for v in segment.values(number) if (a := address(context, v))), None)
    employer, start = segment.value(13), segment.value(8)
    organization = employer.said(1)
    sex = segment.value(15)
    content = filled(
        {
            "relationship": [concept for concept, _ in relations if concept],
            "name": named and named[0],
            "telecom": [point for point, _ in points if point],
            "address": lives and lives[0],
            "gender": gender(context, sex),
            "organization": {"display": organization} if organization else None,
            "period": context.period(start, segment.value(9)),
        }
    )
    if not any(element in content for element in ("name", "telecom", "address", "organization")):
        text = "the contact has no name, phone or address; left out"
        context.problem("warning", "incomplete", text, segment.name, segment.line)
        return
    made = context.patient
    made.add("contact", content)
    at = f"contact[{len(made.resource['contact']) - 1}]"
    context.traced(made, f"{at}.relationship", *(value for concept, value in relations if concept))
    context.traced(made, f"{at}.telecom", *(value for point, value in points if point))
    context.traced(made, f"{at}.name", *([named[1]] if named else []))
    context.traced(made, f"{at}.address", *([lives[1]] if lives else []))
    context.traced(made, f"{at}.gender", *([sex] if "gender" in content else []))
    context.traced(made, f"{at}.organization", *([employer] if organization else []))
    context.traced(made, f"{at}.period", *([start, segment.value(9)] if "period" in content else []))


def guarantor(context: Context, segment: Segment) -> None:
    """GT1 -> RelatedPerson, the guarantor of the patient."""
    if context.patient is None or context.repeats(segment):
        return
    who = segment.value(3).said(1) + segment.value(3).said(2) or segment.value(2).said(1)
    if not who:
        context.problem(
            "warning", "incomplete", "the guarantor has no name and no number; left out", segment.place(3), segment.line
        )
        return
    made = context.make("RelatedPerson", context.own_key(context.short(context.patient), "guarantor", who), "owned")
    made.put("patient", context.subject(), "PID-3")
    role = {"coding": [{"system": ROLE_CODE, "code": "GUAR", "display": "guarantor"}], "text": "guarantor"}
    made.add("relationship", role)
    context.fill(made, segment, _GUARANTOR)
    period = context.period(segment.value(13), segment.value(14))
    made.put("period", period, segment.place(13), segment.line)
    context.traced(made, "period", segment.value(14))


def _own_number(context: Context, value: Value) -> Resource | None:
    found = identifier(context, value)
    return found[1] if found else None


def _social(context: Context, value: Value) -> Resource | None:
    found = identifier(context, value, "SS")
    return found[1] if found else None


def _day(context: Context, value: Value) -> str:
    return context.day(value)


_GUARANTOR = (
    (2, "identifier[]", _own_number),
    (12, "identifier[]", _social),
    (11, "relationship[]", coded),
    (3, "name[]", name),
    (4, "name[]", name),
    (6, "telecom[]", home_phone),
    (7, "telecom[]", work_phone),
    (9, "gender", gender),
    (8, "birthDate", _day),
    (5, "address[]", address),
)


def mother(context: Context, segment: Segment) -> None:
    """PID-21 -> RelatedPerson: the mother, known by her number."""
    value = segment.value(21)
    number = _own_number(context, value)
    if number is None or context.patient is None:
        return
    made = context.make("RelatedPerson", context.own_key(context.short(context.patient), "mother"), "owned")
    made.add("identifier", number, value.place, value.line)
    made.put("patient", context.subject(), "PID-3")
    made.add("relationship", {"coding": [{"system": ROLE_CODE, "code": "MTH", "display": "mother"}], "text": "mother"})
    maiden = segment.value(6)
    made.add("name", name(context, maiden), maiden.place, maiden.line)
