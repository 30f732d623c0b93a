"""The referral: RF1 -> ServiceRequest and Task, PRD -> Practitioner, PractitionerRole and Organization."""

from adapters.contract import Resource
from adapters.hl7v2.map_context import Context, filled
from adapters.hl7v2.map_datatypes import add_notes, coded, entity, note, table_coding, text_concept
from adapters.hl7v2.map_names import address, names, work_phone
from adapters.hl7v2.map_people import named_organization, organization, place, practitioner
from adapters.hl7v2.message import Segment
from adapters.hl7v2.structure import Group
from adapters.kit.resource import Made, reference

REFERRAL = {
    "coding": [{"system": "http://snomed.info/sct", "code": "3457005", "display": "Patient referral"}],
    "text": "Patient referral",
}
FULFIL = {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]}


def referral(context: Context, root: Group) -> None:
    """RF1 and the PRD around it. A referral without a receiver is an error: nobody would act on it. An answer (RRI)
    names whom it likes."""
    segment = root.first("RF1")
    answer = context.event.name.startswith("RRI")
    if segment is None:
        severity = "information" if answer else "error"
        context.problem(severity, "required", "a referral without an RF1 segment", "RF1", 1)
        return
    requesters, performers = _providers(context, root)
    for field, maker in ((19, named_organization), (20, practitioner)):
        value = segment.value(field)
        named = maker(context, value)
        if named and named not in performers:
            performers.append(named)
    if not performers and not answer:
        text = "the referral names no receiver: no PRD with role RT (referred to), no RF1-19, no RF1-20"
        context.problem("error", "required", text, "PRD-1", segment.line)
    if context.patient is None:
        return
    requester = requesters[0] if requesters else context.organization
    made = _request(context, root, segment, requester, performers)
    _task(context, segment, made, requester, performers)


# ----------------------------------------------------------------------------------------- ServiceRequest
def _request(
    context: Context, root: Group, segment: Segment, requester: Resource | None, performers: list[Resource]
) -> Made:
    own, outer = (entity(context, segment.value(field), "referral") for field in (6, 11))
    identity = (own or outer or {}).get("value") or f"message {context.message.header.value(10).whole}"
    if not (own or outer):
        text = "the referral has no number; the message's own (MSH-10) stands in"
        context.problem("warning", "incomplete", text, segment.place(6), segment.line)
    made = context.make("ServiceRequest", context.own_key("referral", identity), "owned")
    for number, field in ((own, 6), (outer, 11)):
        made.add("identifier", number, f"RF1-{field}", segment.line)
    made.put("status", _status(context, segment), segment.place(1), segment.line)
    made.put("intent", "order")
    context.fill(made, segment, ((3, "category[]", coded), (5, "category[]", coded)))
    _priority(context, made, segment)
    made.put("code", REFERRAL)
    context.fill(made, segment, ((4, "orderDetail[]", coded),))
    context.about(made)
    period = context.period(segment.value(7), segment.value(8))
    if "end" in period:
        made.put("occurrencePeriod", period, segment.place(8), segment.line)
    made.put("authoredOn", period.get("start"), segment.place(7), segment.line)
    made.put("requester", requester, "PRD-1")
    for performer in performers:
        made.add("performer", performer, "PRD-1")
    context.fill(made, segment, _REASONS)
    add_notes(context, made, root.notes(segment))
    return made


_REASONS = (
    (10, "reasonCode[]", coded),
    (14, "reasonCode[]", text_concept),
    (24, "note[]", note),
)


def _status(context: Context, segment: Segment) -> str:
    """ServiceRequest.status of RF1-1; RF1-25 = D takes the referral back, the event I14 cancels it."""
    if segment.value(25).component(1).upper() == "D":
        return "entered-in-error"
    value = segment.value(1)
    code = value.taken().said(1)
    row = context.row("referral_status", code)
    if code and row is None:
        context.unknown(value, code, "referral status")
    if context.event.state:
        return context.event.state
    if row is None:
        return "unknown" if code else "active"
    return row[0]


def _priority(context: Context, made: Made, segment: Segment) -> None:
    value = segment.value(2)
    code = value.taken().said(1)
    row = context.row("referral_priority", code)
    if code and row is None:
        context.unknown(value, code, "referral priority")
        made.add("note", {"text": f"RF1-2: {value.said(2) or code}"})
    made.put("priority", row[0] if row else None, value.place, value.line)


# --------------------------------------------------------------------------------------------------- Task
def _task(
    context: Context, segment: Segment, request: Made, requester: Resource | None, performers: list[Resource]
) -> None:
    """The Task that carries the referral's state (RF1-1) between the two sides."""
    made = context.make("Task", request.key + "|task", "owned")
    status, row = _status_row(context, segment)
    made.put("status", status, segment.place(1), segment.line)
    if row:
        code = segment.value(1).said(1).upper()
        made.put("businessStatus", table_coding("0283", code, row[2]), segment.place(1), segment.line)
    else:
        made.put("businessStatus", coded(context, segment.value(1)), segment.place(1), segment.line)
    made.put("intent", "order")
    made.put("priority", request.resource.get("priority"), segment.place(2), segment.line)
    made.put("code", FULFIL)
    made.put("focus", request.reference(), segment.place(6), segment.line)
    context.about(made, "for")
    value = segment.value(9)
    made.put("authoredOn", context.when(value), value.place, value.line)
    made.put("requester", requester, "PRD-1")
    made.put("owner", performers[0] if performers else None, "PRD-1")


def _status_row(context: Context, segment: Segment) -> tuple[str, tuple[str, ...] | None]:
    if segment.value(25).component(1).upper() == "D":
        return "entered-in-error", None
    row = context.row("referral_status", segment.value(1).said(1))
    if context.event.state == "revoked":
        return "cancelled", row
    return (row[1] if row else "requested"), row


# ---------------------------------------------------------------------------------------------- providers
def _providers(context: Context, root: Group) -> tuple[list[Resource], list[Resource]]:
    """(requesters, performers): who refers (RP) and who is referred to (RT), as references."""
    requesters: list[Resource] = []
    performers: list[Resource] = []
    for group in root.sub("PROVIDER"):
        segment = group.segments[0]
        roles = [value.said(1).upper() for value in segment.values(1)]
        made = _provider(context, segment)
        if made is None:
            continue
        if "RP" in roles:
            requesters.append(made)
        elif "RT" in roles:
            performers.append(made)
    return requesters, performers


_ROLE = (
    (1, "code[]", coded),
    (4, "location[]", place),
    (12, "location[]", place),
    (5, "telecom[]", work_phone),
)


def _provider(context: Context, segment: Segment) -> Resource | None:
    """A reference to the PractitionerRole of a PRD, or to its Organization where no person is named."""
    person, institution = _person(context, segment), _institution(context, segment)
    if person is None:
        return institution
    who = f"{person.get('reference', person.get('display'))}|{(institution or {}).get('reference', '')}"
    role = segment.value(1)
    made = context.make("PractitionerRole", context.own_key("role", who, role.said(1)), "owned")
    made.put("period", context.period(segment.value(8), segment.value(9)), segment.place(8), segment.line)
    made.put("practitioner", person, segment.place(2), segment.line)
    made.put("organization", institution, segment.place(10), segment.line)
    context.fill(made, segment, _ROLE)
    context.traced(made, "period", *([segment.value(9)] if "period" in made.resource else []))
    return reference(made.key, person.get("display", ""))


def _person(context: Context, segment: Segment) -> Resource | None:
    """The Practitioner: shared when PRD-7 has a number, else the sender's own, known by name."""
    value = segment.value(2)
    found = names(context, value)
    number = segment.value(7)
    identity = number.said(1)
    if not found and not identity:
        return None
    display = found[0]["text"] if found else ""
    kind = number.said(2)
    system = context.local("staff", kind)
    # Two people of one name are told apart by their institution, as far as they can be.
    alone = f"{display}|{segment.value(10).said(1)}"
    key = context.key("practitioner", f"{system}|{identity}" if identity else alone)
    if context.made(key) is None:
        made = context.make("Practitioner", key, "shared" if identity else "owned")
        if identity:
            own = filled({"type": {"text": kind} if kind else None, "system": system, "value": identity})
            made.add("identifier", own, number.place, number.line)
        for name in found:
            made.add("name", name, value.place, value.line)
        for where in segment.values(3):
            made.add("address", address(context, where), where.place, where.line)
    return reference(key, display)


def _institution(context: Context, segment: Segment) -> Resource | None:
    """PRD-10 (name, number) with its address and phones; PRD-4's facility where PRD-10 is empty."""
    value = segment.value(10)
    if value.said(1):
        made = named_organization(context, value)
    else:
        where = segment.value(4)
        name = where.said(9) or where.said(4)
        made = organization(context, name, None, where) if name else None
    if made is not None:
        _reach(context, made, segment)
    return made


def _reach(context: Context, made: Resource, segment: Segment) -> None:
    """Address and phones of an institution, unless an earlier segment gave them."""
    target = context.referenced(made)
    if target is None or "address" in target.resource or "telecom" in target.resource:
        return
    for where in segment.values(11):
        target.add("address", address(context, where), where.place, where.line)
    for point in segment.values(13):
        target.add("telecom", work_phone(context, point), point.place, point.line)
