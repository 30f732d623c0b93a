"""VXU: RXA with its ORC, RXR and OBX -> Immunization."""

from adapters.contract import Resource
from adapters.hl7v2.map_context import Context, filled
from adapters.hl7v2.map_datatypes import (
    add_notes,
    coded,
    concept_of,
    decimal,
    quantity,
    unknown_concept,
    when,
)
from adapters.hl7v2.map_medications import administered
from adapters.hl7v2.map_people import coded_organization, place, practitioner, roles
from adapters.hl7v2.map_reports import numbers
from adapters.hl7v2.map_results import observations
from adapters.hl7v2.message import Segment, Value
from adapters.hl7v2.structure import Group
from adapters.kit.resource import Made

_SHEET = "69764-9"
FUNCTION = "http://terminology.hl7.org/CodeSystem/v2-0443"


def immunization(context: Context, group: Group) -> None:
    """The ADMINISTERED groups of an order, each an Immunization."""
    for inner in group.sub("ADMINISTERED"):
        _one(context, group, inner)
    observations(context, group.sub("OBSERVATION"))


def _one(context: Context, group: Group, inner: Group) -> None:
    segment = inner.first("RXA")
    if segment is None or context.patient is None:
        return
    common = group.first("ORC")
    placer, filler = numbers(context, common, None)
    code, at = segment.value(5), segment.value(3)
    concept = coded(context, code)
    number = filler or placer
    word = ((concept or {}).get("coding") or [{}])[0].get("code") or (concept or {}).get("text", "")
    base = number[0]["value"] if number else context.short(context.patient)
    made = context.make("Immunization", context.own_key("vaccination", base, str(word), at.component(1)), "owned")
    for one in (filler, placer):
        if one is not None:
            made.add("identifier", one[0], one[1].place, one[1].line)
    _, status, value = administered(context, segment)
    made.put("status", status, value.place, value.line)
    if concept is None:
        context.problem(
            "warning", "incomplete", "the vaccination does not say with what", segment.place(5), segment.line
        )
    made.put("vaccineCode", concept or unknown_concept(), code.place, code.line)
    context.about(made, "patient")
    _given(context, made, segment, at)
    _reported(context, made, segment)
    context.fill(made, segment, _FIELDS)
    _dose(context, made, segment)
    _performers(context, made, segment, common, [*group.segments, *inner.segments])
    context.fill(made, inner.first("RXR"), ((1, "route", coded), (2, "site", coded)))
    add_notes(context, made, [*group.all("NTE"), *inner.all("NTE")])
    _observed(context, made, inner)


_FIELDS = (
    (22, "recorded", when),
    (27, "location", place),
    (17, "manufacturer", coded_organization),
    (15, "lotNumber", lambda context, value: value.said(1)),
    (16, "expirationDate", lambda context, value: context.day(value)),
    (18, "statusReason", coded),
    (19, "reasonCode[]", coded),
)


def _given(context: Context, made: Made, segment: Segment, at: Value) -> None:
    """occurrence[x] is required: without a time in RXA-3 the text says so."""
    given = context.when(at)
    if given:
        made.put("occurrenceDateTime", given, at.place, at.line)
    else:
        made.put("occurrenceString", "unknown")
    end = segment.value(4)
    if given and end.component(1) and context.when(end) == given:
        context.traced(made, "occurrenceDateTime", end)
    elder = segment.value(11)
    if elder.text and not segment.raw(27):
        where = elder.said(4) or elder.said(1)
        made.put("location", {"display": where} if where else None, elder.place, elder.line)


def _reported(context: Context, made: Made, segment: Segment) -> None:
    """RXA-9: 00 = given here, 01 to 08 = a report of something given elsewhere; other words are notes."""
    for value in segment.values(9):
        code = value.said(1)
        if code.isdecimal() and len(code) == 2:
            if "primarySource" not in made.resource:
                made.put("primarySource", code == "00", value.place, value.line)
                made.put("reportOrigin", coded(context, value) if code != "00" else None, value.place, value.line)
        else:
            text = value.said(2) or code
            made.add("note", {"text": text} if text else None, value.place, value.line)


def _dose(context: Context, made: Made, segment: Segment) -> None:
    size, unit = segment.value(6), segment.value(7)
    number = decimal(size.component(1))
    if number is not None and number != 999:  # 999: the amount is not known
        made.put("doseQuantity", quantity(context, number, unit), size.place, size.line)
        context.traced(made, "doseQuantity", unit)


def _performers(
    context: Context, made: Made, segment: Segment, common: Segment | None, segments: list[Segment]
) -> None:
    for value in segment.values(10):
        _performed(made, practitioner(context, value), "AP", "Administering Provider", value)
    for value in common.values(12) if common is not None else []:
        _performed(made, practitioner(context, value), "OP", "Ordering Provider", value)
    for actor, role, value, named in roles(context, segments):
        target = context.referenced(actor)
        if target is None or target.type in ("Practitioner", "Organization"):
            made.add("performer", filled({"function": role, "actor": actor}), value.place, value.line)
            context.traced(made, "performer.function", named)


def _performed(made: Made, actor: Resource | None, code: str, display: str, value: Value) -> None:
    if actor:
        made.add(
            "performer", {"function": concept_of(FUNCTION, code, display), "actor": actor}, value.place, value.line
        )


def _observed(context: Context, made: Made, inner: Group) -> None:
    """OBX of a vaccination: what has an element of the Immunization goes there, the rest are Observations of it."""
    rest: list[Group] = []
    sheets: dict[str, Resource] = {}  # information sheets by OBX-4, which joins a sheet's type and its dates
    groups = [(group, segment) for group in inner.sub("OBSERVATION") if (segment := group.first("OBX"))]
    ordered = sorted(groups, key=lambda pair: pair[1].value(3).component(1) != _SHEET)  # rule imm-1: the type first
    for group, segment in ordered:
        row = context.row("vaccine_notes", segment.value(3).said(1))
        if row is not None and _placed(context, made, segment, row[0], sheets):
            for number in (2, 3, 4, 11, 14):
                segment.value(number).taken()
            context.traced(made, row[0], segment.value(3))
        else:
            rest.append(group)
    for one in observations(context, rest):
        one.add("partOf", made.reference())


def _placed(context: Context, made: Made, segment: Segment, element: str, sheets: dict[str, Resource]) -> bool:
    value, sub = segment.value(5), segment.raw(4).strip()
    if element == "programEligibility":
        concept = coded(context, value)
        made.add(element, concept, value.place, value.line)
        return concept is not None
    if element == "fundingSource":
        concept = coded(context, value) if element not in made.resource else None
        made.put(element, concept, value.place, value.line)
        return concept is not None
    if element == "documentType":
        words = value.said(2) or value.said(1)
        if not words or sub in sheets:
            return False
        sheets[sub] = {element: words}
        made.add("education", sheets[sub], value.place, value.line)
        return True
    at = context.when_it_is(value)
    if not at or sub not in sheets or element in sheets[sub]:
        return False
    sheets[sub][element] = at
    context.traced(made, f"education.{element}", value)
    return True
