"""Which rules a message runs: its event (tables/events.csv) names the structure, whose groups name the rules."""

from adapters.contract import Mapped, Mode
from adapters.hl7v2.account import account
from adapters.hl7v2.map_clinical import allergy, condition, disability, procedure
from adapters.hl7v2.map_contacts import additional, contact, guarantor, mother
from adapters.hl7v2.map_context import Context, Event
from adapters.hl7v2.map_coverage import charge, coverage
from adapters.hl7v2.map_documents import document
from adapters.hl7v2.map_envelope import envelope
from adapters.hl7v2.map_immunization import immunization
from adapters.hl7v2.map_medications import DRUG_GROUPS, prescription
from adapters.hl7v2.map_merge import merge
from adapters.hl7v2.map_orders import order
from adapters.hl7v2.map_patient import patient
from adapters.hl7v2.map_people import facility, roles
from adapters.hl7v2.map_problems import goal, problem
from adapters.hl7v2.map_referral import referral
from adapters.hl7v2.map_reports import report
from adapters.hl7v2.map_results import comment, observations
from adapters.hl7v2.map_schedule import appointment
from adapters.hl7v2.map_specimen import specimen
from adapters.hl7v2.map_visit import encounter
from adapters.hl7v2.message import Message
from adapters.hl7v2.override import DEFAULT, TABLES, Site
from adapters.hl7v2.structure import Group, tree
from adapters.kit import codes
from adapters.kit.resource import Made

_WITHOUT_PATIENT = ("SCHEDULE", "ACK", "MERGE")  # structures that need none, or look for it themselves
_OWN_OBSERVATIONS = ("DOCUMENT",)  # whose OBX and orders belong to something that is mapped apart


def map_message(record: Message, site: Site = DEFAULT) -> Mapped:
    """The resources of one message. Never raises for bad input: `problems` says what is wrong."""
    message = record.fresh()
    _rearranged(message, site)
    event = event_of(message, site)
    context = Context(message, site, event)
    envelope(context)
    if not event.structure:
        kind = context.mapped.kind
        code, text = ("not-supported", f"unsupported message type {kind}") if kind else ("required", "no message type")
        context.problem("error", code, f"{text} (supported: {_supported()})", "MSH-9", 1)
        account(context, [])
        return context.mapped
    root, strangers = tree(message, event.structure)
    _message(context, root)
    account(context, strangers)
    return context.mapped


def event_of(message: Message, site: Site = DEFAULT) -> Event:
    """The row of a message's type, or of what its site says that it is. Without structure when there is none."""
    kind = message.type
    known = codes.table(TABLES, "events")
    name = site.events.get(kind) or _named(message, kind, known)
    row = known.get(name)
    return Event(name, row[0], row[1], row[2]) if row else Event(name)


def _named(message: Message, kind: str, known: dict[str, tuple[str, ...]]) -> str:
    """The event of a message that writes its type in one part: `ADT_A01`, or `ADT` with the event in EVN-1, or `ORU`,
    which has one that all mean."""
    if "^" in kind or not kind or kind in known:
        return kind if kind in known or not kind.startswith("ACK^") else "ACK"
    joined = kind.replace("_", "^")
    if joined in known:
        return joined
    entered = message.first("EVN")
    event = entered.value(1).component(1).upper() if entered is not None else ""
    if f"{kind}^{event}" in known:
        return f"{kind}^{event}"
    return next((name for name in known if name.startswith(f"{kind}^") and kind in _ONE_EVENT), kind)


_ONE_EVENT = ("ORU", "ORM", "OMG", "OML", "OMP", "VXU", "RDE", "RDS", "RAS")


def _supported() -> str:
    kinds = sorted({event.partition("^")[0] for event in codes.table(TABLES, "events")})
    return ", ".join(kinds) + "; their events in tables/events.csv"


def _rearranged(message: Message, site: Site) -> None:
    """A site's own segments under their standard names, its moved fields where the rules look for them."""
    for own, standard in site.segments.items():
        for segment in message.all(own):
            segment.rename(standard)
    for origin, target in site.moves.items():
        name, number = origin.split("-")
        to, field = target.split("-")
        source, taker = message.first(name), message.first(to)
        if source is not None and taker is not None and source.raw(int(number)).strip():
            taker.take(int(field), source.raw(int(number)), origin, source)


# -------------------------------------------------------------------------------------------- structures
def _message(context: Context, root: Group) -> None:
    structure = context.event.structure
    if structure != "ACK":
        facility(context, context.message.header.value(4))
    if structure == "MERGE":
        merge(context, root)
    elif structure != "ACK":
        people = root.sub("PERSON")
        for group in [root, *people]:
            if group is root and people and root.first("PID") is None:
                continue
            _person(context, group)
        if root.name == "SCHEDULE":
            appointment(context, root)
        elif root.name == "DOCUMENT":
            document(context, root)
    if structure not in _WITHOUT_PATIENT and context.message.first("PID") is None:
        line = context.message.segments[-1].line
        context.problem("error", "required", "the message has no PID segment", "PID", line)


def _person(context: Context, group: Group) -> None:
    """A patient with all that hangs on it: people and visit first, for the rest points at them."""
    segment = group.first("PID")
    if segment is not None:
        context.encounter = context.patient = None
        mode: Mode = "refreshed" if context.event.patient == "refreshed" else "shared"
        made = patient(context, segment, mode)
        if made is not None:
            context.mapped.subject = context.mapped.subject or context.patient_key
            mother(context, segment)
            if context.event.name == "ADT^A29":
                made.put("active", False, "MSH-9", 1)
    for visit in group.sub("VISIT")[:1]:
        encounter(context, visit)
    if group.name == "REFERRAL":
        referral(context, group)
    _segments(context, group)
    for inner in group.groups:
        _group(context, inner, group)


def _segments(context: Context, group: Group) -> None:
    for segment in group.segments:
        if segment.name in _FIRST:
            _FIRST[segment.name](context, segment)
    for actor, _, value, _ in roles(context, group.segments) if context.patient else []:
        target = context.referenced(actor)
        if context.patient and target is not None and target.type in ("Practitioner", "Organization"):
            context.patient.add("generalPractitioner", actor, value.place, value.line)
    for segment in group.segments:
        if segment.name in _THEN:
            _THEN[segment.name](context, segment, group)
    if context.patient is not None:
        claimed = {note for segment in group.segments if segment.name in _NOTED for note in group.notes(segment)}
        for holder in (group, *group.sub("VISIT")):
            for remark in holder.all("NTE"):
                if remark not in claimed:
                    comment(context, remark)


_FIRST = {"PD1": additional, "NK1": contact, "GT1": guarantor}
_THEN = {"DG1": condition, "AL1": allergy, "IAM": allergy, "DB1": disability}
_NOTED = ("DG1", "AL1", "IAM", "RF1", "SCH")


def _group(context: Context, group: Group, outer: Group) -> None:
    name = group.name
    if name in ("PERSON", "VISIT", "PROVIDER", "RESOURCES", "PAIR"):
        return
    if name == "INSURANCE":
        coverage(context, group)
    elif name == "PROCEDURE":
        procedure(context, group)
    elif name == "CHARGE":
        charge(context, group)
        for inner in group.sub("PROCEDURE"):
            procedure(context, inner)
    elif name == "PROBLEM":
        problem(context, group)
    elif name == "GOAL":
        goal(context, group)
    elif name == "REPORT":
        report(context, group, group.segments[0])
    elif outer.name in _OWN_OBSERVATIONS:
        return
    elif name == "OBSERVATION":
        observations(context, [group])
    elif name == "ORDER":
        _order(context, group)
    elif name == "SPECIMEN":
        specimen(context, group)
        observations(context, group.sub("OBSERVATION"))
    elif name == "TESTED":
        made = specimen(context, group)
        for one in observations(context, group.sub("OBSERVATION")):
            one.put("specimen", made.reference() if made else None)
        for inner in group.sub("ORDER"):
            _order(context, inner, made)


def _order(context: Context, group: Group, tested: Made | None = None) -> None:
    if not any(group.sub(name) for name in DRUG_GROUPS):
        order(context, group, [tested] if tested else None)
    elif context.event.name.startswith("VXU") and group.sub("ADMINISTERED"):
        immunization(context, group)
    else:
        prescription(context, group)
