"""Which rules a message type runs, and in which order; what no rule has read is listed, never dropped in silence."""

from collections.abc import Callable

from adapters.contract import Mapped
from adapters.hl7v2.map_clinical import allergy, condition, procedure
from adapters.hl7v2.map_context import Context, said
from adapters.hl7v2.map_people import contact, facility, patient
from adapters.hl7v2.map_referral import referral
from adapters.hl7v2.map_results import results
from adapters.hl7v2.map_visit import coverage, encounter
from adapters.hl7v2.message import Message, Segment
from adapters.kit import dates

ENVELOPE = frozenset({"MSH", "SFT", "EVN", "UAC"})
"""Segments about the message itself: their unread fields are no clinical content and are not listed."""

_EACH: dict[str, Callable[[Context, Segment], None]] = {
    "NK1": contact,
    "DG1": condition,
    "AL1": allergy,
    "PR1": procedure,
    "IN1": coverage,
}
_SHOWN = 60  # characters of an unmapped value that a person needs to recognise it


def _admission(context: Context) -> None:
    """ADT: the sender is the authority on its patient, so the patient is refreshed."""
    _patient_and_visit(context, "refreshed")
    _segments(context)


def _referral(context: Context) -> None:
    """REF: the patient belongs to somebody's ADT; a referral only makes sure that there is one."""
    _patient_and_visit(context, "shared")
    found = context.message.first("RF1")
    if found is None:
        context.problem("error", "required", "a referral without an RF1 segment", "RF1", 1)
    else:
        referral(context, found)
    _segments(context)


RULES: dict[str, Callable[[Context], None]] = {
    "ADT^A01": _admission,
    "ADT^A03": _admission,
    "ADT^A08": _admission,
    "REF^I12": _referral,
}


def map_message(record: Message) -> Mapped:
    """The resources of one message. Never raises for bad input: `problems` says what is wrong."""
    context = Context(record.fresh())
    _header(context)
    rule = RULES.get(context.mapped.kind)
    if rule is None:
        kind = context.mapped.kind
        known = ", ".join(RULES)
        code, text = ("not-supported", f"unsupported message type {kind}") if kind else ("required", "no message type")
        context.problem("error", code, f"{text} (supported: {known})", "MSH-9", 1)
        return context.mapped
    rule(context)
    _unread(context)
    return context.mapped


def _header(context: Context) -> None:
    header = context.message.header
    value = header.value(7)
    try:  # the time of sending only dates the document: a bad one is no reason to refuse the content
        context.mapped.when = dates.date_time(value.component(1))
    except ValueError as problem:
        context.problem("warning", "value", str(problem), "MSH-7", value.line)
    if not header.value(10).whole:
        text = "the message has no number (MSH-10): its answer cannot be matched to it"
        context.problem("warning", "required", text, "MSH-10", header.line)


def _patient_and_visit(context: Context, mode: str) -> None:
    message = context.message
    facility(context, message.header.value(4))
    who = message.first("PID")
    if who is None:
        context.problem("error", "required", "the message has no PID segment", "PID", message.segments[-1].line)
        return
    patient(context, who, "refreshed" if mode == "refreshed" else "shared")
    context.mapped.subject = context.patient_key
    visit = message.first("PV1")
    if visit is not None:
        encounter(context, visit, message.first("PV2"), message.first("EVN"))


def _segments(context: Context) -> None:
    for segment in context.message.segments:
        rule = _EACH.get(segment.name)
        if rule is not None:
            rule(context, segment)
    results(context)


def _unread(context: Context) -> None:
    for segment in context.message.segments:
        if segment.name in ENVELOPE:
            continue
        left = [(place, text) for place, text in segment.unread() if said(text)]
        if left and not segment.touched:
            context.problem("information", "unmapped", "no rule maps this segment", segment.name, segment.line)
            continue
        for place, text in left:
            shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
            context.problem("information", "unmapped", f"no rule maps {shown!r}", place, segment.line)
