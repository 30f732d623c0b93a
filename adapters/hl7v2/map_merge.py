"""Two patients become one: PID and MRG -> the Patient that stays, and the one that it replaces (Patient.link)."""

from adapters.hl7v2.map_contacts import additional, mother
from adapters.hl7v2.map_context import Context
from adapters.hl7v2.map_datatypes import identifier
from adapters.hl7v2.map_names import names
from adapters.hl7v2.map_patient import patient
from adapters.hl7v2.map_visit import encounter
from adapters.hl7v2.message import Segment
from adapters.hl7v2.structure import Group
from adapters.kit.resource import Made


def merge(context: Context, root: Group) -> None:
    """Every PAIR group of the message. The patient of PID stays; that of MRG-1 becomes inactive and points at it."""
    for pair in root.sub("PAIR"):
        segment = pair.segments[0]
        context.encounter = None
        kept = patient(context, segment, "refreshed")
        if kept is None:
            continue
        context.mapped.subject = context.mapped.subject or kept.key
        mother(context, segment)
        for extra in pair.all("PD1"):
            additional(context, extra)
        given = pair.all("MRG")
        if not given:
            context.problem("error", "required", "a merge without the patient that ends (MRG)", "MRG-1", segment.line)
        for old in given:
            _accounts(context, kept, old)
            if context.event.patient == "merged":
                _replaced(context, kept, old)
        if pair.first("PV1") is not None:
            encounter(context, pair)
    if not root.sub("PAIR"):
        line = context.message.segments[-1].line
        context.problem("error", "required", "the message has no PID segment", "PID", line)


def _replaced(context: Context, kept: Made, segment: Segment) -> None:
    found = [
        (made, value) for field in (1, 4) for value in segment.values(field) if (made := identifier(context, value))
    ]
    found = sorted((item for item in found if item[0][0] is not None), key=lambda item: item[0][0] or 0)
    if not found:
        text = "the merge does not say which patient ends"
        context.problem("error", "required", text, segment.place(1), segment.line)
        return
    identity = found[0][0][1]
    key = context.key("patient", f"{identity.get('system', '')}|{identity['value']}")
    if key == kept.key or context.made(key) is not None:
        context.problem("warning", "business-rule", "the patient would replace itself", segment.place(1), segment.line)
        return
    old = context.make("Patient", key, "refreshed")
    for (_, number), value in found:
        old.add("identifier", number, value.place, value.line)
    old.put("active", False, segment.place(1), segment.line)
    for value in segment.values(7):
        for name in names(context, value):
            old.add("name", name, value.place, value.line)
    old.add("link", {"other": kept.reference(), "type": "replaced-by"}, segment.place(1), segment.line)
    kept.add("link", {"other": old.reference(), "type": "replaces"}, segment.place(1), segment.line)


def _accounts(context: Context, kept: Made, segment: Segment) -> None:
    """MRG-3, an account number that is no longer used, and MRG-5, a visit number: old identifiers of the patient."""
    for field, kind in ((3, "AN"), (5, "VN")):
        for value in segment.values(field):
            found = identifier(context, value, kind)
            if found is not None:
                kept.add("identifier", {"use": "old", **found[1]}, value.place, value.line)
