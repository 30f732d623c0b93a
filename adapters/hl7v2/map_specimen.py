"""SPM, SAC -> Specimen; of older messages, the specimen fields of OBR."""

from adapters.contract import Resource
from adapters.hl7v2.map_context import Context, filled
from adapters.hl7v2.map_datatypes import add_notes, amount, coded, entity, note, when
from adapters.hl7v2.map_people import practitioner
from adapters.hl7v2.message import Segment, Value
from adapters.hl7v2.structure import Group
from adapters.kit.resource import Made


def specimen(context: Context, group: Group, order: Made | None = None) -> Made | None:
    """A SPECIMEN or TESTED group -> Specimen."""
    segment = group.first("SPM")
    if segment is None or context.patient is None:
        return None
    pair = segment.value(2)
    placer, filler = (_number(context, pair, at) for at in (1, 2))
    kind = segment.value(4)
    concept = coded(context, kind)
    numbers = [number for number in (filler, placer) if number]
    scope = context.short(order) if order and not numbers else ""
    identity = numbers[0]["value"] if numbers else f"{scope}|{(concept or {}).get('text', '')}|{segment.raw(1)}"
    key = context.key("specimen", identity)
    known = context.made(key)
    if known is not None:
        return known
    made = context.make("Specimen", key, "owned")
    for number in numbers:
        made.add("identifier", number, pair.place, pair.line)
    container = group.first("SAC")
    if container is not None:
        _accession(context, made, container)
    state = segment.value(20)
    row = context.row("specimen_status", state.taken().said(1))
    made.put("status", row[0] if row else None, state.place, state.line)
    made.put("type", concept, kind.place, kind.line)
    made.put("subject", context.subject(), "PID-3")
    _collected(context, made, segment)
    context.fill(made, segment, _FIELDS)
    _held(context, made, segment, container)
    add_notes(context, made, group.all("NTE"))
    return made


_FIELDS = (
    (18, "receivedTime", when),
    (24, "condition[]", coded),
    (14, "note[]", note),
)


def _number(context: Context, pair: Value, at: int) -> Resource | None:
    """SPM-2: placer and filler number, each an EI in a component."""
    inner = pair.part(at)
    return entity(context, inner, "specimen", ("PLAC", "FILL")[at - 1]) if inner.text else None


def _accession(context: Context, made: Made, segment: Segment) -> None:
    value = segment.value(2)
    made.put("accessionIdentifier", entity(context, value, "accession"), value.place, value.line)


def _collected(context: Context, made: Made, segment: Segment) -> None:
    """SPM-7 method, 8 site, 12 amount, 17 when."""
    at = segment.value(17)
    period = context.period(at, at, (1, 2))
    ranged = "end" in period and period["end"] != period.get("start")
    method, site, size = segment.value(7), segment.value(8), segment.value(12)
    context.inner(
        made,
        "collection",
        [
            ("collectedPeriod", period if ranged else None, at),
            ("collectedDateTime", None if ranged else period.get("start"), at),
            ("quantity", amount(context, size), size),
            ("method", coded(context, method), method),
            ("bodySite", coded(context, site), site),
        ],
    )
    added = [(concept, value) for value in segment.values(6) if (concept := coded(context, value))]
    for concept, value in added:
        made.add("processing", {"additive": [{"display": concept["text"]}]}, value.place, value.line)


def _held(context: Context, made: Made, segment: Segment, container: Segment | None) -> None:
    """SPM-27 and SAC-3: what the specimen is in."""
    kind = segment.value(27)
    content: Resource = {"type": coded(context, kind)}
    values = [kind]
    if container is not None:
        number = container.value(3)
        own = entity(context, number, "container")
        content["identifier"] = [own] if own else None
        values.append(number)
    content = filled(content)
    if content:
        made.add("container", content)
        context.traced(made, "container[0]", *(value for value in values if value))


def specimen_of_order(context: Context, segment: Segment, order: Made) -> Made | None:
    """The Specimen that OBR-10, 14 and 15 describe, where the message has no SPM."""
    source, received = segment.value(15), segment.value(14)
    kind = coded(context, source.part(1)) if source else None
    if not kind and not received.component(1):
        return None
    made = context.make("Specimen", context.own_key(context.short(order), "specimen"), "owned")
    made.put("type", kind, source.place, source.line)
    made.put("subject", context.subject(), "PID-3")
    made.put("receivedTime", context.when(received), received.place, received.line)
    collector, at, size = segment.value(10), segment.value(7), segment.value(9)
    site = source.part(4)
    context.inner(
        made,
        "collection",
        [
            ("collector", practitioner(context, collector), collector),
            ("collectedDateTime", context.when(at), at),
            ("quantity", amount(context, size), size),
            ("bodySite", coded(context, site), source),
        ],
    )
    if source.said(3):
        made.add("note", {"text": source.said(3)}, source.place, source.line)
    return made
