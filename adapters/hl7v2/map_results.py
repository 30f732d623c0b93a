"""Results: OBX -> Observation (or an attached document), OBR with its OBX -> DiagnosticReport."""

import re

from adapters.contract import Resource
from adapters.hl7v2.map_context import V2, Context, filled, said
from adapters.hl7v2.map_datatypes import coded, decimal, entity, notes, quantity, unknown_concept
from adapters.hl7v2.map_people import named_organization, practitioner, status_of
from adapters.hl7v2.message import Segment, Value
from adapters.kit.resource import Made

INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_INTERPRETATIONS = frozenset(
    ("H", "L", "HH", "LL", "N", "A", "AA", "HU", "LU", ">", "<", "U", "D", "B", "W", "S", "R", "I", "MS", "VS")
)
_CODED = ("CE", "CWE", "CNE", "CF", "IS", "ID")
_TIMES = ("DT", "TS", "DTM")
_CONTENT = {"PDF": "application/pdf", "JPEG": "image/jpeg", "PNG": "image/png", "HTML": "text/html", "XML": "text/xml"}


def results(context: Context) -> None:
    """All OBR and OBX of the message: an OBX belongs to the OBR before it."""
    report: Made | None = None
    request: Segment | None = None
    for segment in context.message.segments:
        if segment.name == "OBR":
            report, request = _report(context, segment), segment
        elif segment.name == "OBX":
            _observation(context, segment, report, request)


# --------------------------------------------------------------------------------------- DiagnosticReport
def _report(context: Context, segment: Segment) -> Made | None:
    segment.note(1)
    if context.patient is None:
        return None
    placer, filler = (entity(context, segment.value(field), "order") for field in (2, 3))
    value = segment.value(4)
    concept = coded(context, value)
    number = (filler or placer or {}).get("value", "")
    started = segment.value(7)
    words = number or f"{concept['text'] if concept else ''}|{started.component(1)}"
    made = context.make("DiagnosticReport", context.own_key(context.scope(), "report", words), "owned")
    for own, field in ((filler, 3), (placer, 2)):
        made.add("identifier", own, f"OBR-{field}", segment.line)
    status = segment.value(25)
    found = status_of(context, status, "report_status", "unknown", "report status")
    made.put("status", found, status.place, status.line)
    section = segment.value(24)
    code = said(section.component(1))
    category = {"coding": [{"system": f"{V2}0074", "code": code}], "text": code} if code else None
    made.add("category", category, section.place, section.line)
    if concept is None:
        context.problem("warning", "incomplete", "the report does not say of what", "OBR-4", segment.line)
    made.put("code", concept or unknown_concept(), value.place, value.line)
    made.put("subject", context.subject(), "PID-3")
    if context.encounter:
        made.put("encounter", context.encounter.reference(), "PV1-19")
    _effective(context, made, started, segment.value(8))
    issued = segment.value(22)
    made.put("issued", context.instant(issued), issued.place, issued.line)
    return made


def _effective(context: Context, made: Made, start: Value, end: Value) -> None:
    period = context.period(start, end)
    if "end" in period and period["end"] != period.get("start"):
        made.put("effectivePeriod", period, start.place, start.line)
    else:
        made.put("effectiveDateTime", period.get("start"), start.place, start.line)


# -------------------------------------------------------------------------------------------- Observation
def _observation(context: Context, segment: Segment, report: Made | None, request: Segment | None) -> None:
    segment.note(1)
    if context.patient is None:
        return
    kind = said(segment.value(2).component(1)).upper()
    named = segment.value(3)
    concept = coded(context, named)
    if concept is None:
        context.problem("warning", "incomplete", "the observation does not say of what", "OBX-3", segment.line)
        concept = unknown_concept()
    if kind in ("ED", "RP"):
        _attached(context, segment, report, concept, kind)
        return
    made = context.make("Observation", _key(context, segment, report, concept), "owned")
    status = segment.value(11)
    found = status_of(context, status, "observation_status", "unknown", "observation status")
    made.put("status", found, status.place, status.line)
    made.put("code", concept, named.place, named.line)
    made.put("subject", context.subject(), "PID-3")
    if context.encounter:
        made.put("encounter", context.encounter.reference(), "PV1-19")
    when = segment.value(14)
    if not when.component(1) and request is not None:
        when = request.value(7)
    made.put("effectiveDateTime", context.when(when), when.place, when.line)
    _details(context, made, segment)
    _values(context, made, segment, kind)
    if report is not None:
        report.add("result", made.reference(), "OBX-3", segment.line)


def _key(context: Context, segment: Segment, report: Made | None, concept: Resource) -> str:
    """One observation: its report or visit, its code, sub-id and time."""
    scope = report.key.removeprefix(context.mapped.source + "|") if report else context.scope()
    coding = (concept.get("coding") or [{}])[0]
    parts = (coding.get("code") or concept["text"], said(segment.value(4).whole), segment.value(14).component(1))
    return context.own_key(scope, "observation", *parts)


def _details(context: Context, made: Made, segment: Segment) -> None:
    for value in segment.values(8):
        code = said(value.component(1))
        system = INTERPRETATION if code in _INTERPRETATIONS else ""
        made.add("interpretation", coded(context, value, system), value.place, value.line)
    value = segment.value(7)
    limits = said(value.whole)
    made.add("referenceRange", {"text": limits} if limits else None, value.place, value.line)
    for value in segment.values(16):
        made.add("performer", practitioner(context, value), value.place, value.line)
    value = segment.value(23)
    if said(value.component(1)):
        made.add("performer", named_organization(context, value), value.place, value.line)
    value = segment.value(17)
    made.put("method", coded(context, value), value.place, value.line)
    value = segment.value(20)
    made.put("bodySite", coded(context, value), value.place, value.line)
    for note, value in notes(context, segment):
        made.add("note", note, value.place, value.line)


def _values(context: Context, made: Made, segment: Segment, kind: str) -> None:
    """value[x] of OBX-5; several repetitions become components, none of them is lost."""
    found = [
        (element, value)
        for value in segment.values(5)
        if (element := _value(context, value, kind, segment.value(6))) is not None
    ]
    if len(found) == 1:
        (name, content), value = found[0]
        made.put(name, content, value.place, value.line)
    for (name, content), value in found if len(found) > 1 else []:
        made.add("component", {"code": made.resource["code"], name: content}, value.place, value.line)


def _value(context: Context, value: Value, kind: str, units: Value) -> tuple[str, object] | None:
    """(element, content) of one repetition; what does not fit its type is kept as text, with a warning."""
    words = value.whole
    if not words:
        return None
    if kind == "NM":
        number = decimal(value.component(1))
        if number is not None:
            return "valueQuantity", quantity(context, number, units)
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
        at = context.when(value)
        return ("valueDateTime", at) if at else None
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
    if high is not None and separator == "-" and sign in ("", "="):
        return "valueRange", {"low": start, "high": quantity(context, high, units)}
    if high is not None and separator in (":", "/") and sign in ("", "="):
        return "valueRatio", {"numerator": {"value": low}, "denominator": {"value": high}}
    return None


# --------------------------------------------------------------------------------------------- attachments
def _attached(context: Context, segment: Segment, report: Made | None, concept: Resource, kind: str) -> None:
    """ED (bytes in the message) and RP (a pointer): part of the report, or a document of its own."""
    for value in segment.values(5):
        attachment = _attachment(context, value, kind, concept["text"])
        if attachment is None:
            continue
        if report is not None:
            report.add("presentedForm", attachment, value.place, value.line)
            continue
        made = context.make("DocumentReference", context.own_key(context.scope(), "document", concept["text"]), "owned")
        made.put("status", "current")
        made.put("type", concept, "OBX-3", segment.line)
        made.put("subject", context.subject(), "PID-3")
        made.add("content", {"attachment": attachment}, value.place, value.line)


def _attachment(context: Context, value: Value, kind: str, title: str) -> Resource | None:
    if kind == "RP":
        pointer = value.component(1)
        return {"url": pointer, "title": title} if re.match(r"(https?|ftp|file)://\S+$", pointer) else None
    type, subtype, encoding, data = (value.component(n) for n in range(2, 6))
    value.component(1)
    if encoding.lower() != "base64" or not re.fullmatch(r"[A-Za-z0-9+/\s]+={0,2}", data) or not data:
        context.problem("warning", "value", "the data are not base64; left in the message", value.place, value.line)
        return None
    known = _CONTENT.get(subtype.upper())
    content_type = known or (f"{type}/{subtype}".lower() if "/" not in subtype and type and subtype else subtype)
    return filled({"contentType": content_type, "data": re.sub(r"\s", "", data), "title": title})
