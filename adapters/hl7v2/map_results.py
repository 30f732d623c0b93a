"""Results: an OBSERVATION group (OBX, NTE) -> Observation, or a document where it carries one; comments."""

import re

from adapters.contract import Resource
from adapters.hl7v2.map_attachments import attached
from adapters.hl7v2.map_context import Context
from adapters.hl7v2.map_datatypes import (
    add_notes,
    coded,
    decimal,
    entity,
    first_text,
    instant,
    numbered,
    quantity,
    unknown_concept,
)
from adapters.hl7v2.map_people import described_organization, practitioner, roles, status_of
from adapters.hl7v2.message import Segment, Value, said
from adapters.hl7v2.structure import Group
from adapters.kit.codes import LOINC
from adapters.kit.resource import Made

INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_REMARK = "Annotation comment"
COMMENT = {"coding": [{"system": LOINC, "code": "48767-8", "display": _REMARK}], "text": _REMARK}
_INTERPRETATIONS = frozenset(
    ("H", "L", "HH", "LL", "N", "A", "AA", "HU", "LU", ">", "<", "U", "D", "B", "W", "S", "R", "I", "MS", "VS")
)
_CODED = ("CE", "CWE", "CNE", "CF", "IS", "ID")
_TIMES = ("DT", "TS", "DTM")
_TEXTS = ("TX", "FT")


def observations(
    context: Context, groups: list[Group], report: Made | None = None, request: Segment | None = None
) -> list[Made]:
    """The Observations of OBSERVATION groups, in their order; consecutive lines of one text are one Observation."""
    made: list[Made] = []
    lines: tuple[str, Made] | None = None
    for group in groups:
        segment = group.first("OBX")
        if segment is None or context.patient is None:
            continue
        same = _line_of(segment)
        if lines is not None and same and lines[0] == same and _appended(context, lines[1], segment, group):
            continue
        found = _observation(context, segment, group, report, request)
        lines = (same, found) if same and found is not None and "valueString" in found.resource else None
        if found is not None:
            made.append(found)
    return made


def _line_of(segment: Segment) -> str:
    """What the lines of one text share: type, code, sub-id, status."""
    if segment.raw(2).strip().upper() not in _TEXTS or "~" in segment.raw(5):
        return ""
    return "|".join(segment.raw(field).strip() for field in (2, 3, 4, 11))


def _appended(context: Context, made: Made, segment: Segment, group: Group) -> bool:
    value = segment.value(5)
    for number in (2, 3, 4, 11, 14):
        segment.value(number).taken()
    made.resource["valueString"] += "\n" + said(value.whole)
    context.traced(made, "valueString", value)
    add_notes(context, made, group.all("NTE"))
    return True


def _observation(
    context: Context, segment: Segment, group: Group, report: Made | None, request: Segment | None
) -> Made | None:
    kind = segment.value(2).said(1).upper()
    named = segment.value(3)
    concept = coded(context, named)
    if concept is None:
        context.problem("warning", "incomplete", "the observation does not say of what", segment.place(3), segment.line)
        concept = unknown_concept()
    if kind in ("ED", "RP") and attached(context, segment, report, concept, kind):
        return None
    made = context.make("Observation", _key(context, segment, report, concept), "owned")
    context.fill(made, segment, ((21, "identifier[]", numbered("observation")),))
    status = segment.value(11)
    found = status_of(context, status, "observation_status", "unknown", "observation status")
    made.put("status", found, status.place, status.line)
    made.put("code", concept, named.place, named.line)
    context.about(made)
    when = segment.value(14)
    if not when.component(1) and request is not None:
        when = request.value(7)
    made.put("effectiveDateTime", context.when(when), when.place, when.line)
    _details(context, made, segment, group)
    _values(context, made, segment, kind)
    if report is not None:
        report.add("result", made.reference(), segment.place(3), segment.line)
    return made


def _key(context: Context, segment: Segment, report: Made | None, concept: Resource) -> str:
    """One observation: its report or visit, its code, sub-id and time."""
    scope = context.short(report) if report else context.scope()
    coding = (concept.get("coding") or [{}])[0]
    parts = (coding.get("code") or concept["text"], said(segment.value(4).whole), segment.value(14).component(1))
    return context.own_key(scope, "observation", *parts)


def _interpretation(context: Context, value: Value) -> Resource | None:
    return coded(context, value, INTERPRETATION if value.said(1) in _INTERPRETATIONS else "")


def _range(context: Context, value: Value) -> Resource | None:
    """The limits as they were written, and as quantities where they are two numbers (`36.0-37.2`)."""
    text = said(value.whole)
    if not text:
        return None
    found = re.fullmatch(r"([+-]?\d+(?:\.\d+)?)\s*(?:-|--|~|～)\s*([+-]?\d+(?:\.\d+)?)", text)
    low, high = (decimal(found[1]), decimal(found[2])) if found else (None, None)
    if low is None or high is None or low > high:
        return {"text": text}
    return {"low": {"value": low}, "high": {"value": high}, "text": text}


def _device(context: Context, value: Value) -> Resource | None:
    """OBX-18, an EI (number, namespace) or, in older messages, a name."""
    text, number = first_text(context, value), entity(context, value, "device")
    return {"identifier": number, "display": text} if number else None


_DETAILS = (
    (8, "interpretation[]", _interpretation),
    (7, "referenceRange[]", _range),
    (16, "performer[]", practitioner),
    (25, "performer[]", practitioner),
    (17, "method", coded),
    (20, "bodySite", coded),
    (18, "device", _device),
    (19, "issued", instant),
)


def _details(context: Context, made: Made, segment: Segment, group: Group) -> None:
    context.fill(made, segment, _DETAILS)
    laboratory = segment.value(23)
    performer = described_organization(context, laboratory, segment.value(24), Value(segment, 0, 0, ""))
    made.add("performer", performer, laboratory.place, laboratory.line)
    producer = segment.value(15)
    if producer.said(1) and not segment.raw(23):
        display = producer.said(2) or producer.said(1)
        made.add("performer", {"display": display}, producer.place, producer.line)
    for actor, _, value, _ in roles(context, group.segments):
        target = context.referenced(actor)
        if target is None or target.type in ("Practitioner", "Organization"):
            made.add("performer", actor, value.place, value.line)
    add_notes(context, made, group.all("NTE"))


def _values(context: Context, made: Made, segment: Segment, kind: str) -> None:
    """value[x] of OBX-5; several repetitions become components, none of them is lost."""
    units = segment.value(6)
    found = [
        (element, value) for value in segment.values(5) if (element := _value(context, value, kind, units)) is not None
    ]
    if len(found) == 1:
        (name, content), value = found[0]
        made.put(name, content, value.place, value.line)
        if isinstance(content, dict) and "unit" in content:
            context.traced(made, name, units)
    for (name, content), value in found if len(found) > 1 else []:
        made.add("component", {"code": made.resource["code"], name: content}, value.place, value.line)


def _value(context: Context, value: Value, kind: str, units: Value) -> tuple[str, object] | None:
    """(element, content) of one repetition; what does not fit its type is kept as text, with a warning."""
    if kind == "NM":
        number = decimal(value.component(1))
        if number is not None:
            return "valueQuantity", quantity(context, number, units)
    words = value.whole
    if not words:
        return None
    if kind == "NM":
        context.problem("warning", "value", f"{words} is not a number; kept as text", value.place, value.line)
    elif kind == "SN":
        structured = _structured(context, value, units)
        if structured is not None:
            return structured
        context.problem("warning", "value", f"{words} is no structured number; kept as text", value.place, value.line)
    elif kind in _CODED:
        concept = coded(context, value)
        return ("valueCodeableConcept", concept) if concept else None
    elif kind in _TIMES:
        at = context.when_it_is(value)
        if at:
            return "valueDateTime", at
    return "valueString", words


def _structured(context: Context, value: Value, units: Value) -> tuple[str, object] | None:
    """SN: comparator, number, separator, number."""
    sign, first, separator, second = (value.component(n) for n in range(1, 5))
    low, high = decimal(first), decimal(second)
    if low is None:
        return None
    start = quantity(context, low, units)
    if high is None and not separator and sign in ("", "=", "<", "<=", ">", ">="):
        return "valueQuantity", start | ({"comparator": sign} if sign not in ("", "=") else {})
    if high is not None and separator == "-" and sign in ("", "=") and low <= high:
        return "valueRange", {"low": start, "high": quantity(context, high, units)}
    if high is not None and separator in (":", "/") and sign in ("", "="):
        return "valueRatio", {"numerator": {"value": low}, "denominator": {"value": high}}
    return None


def comment(context: Context, segment: Segment, report: Made | None = None) -> None:
    """NTE about a patient, a visit or a report, none of which has a note in R4 -> a coded Observation."""
    values = segment.values(3)
    text = "\n".join(part for part in (said(value.whole) for value in values) if part)
    if not text or context.patient is None:
        return
    scope = context.short(report) if report else context.scope()
    made = context.make("Observation", context.own_key(scope, "comment", segment.raw(1)), "owned")
    made.put("status", "final")
    made.put("code", COMMENT)
    context.about(made)
    made.put("valueString", text, values[0].place, values[0].line)
    context.traced(made, "valueString", *values[1:])
    if report is not None:
        report.add("result", made.reference(), values[0].place, values[0].line)
