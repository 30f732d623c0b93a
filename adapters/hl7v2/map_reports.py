"""OBR with its OBX -> DiagnosticReport and Observations; the numbers of orders and results."""

from adapters.contract import Resource
from adapters.hl7v2.map_context import Context
from adapters.hl7v2.map_datatypes import coded, entity, in_table, instant, unknown_concept
from adapters.hl7v2.map_people import practitioner, roles, status_of
from adapters.hl7v2.map_results import comment, observations
from adapters.hl7v2.message import Segment, Value
from adapters.hl7v2.structure import Group
from adapters.kit.resource import Made


def numbers(
    context: Context, common: Segment | None, detail: Segment | None
) -> tuple[tuple[Resource, Value] | None, tuple[Resource, Value] | None]:
    """(placer, filler) order number of ORC-2/OBR-2 and ORC-3/OBR-3, each with where it stands."""
    found: list[tuple[Resource, Value] | None] = []
    for field, code in ((2, "PLAC"), (3, "FILL")):
        number = None
        for segment in (common, detail):
            value = segment.value(field) if segment is not None else None
            made = entity(context, value, "order", code) if value is not None else None
            if made is not None and value is not None and number is None:
                number = (made, value)
        found.append(number)
    return found[0], found[1]


_REPORT = (
    (32, "resultsInterpreter[]", lambda context, value: _principal(context, value)),
    (33, "resultsInterpreter[]", lambda context, value: _principal(context, value)),
    (34, "performer[]", lambda context, value: _principal(context, value)),
    (22, "issued", instant),
)


def _principal(context: Context, value: Value) -> Resource | None:
    """A NDL: the person stands in its first component."""
    return practitioner(context, value.part(1) if "&" in value.components()[0] else value)


def report(context: Context, group: Group, segment: Segment, request: Made | None = None) -> Made | None:
    """OBR and its OBX -> DiagnosticReport and Observations."""
    if context.patient is None:
        return None
    placer, filler = numbers(context, group.first("ORC"), segment)
    value = segment.value(4)
    concept = coded(context, value)
    number = (filler or placer or ({}, None))[0].get("value", "")
    started = segment.value(7)
    code = ((concept or {}).get("coding") or [{}])[0].get("code", "")
    identity = (f"{number}|{code}",) if number else (f"{concept['text'] if concept else ''}|{started.component(1)}",)
    scope = () if number else (context.scope(),)
    made = context.make("DiagnosticReport", context.own_key(*scope, "report", *identity), "owned")
    for own in (filler, placer):
        if own is not None:
            made.add("identifier", own[0], own[1].place, own[1].line)
    if request is not None:
        made.add("basedOn", request.reference(), segment.place(2), segment.line)
    status = segment.value(25)
    found = status_of(context, status, "report_status", "unknown", "report status")
    made.put("status", found, status.place, status.line)
    context.fill(made, segment, ((24, "category[]", in_table("0074")),))
    if concept is None:
        context.problem("warning", "incomplete", "the report does not say of what", segment.place(4), segment.line)
    made.put("code", concept or unknown_concept(), value.place, value.line)
    context.about(made)
    _effective(context, made, started, segment.value(8))
    context.fill(made, segment, _REPORT)
    for actor, _, value, _ in roles(context, group.segments):
        target = context.referenced(actor)
        if target is None or target.type in ("Practitioner", "Organization"):
            made.add("performer", actor, value.place, value.line)
    observations(context, group.sub("OBSERVATION"), made, segment)
    for remark in group.all("NTE"):
        comment(context, remark, made)
    return made


def _effective(context: Context, made: Made, start: Value, end: Value) -> None:
    period = context.period(start, end)
    if "end" in period and period["end"] != period.get("start"):
        made.put("effectivePeriod", period, start.place, start.line)
        context.traced(made, "effectivePeriod", end)
    else:
        made.put("effectiveDateTime", period.get("start"), start.place, start.line)
