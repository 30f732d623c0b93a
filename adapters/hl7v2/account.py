"""What became of every component of a message: mapped to an element of its own, or listed with the reason why not."""

from adapters.contract import Leaves
from adapters.hl7v2.map_context import Context
from adapters.hl7v2.message import NULL, Leaf, Segment, said

ENVELOPE = frozenset({"MSH", "SFT", "EVN", "UAC", "MSA", "ERR", "DSC"})
"""Segments about the message itself: their unread fields are no clinical content and are counted, not reported."""

# Segments whose first field only numbers them.
_NUMBERED = (
    *("PID", "PV1", "PD1", "NK1", "NTE", "AL1", "IAM", "DG1", "PR1", "GT1", "IN1", "IN2", "IN3", "ACC", "DB1", "OBR"),
    *("OBX", "SPM", "TQ1", "TQ2", "FT1", "TXA", "AIS", "AIG", "AIL", "AIP", "RGS", "ARV", "RXC", "CTI", "CON", "REL"),
)
_SHOWN = 60  # characters of an unmapped value that a person needs to recognise it


def account(context: Context, strangers: list[Segment]) -> None:
    """Counts the components and reports those that no rule maps. A component is mapped when a rule has read it and the
    element that came of it is traced to its field."""
    traced = {(trace.line, trace.field) for trace in context.mapped.trace}
    traced |= context.in_envelope
    leaves = context.mapped.leaves = Leaves()
    present = mapped = 0
    for segment in context.message.segments:
        rest: list[Leaf] = []
        line = segment.line
        for number, repetition, text in segment.parts():
            place = segment.place(number, repetition)
            landed = (line, place) in traced
            parts = segment.components(text)
            for at, part in enumerate(parts, 1):
                if not part or part == NULL or part.isspace():
                    continue
                present += 1
                read = segment.was_read(number, repetition, at)
                if landed and read:
                    mapped += 1
                else:
                    name = place if len(parts) == 1 else f"{place}.{at}"
                    rest.append(Leaf(name, place, line, part.strip(), read))
        if rest:
            _listed(context, leaves, segment, rest)
    leaves.present, leaves.mapped = present, mapped
    for segment in strangers:
        if segment.touched:
            text = f"stands where {context.event.structure} has no place for it; put with the group before it"
            context.problem("information", "structure", text, segment.name, segment.line)


def _listed(context: Context, leaves: Leaves, segment: Segment, rest: list[Leaf]) -> None:
    envelope = segment.name in ENVELOPE
    unread = []
    for leaf in rest:
        number = leaf.value == f"{segment.name}-1" and segment.name in _NUMBERED
        if envelope:
            reason = "about the message"
        elif number:
            reason = "numbers the segment"
        elif not said(leaf.text):
            reason = "says nothing"
        elif leaf.read:
            reason = "decides what others become, or repeats them"
        else:
            reason = "no rule maps it"
            unread.append(leaf)
        leaves.listed.append((leaf.place, leaf.line, reason))
    if unread and not segment.touched:
        context.problem("information", "unmapped", "no rule maps this segment", segment.name, segment.line)
        return
    for leaf in unread:
        shown = leaf.text if len(leaf.text) <= _SHOWN else leaf.text[:_SHOWN] + "…"
        context.problem("information", "unmapped", f"no rule maps {shown!r}", leaf.place, leaf.line)
