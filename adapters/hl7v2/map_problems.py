"""PPR, PGL: a PROBLEM group (PRB, NTE, VAR, ROL, OBX) -> Condition; GOAL -> Goal."""

from adapters.hl7v2.map_clinical import TERMS, identity_of
from adapters.hl7v2.map_context import Context
from adapters.hl7v2.map_datatypes import add_notes, coded, concept_of, entity
from adapters.hl7v2.map_orders import order
from adapters.hl7v2.map_people import roles
from adapters.hl7v2.map_results import observations
from adapters.hl7v2.message import Segment
from adapters.hl7v2.structure import Group
from adapters.kit.resource import Made


def problem(context: Context, group: Group) -> None:
    """PRB -> Condition on the problem list. PRB-1 = DE, or the message PC3, takes it back."""
    segment = group.first("PRB")
    if segment is None or context.patient is None:
        return
    value = segment.value(3)
    concept = coded(context, value)
    if concept is None:
        context.problem("warning", "incomplete", "the problem has no code and no text", segment.place(3), segment.line)
        return
    number = segment.value(4)
    own = entity(context, number, "problem")
    who = context.patient_key.removeprefix(context.mapped.source + "|")
    identity = own["value"] if own else identity_of(concept)
    made = context.make("Condition", context.own_key(who, "problem", identity), "owned")
    made.add("identifier", own, number.place, number.line)
    taken_back = segment.value(1).taken().component(1).upper() in ("DE", "D")
    deleted = context.event.state == "entered-in-error" or taken_back
    made.add("category", concept_of(f"{TERMS}condition-category", "problem-list-item"))
    made.put("code", concept, value.place, value.line)
    context.about(made)
    _times(context, made, segment)
    _statuses(context, made, segment, deleted)
    value = segment.value(26)
    severity = coded(context, value)
    made.put("severity", severity, value.place, value.line)
    _people(context, made, group)
    add_notes(context, made, group.all("NTE"))
    for variance in group.all("VAR"):
        value = variance.value(6)
        words = "\n".join(text for one in variance.values(6) if (text := one.whole))
        made.add("note", {"text": words} if words else None, value.place, value.line)
    for one in observations(context, group.sub("OBSERVATION")):
        made.add("evidence", {"detail": [one.reference()]}, "OBX-3")
    for inner in group.sub("GOAL"):
        goal(context, inner, made)
    for inner in group.sub("ORDER"):
        order(context, inner)


def _times(context: Context, made: Made, segment: Segment) -> None:
    """PRB-2 is when it was written down, PRB-16 (17 in words) the onset, PRB-9 when it ended."""
    recorded, onset, words, ended = (segment.value(n) for n in (2, 16, 17, 9))
    made.put("recordedDate", context.when(recorded), recorded.place, recorded.line)
    began, text = context.when(onset), words.whole
    if began:
        made.put("onsetDateTime", began, onset.place, onset.line)
    else:
        made.put("onsetString", text, words.place, words.line)
    made.put("abatementDateTime", context.when(ended), ended.place, ended.line)


def _statuses(context: Context, made: Made, segment: Segment, deleted: bool) -> None:
    """clinicalStatus of PRB-14, verificationStatus of PRB-13 (rules con-3 to con-5)."""
    life, sure = segment.value(14), segment.value(13)
    row = context.row("condition_status", life.taken().said(1)) or context.row("condition_status", life.said(2))
    if row is None and life.said(1):
        context.unknown(life, life.said(1), "problem life cycle")
    known = context.row("condition_status", sure.taken().said(1)) or context.row("condition_status", sure.said(2))
    if known is None and sure.said(1):
        context.unknown(sure, sure.said(1), "confirmation status")
    if deleted:
        made.put(
            "verificationStatus",
            concept_of(f"{TERMS}condition-ver-status", "entered-in-error"),
            segment.place(1),
            segment.line,
        )
        return
    status = row[0] if row and row[0] else ""
    if "abatementDateTime" in made.resource and status not in ("inactive", "resolved", "remission"):
        status = "resolved"
    code = status or "active"
    place = life.place if status and life else ""
    made.put("clinicalStatus", concept_of(f"{TERMS}condition-clinical", code), place, life.line)
    if known and known[1]:
        made.put("verificationStatus", concept_of(f"{TERMS}condition-ver-status", known[1]), sure.place, sure.line)


def _people(context: Context, made: Made, group: Group) -> None:
    """ROL, PRT: who recorded the problem, and who says so."""
    for actor, _, value, _ in roles(context, group.segments):
        target = context.referenced(actor)
        if target is not None and target.type != "Practitioner":
            continue
        for element in ("recorder", "asserter"):
            if element not in made.resource:
                made.put(element, actor, value.place, value.line)
                break


def goal(context: Context, group: Group, about: Made | None = None) -> None:
    """GOL -> Goal of the patient, for the problem it stands under."""
    segment = group.first("GOL")
    if segment is None or context.patient is None:
        return
    value = segment.value(3)
    concept = coded(context, value)
    if concept is None:
        context.problem("warning", "incomplete", "the goal has no code and no text", segment.place(3), segment.line)
        return
    number = segment.value(4)
    own = entity(context, number, "goal")
    who = context.patient_key.removeprefix(context.mapped.source + "|")
    identity = own["value"] if own else identity_of(concept)
    made = context.make("Goal", context.own_key(who, "goal", identity), "owned")
    made.add("identifier", own, number.place, number.line)
    state = segment.value(18)
    row = context.row("goal_status", state.taken().said(1))
    if row is None and state.said(1):
        context.unknown(state, state.said(1), "goal life cycle")
    taken_back = segment.value(1).taken().component(1).upper() in ("DE", "D")
    deleted = context.event.state == "entered-in-error" or taken_back
    status = "entered-in-error" if deleted else row[0] if row else "active"
    made.put("lifecycleStatus", status, segment.place(1 if deleted else 18), segment.line)
    made.put("description", concept, value.place, value.line)
    made.put("subject", context.subject(), "PID-3")
    begun, due = segment.value(7), segment.value(8)
    made.put("startDate", context.day(begun), begun.place, begun.line)
    day = context.day(due)
    if len(day) == 10:
        made.add("target", {"dueDate": day}, due.place, due.line)
    if about is not None:
        made.add("addresses", about.reference(), "PRB-3")
    add_notes(context, made, group.all("NTE"))
    observations(context, group.sub("OBSERVATION"))
