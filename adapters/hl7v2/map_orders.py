"""Orders and their results: an ORDER group (ORC, OBR, TQ1 …) -> ServiceRequest, Specimen, DiagnosticReport."""

from adapters.contract import Resource
from adapters.hl7v2.map_clinical import condition
from adapters.hl7v2.map_context import Context, filled
from adapters.hl7v2.map_coverage import charge
from adapters.hl7v2.map_datatypes import (
    add_notes,
    amount,
    coded,
    entity,
    in_table,
    note,
    text_concept,
    when,
)
from adapters.hl7v2.map_names import address, work_phone
from adapters.hl7v2.map_people import described_organization, practitioner, roles
from adapters.hl7v2.map_reports import numbers, report
from adapters.hl7v2.map_results import observations
from adapters.hl7v2.map_specimen import specimen, specimen_of_order
from adapters.hl7v2.message import Segment, Value
from adapters.hl7v2.structure import Group
from adapters.kit.resource import Made, reference

_EMPTY = "the order does not say for what"
REPORTING = ("ORU", "OUL")


def order(context: Context, group: Group, shared_specimens: list[Made] | None = None) -> Made | None:
    """One order of a patient with what hangs on it. Medication and vaccination are map_medications' and others'."""
    if context.patient is None:
        return None
    common, detail = group.first("ORC"), group.first("OBR")
    request = service_request(context, group, common, detail)
    specimens = list(shared_specimens or [])
    specimens += [made for sub in group.sub("SPECIMEN") if (made := specimen(context, sub, request))]
    if detail is not None and not specimens and request is not None:
        described = specimen_of_order(context, detail, request)
        specimens += [described] if described else []
    if request is not None:
        for made in specimens:
            request.add("specimen", made.reference(), "SPM-2")
    diagnoses(context, group, request)
    if detail is not None and is_report(context, group, detail):
        made = report(context, group, detail, request)
        for one in specimens if made else []:
            made.add("specimen", one.reference(), "SPM-2")  # type: ignore[union-attr]
    else:
        for made in observations(context, group.sub("OBSERVATION"), None, detail):
            if request is not None:
                request.add("supportingInfo", made.reference(), "OBX-3")
    for sub in group.sub("SPECIMEN"):
        observations(context, sub.sub("OBSERVATION"), None, detail)
    for sub in group.sub("CHARGE"):
        charge(context, sub)
    return request


def is_report(context: Context, group: Group, detail: Segment) -> bool:
    """Whether an OBR tells of results: in result messages always, in orders when it has a status and observations."""
    if context.event.name[:3] in REPORTING or group.name == "REPORT":
        return True
    return bool(group.sub("OBSERVATION") and detail.value(25).said(1) and detail.value(22).said(1))


def diagnoses(context: Context, group: Group, request: Made | None) -> None:
    """DG1 of an order -> Condition, the reason of the order."""
    for segment in group.all("DG1"):
        before = len(context.mapped.items)
        condition(context, segment, group)
        for item in context.mapped.items[before:]:
            if item.resource["resourceType"] == "Condition" and request is not None:
                request.add("reasonReference", reference(item.key), segment.place(3), segment.line)


# ----------------------------------------------------------------------------------------- ServiceRequest
def service_request(context: Context, group: Group, common: Segment | None, detail: Segment | None) -> Made | None:
    """The ServiceRequest of an order; of a result, the laboratory's own (filler-order), which points at the order by
    its number. A result without any order number has none."""
    placer, filler = numbers(context, common, detail)
    reporting = context.event.name[:3] in REPORTING
    if reporting and placer is None and filler is None:
        return None
    identity = _identity(context, (filler or placer) if reporting else (placer or filler), detail, reporting)
    made = context.make("ServiceRequest", context.own_key(*identity), "owned")
    for number in (placer, filler):
        made.add(
            "identifier",
            number[0] if number else None,
            number[1].place if number else "",
            number[1].line if number else 0,
        )
    _requisition(context, made, common)
    status, value = order_status(context, common, "service", "active" if not reporting else "unknown")
    made.put("status", status, value.place if value else "ORC-1", value.line if value else None)
    made.put("intent", "filler-order" if reporting else "order")
    if reporting and placer is not None:
        made.add("basedOn", {"identifier": placer[0]}, placer[1].place, placer[1].line)
    code = detail.value(4) if detail is not None else None
    concept = coded(context, code) if code is not None else None
    if concept is None and detail is not None:
        context.problem("warning", "incomplete", _EMPTY, "OBR-4", detail.line)
    made.put("code", concept, code.place if code else "", code.line if code else None)
    context.about(made)
    if detail is not None:
        _parent(context, made, detail.value(29))
    _when(context, made, group, common, detail)
    _asked(context, made, common, detail)
    context.fill(made, common, _COMMON)
    context.fill(made, detail, _DETAIL)
    for actor, _, value, _ in roles(context, group.segments):
        made.add("performer", actor, value.place, value.line)
    if not reporting:
        add_notes(context, made, group.all("NTE"))
    return made


def _identity(
    context: Context, number: tuple[Resource, Value] | None, detail: Segment | None, reporting: bool
) -> tuple[str, ...]:
    """What an order is known by: its number. The one who fills it has a request of its own for each service."""
    service = detail.value(4).component(1) if detail is not None else ""
    if number is None:
        return "order", f"{context.scope()}|{service}|{context.message.header.value(10).whole}"
    words = f"{number[0]['system']}|{number[0]['value']}"
    return ("filled", words, service) if reporting else ("order", words)


def _requisition(context: Context, made: Made, common: Segment | None) -> None:
    if common is None:
        return
    value = common.value(4)
    made.put("requisition", entity(context, value, "order-group", "PGN"), value.place, value.line)
    _parent(context, made, common.value(8))


def _parent(context: Context, made: Made, value: Value) -> None:
    """ORC-8, OBR-29: the order that this one follows, by its placer number."""
    inner = value.part(1) if "&" in value.text else value
    number = entity(context, inner, "order", "PLAC")
    made.add("basedOn", {"identifier": number} if number else None, value.place, value.line)


def order_status(context: Context, common: Segment | None, column: str, missing: str) -> tuple[str, Value | None]:
    """The request's status: what ORC-1 does to the order where it ends or holds it, else ORC-5, else `missing`."""
    if common is None:
        return missing, None
    at = {"service": 0, "medication": 1}[column]
    control, state = common.value(1), common.value(5)
    row = context.row("order_control", control.taken().component(1))  # NA is a code here, not a placeholder
    if row is None and control.said(1):
        context.unknown(control, control.said(1), "order control")
    said = context.row("order_status", state.taken().said(1))
    if said is None and state.said(1):
        context.unknown(state, state.said(1), "order status")
    if row and row[2] == "final":
        return row[at], control
    if said:
        return said[at], state
    return (row[at], control) if row and row[at] else (missing, control if control else None)


_COMMON = (
    (9, "authoredOn", when),
    (16, "reasonCode[]", coded),
    (29, "category[]", coded),
)
_DETAIL = (
    (24, "category[]", in_table("0074")),
    (12, "orderDetail[]", coded),
    (31, "reasonCode[]", coded),
    (13, "note[]", note),
    (39, "note[]", text_concept),
    (46, "note[]", text_concept),
    (6, "authoredOn", when),
)


def _when(context: Context, made: Made, group: Group, common: Segment | None, detail: Segment | None) -> None:
    """Priority, quantity, period: TQ1, else the old quantity/timing of ORC-7 or OBR-27, else OBR-5, OBR-36."""
    timing = next((sub.first("TQ1") for sub in group.sub("TIMING")), None)
    old = next((s.value(f) for s, f in ((common, 7), (detail, 27)) if s is not None and s.raw(f)), None)
    if timing is not None:
        size, start, end, how, urgent = (timing.value(n) for n in (2, 7, 8, 3, 9))
        at = (1, 1)
    elif old is not None:
        size, start, end, how, urgent = old.part(1), old, old, old.part(2), old.part(6)
        at = (4, 5)
    elif detail is not None:
        size = how = Value(detail, 0, 0, "")
        start, end, urgent, at = detail.value(36), Value(detail, 0, 0, ""), detail.value(5), (1, 1)
    else:
        return
    code = urgent.taken().said(1) if urgent.text else ""
    row = context.row("priority", code)
    made.put("priority", row[0] if row else None, urgent.place, urgent.line)
    if code and row is None:
        context.unknown(urgent, code, "priority")
    number = amount(context, size)
    made.put("quantityQuantity", number, size.place, size.line)
    period = context.period(start, end, at)
    every = how.said(1)
    if every:
        repeat = {"boundsPeriod": period} if period else {}
        made.put("occurrenceTiming", filled({"repeat": repeat, "code": {"text": every}}), how.place, how.line)
        context.traced(made, "occurrenceTiming.repeat", *((start, end) if period else ()))
    elif "end" in period:
        made.put("occurrencePeriod", period, start.place, start.line)
        context.traced(made, "occurrencePeriod", end)
    else:
        made.put("occurrenceDateTime", period.get("start"), start.place, start.line)


def _asked(context: Context, made: Made, common: Segment | None, detail: Segment | None) -> None:
    """Who ordered: ORC-12 or OBR-16, in the institution of ORC-21; the telephone to call back."""
    person, at = None, None
    for segment, field in ((common, 12), (detail, 16)):
        for value in segment.values(field) if segment is not None else []:
            found = practitioner(context, value)
            if found is not None and person is None:
                person, at = found, value
            elif found is not None and at is not None and person == found:
                context.traced(made, "requester", value)
    ordering = context.referenced(person) if person else None
    if ordering is not None and common is not None and ordering.type == "Practitioner":
        context.fill(ordering, common, ((24, "address[]", address),))
    institution = None
    if common is not None and common.raw(21):
        institution = described_organization(context, common.value(21), common.value(22), common.value(23))
    if person is not None and institution is not None and common is not None:
        made.put("requester", _role(context, person, institution, common, detail), at.place, at.line)  # type: ignore[union-attr]
    elif person is not None:
        made.put("requester", person, at.place if at else "", at.line if at else None)
    elif institution is not None and common is not None:
        made.put("requester", institution, "ORC-21", common.line)


def _role(
    context: Context, person: Resource, institution: Resource, common: Segment, detail: Segment | None
) -> Resource:
    """The PractitionerRole of one who orders for an institution."""
    who = f"{person.get('reference', person.get('display'))}|{institution['reference']}"
    key = context.key("role", who, "orderer")
    if context.made(key) is None:
        made = context.make("PractitionerRole", key, "owned")
        made.put("practitioner", person, "ORC-12", common.line)
        made.put("organization", institution, "ORC-21", common.line)
        context.fill(made, common, ((14, "telecom[]", work_phone),))
        context.fill(made, detail, ((17, "telecom[]", work_phone),))
    return reference(key, person.get("display", ""))
