"""SIU: SCH and its RESOURCES groups (AIS, AIG, AIL, AIP) -> Appointment."""

from datetime import datetime, timedelta

from adapters.contract import Resource
from adapters.hl7v2.map_context import Context, filled
from adapters.hl7v2.map_datatypes import coded, decimal, entity, first_text
from adapters.hl7v2.map_people import place, practitioner
from adapters.hl7v2.message import Segment, Value
from adapters.hl7v2.structure import Group
from adapters.kit.resource import Made

_MINUTES = {"MIN": 1, "M": 1, "MINUTES": 1, "MINUTE": 1, "分钟": 1, "H": 60, "HR": 60, "HOURS": 60, "小时": 60}
_WITHOUT_TIME = ("proposed", "cancelled", "waitlist")  # rule app-3


def appointment(context: Context, root: Group) -> None:
    """The appointment of the message; its patient and resources are its participants."""
    segment = root.first("SCH")
    if segment is None:
        context.problem("error", "required", "an appointment message without an SCH segment", "SCH", 1)
        return
    given = []
    for field, code in ((2, "FILL"), (1, "PLAC")):
        number = entity(context, segment.value(field), "appointment", code)
        if number is not None:
            given.append((number, segment.value(field)))
    identity = given[0][0]["value"] if given else context.message.header.value(10).whole
    if not given:
        text = "the appointment has no number (SCH-1, SCH-2): a later message about it cannot find it"
        context.problem("warning", "incomplete", text, segment.place(1), segment.line)
    made = context.make("Appointment", context.own_key("appointment", identity), "owned")
    for number, value in given:
        made.add("identifier", number, value.place, value.line)
    made.put("status", _status(context, segment), segment.place(25), segment.line)
    resources = [inner for group in root.sub("RESOURCES") for inner in group.groups]
    for inner in resources:
        _service(context, made, inner)
    context.fill(made, segment, _FIELDS)
    _times(context, made, root, segment, resources)
    _comment(context, made, root, segment, resources)
    _participants(context, made, segment, resources)


_FIELDS = (
    (8, "appointmentType", coded),
    (7, "reasonCode[]", coded),
)


def _status(context: Context, segment: Segment) -> str:
    """What the event says; the filler's word (SCH-25) where it goes further."""
    value = segment.value(25)
    row = context.row("appointment_status", value.taken().said(1))
    if row is None and value.said(1):
        context.unknown(value, value.said(1), "filler status")
    decided = context.event.state
    if decided in ("cancelled", "entered-in-error", "noshow"):
        return decided
    return row[0] if row else decided or "booked"


def _service(context: Context, made: Made, inner: Group) -> None:
    if inner.name == "SERVICE":
        segment = inner.segments[0]
        value = segment.value(3)
        made.add("serviceType", coded(context, value), value.place, value.line)


# ------------------------------------------------------------------------------------------------- times
def _times(context: Context, made: Made, root: Group, segment: Segment, resources: list[Group]) -> None:
    """start and end: SCH-11, else TQ1, else the first resource that has them; an end from the duration."""
    start_at, end_at, start, end = _bounds(context, root, segment)
    minutes, size = _duration(segment)
    for inner in resources:
        first = inner.segments[0]
        at = 4 if inner.name == "SERVICE" else 8 if inner.name == "GENERAL" else 6
        value = first.value(at)
        if start:
            if context.instant(value) == start:
                context.traced(made, "start", value)
            continue
        start, start_at = context.instant(value), value
        if minutes is None:
            minutes, size = _length(first.value(at + 3), first.value(at + 4)), first.value(at + 3)
    if start and not end and minutes:
        end = (datetime.fromisoformat(start.replace(":60", ":59")) + timedelta(minutes=minutes)).isoformat()
        end_at = size
    if start and end and _earlier(end, start):
        context.problem("warning", "business-rule", f"{end} lies before {start}; left out", end_at.place, end_at.line)
        end = ""
    if start and not end and made.resource["status"] not in _WITHOUT_TIME:
        text = "the appointment has neither an end nor a duration; its end is its start"
        context.problem("warning", "incomplete", text, segment.place(9), segment.line)
    if not start and made.resource["status"] not in _WITHOUT_TIME:
        text = "the appointment has no time; it is a proposed one"
        context.problem("warning", "incomplete", text, segment.place(11), segment.line)
        made.resource["status"] = "proposed"
    if start:
        made.put("start", start, start_at.place, start_at.line)
        made.put("end", end or start, end_at.place, end_at.line)
    if minutes and minutes >= 1:
        made.put("minutesDuration", int(minutes), size.place, size.line)
        context.traced(made, "minutesDuration", *([segment.value(10)] if size.place == "SCH-9" else []))


def _bounds(context: Context, root: Group, segment: Segment) -> tuple[Value, Value, str, str]:
    old, timing = segment.value(11), root.first("TQ1")
    if old.component(4):
        return old, old, _instant(context, old, 4), _instant(context, old, 5)
    if timing is not None:
        first, last = timing.value(7), timing.value(8)
        return first, last, context.instant(first), context.instant(last)
    return old, old, "", ""


def _instant(context: Context, value: Value, component: int) -> str:
    at = context.when(value, component)
    return at if "T" in at else ""


def _earlier(one: str, other: str) -> bool:
    first, second = (datetime.fromisoformat(at.replace(":60", ":59")) for at in (one, other))
    return first < second


def _duration(segment: Segment) -> tuple[float | None, Value]:
    return _length(segment.value(9), segment.value(10)), segment.value(9)


def _length(size: Value, unit: Value) -> float | None:
    number = decimal(size.component(1))
    unit.taken()
    factor = _MINUTES.get((unit.said(1) or "MIN").upper(), 0)
    return float(number * factor) if number is not None and 0 < number * factor < 100_000 else None


# ------------------------------------------------------------------------------------------- participants
def _participants(context: Context, made: Made, segment: Segment, resources: list[Group]) -> None:
    status = "declined" if made.resource["status"] == "cancelled" else "accepted"
    if context.patient is not None:
        made.add("participant", {"actor": context.subject(), "status": status}, "PID-3")
    for inner in resources:
        first = inner.segments[0]
        actor, role, value = _resource(context, inner, first)
        if actor:
            own = context.row("participation", first.value(12 if inner.name != "SERVICE" else 10).taken().said(1))
            content = {"type": [role] if role else [], "actor": actor, "status": own[0] if own else status}
            made.add("participant", filled(content), value.place, value.line)
            said = first.value(12) if own else Value(first, 0, 0, "")
            context.traced(made, "participant.type", *([first.value(4)] if role else []), said)
    for field, name in ((16, "filler contact"), (12, "placer contact"), (20, "entered by")):
        for value in segment.values(field):
            person = practitioner(context, value)
            if person:
                content = {"type": [{"text": name}], "actor": person, "status": status}
                made.add("participant", content, value.place, value.line)
    if "participant" not in made.resource:
        made.add("participant", {"actor": {"display": "not named"}, "status": "needs-action"})


def _resource(context: Context, inner: Group, first: Segment) -> tuple[Resource | None, Resource | None, Value]:
    value, kind = first.value(3), first.value(4)
    if inner.name == "PERSONNEL":
        return practitioner(context, value), coded(context, kind), value
    if inner.name == "PLACE":
        return place(context, value), coded(context, kind), value
    if inner.name == "GENERAL":
        words = first_text(context, value)
        return ({"display": words} if words else None), coded(context, kind), value
    return None, None, value


def _comment(context: Context, made: Made, root: Group, segment: Segment, resources: list[Group]) -> None:
    """SCH-6, the reason of the event, and NTE -> Appointment.comment: R4 has one text for all of them."""
    reason = segment.value(6)
    notes = [*root.all("NTE"), *(note for inner in resources for note in inner.all("NTE"))]
    said = [(first_text(context, reason), reason), *((v.whole, v) for note in notes for v in note.values(3))]
    found = [(text, value) for text, value in said if text]
    if found:
        made.put("comment", "\n".join(text for text, _ in found))
        context.traced(made, "comment", *(value for _, value in found))
