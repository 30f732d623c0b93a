"""MSH and EVN -> what the message says of itself: elements of the DocumentReference of the raw message and of its
Provenance (adapters.kit.transaction)."""

from adapters.contract import Resource
from adapters.hl7v2.map_context import V2, Context, filled
from adapters.hl7v2.map_names import names
from adapters.hl7v2.message import Segment, Value
from adapters.kit import dates

PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def envelope(context: Context) -> None:
    """The message's number, sender, event, version and time; who entered the event, when it happened, and why."""
    header = context.message.header
    _sent(context, header.value(7))
    number = header.value(10)
    if not number.whole:
        text = "the message has no number (MSH-10): its answer cannot be matched to it"
        context.problem("warning", "required", text, "MSH-10", header.line)
    document, provenance = context.mapped.document, context.mapped.provenance
    if number.whole:
        document["masterIdentifier"] = {"system": context.local("message"), "value": number.whole}
        context.landed(number)
    sender = [value.said(1) for value in (header.value(3), header.value(4)) if value.said(1)]
    if sender:
        document["author"] = [{"display": " / ".join(sender)}]
        context.landed(header.value(3), header.value(4))
    kind, version = header.value(9), header.value(12)
    event = kind.component(2)
    if event:
        coding = {"system": f"{V2}0003", "code": event}
        document["context"] = {"event": [{"coding": [coding], "text": context.mapped.kind}]}
        context.landed(kind)
    if version.said(1):
        document["format"] = {"system": f"{V2}0104", "code": version.said(1)}
        context.landed(version)
    entered = context.message.first("EVN")
    if entered is not None:
        _entered(context, entered, provenance)


def _sent(context: Context, value: Value) -> None:
    try:  # the time of sending only dates the document: a bad one is no reason to refuse the content
        context.mapped.when = dates.date_time(value.component(1), context.site.zone)
        context.landed(value)
    except ValueError as problem:
        context.problem("warning", "value", str(problem), "MSH-7", value.line)


def _entered(context: Context, segment: Segment, provenance: Resource) -> None:
    """EVN: 1 the event again, 2 when it was entered, 4 why, 5 by whom, 6 when it happened, 7 where."""
    segment.value(1).taken()
    for field in (6, 2):
        value = segment.value(field)
        try:
            at = dates.date_time(value.component(1), context.site.zone)
        except ValueError as problem:
            context.problem("warning", "value", str(problem), value.place, value.line)
            continue
        if at and "occurredDateTime" not in provenance:
            provenance["occurredDateTime"] = at
            context.landed(value)
    reason = segment.value(4)
    code, display = reason.said(1), reason.said(2)
    if code or display:
        coding = [filled({"system": f"{V2}0062", "code": code, "display": display})] if code else []
        provenance["reason"] = [filled({"coding": coding, "text": display or code})]
        context.landed(reason)
    for field, role, code in ((5, "Enterer", "enterer"), (7, "Custodian", "custodian")):
        for value in segment.values(field):
            who = _operator(context, value) if field == 5 else value.said(1)
            if who:
                type = {"coding": [{"system": PARTICIPANT, "code": code, "display": role}]}
                provenance.setdefault("agent", []).append({"type": type, "who": {"display": who}})
                context.landed(value)


def _operator(context: Context, value: Value) -> str:
    found = names(context, value, 2)
    return found[0]["text"] if found else value.said(1)
