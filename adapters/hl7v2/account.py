"""What became of every component of a message: mapped to an element of its own, or listed with the reason why not."""

from adapters.contract import Leaves
from adapters.hl7v2.map_context import Context
from adapters.hl7v2.message import Leaf, Segment, said

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
    for segment in context.message.segments:
        present, mapped, rest = segment.tally(traced)
        leaves.present += present
        leaves.mapped += mapped
        if rest:
            _listed(context, leaves, segment, rest)
    for segment in strangers:
        if segment.touched:
            text = f"stands where {context.event.structure} has no place for it; put with the group before it"
            context.problem("information", "structure", text, segment.name, segment.line)


def _listed(context: Context, leaves: Leaves, segment: Segment, rest: list[Leaf]) -> None:
    envelope = segment.name in ENVELOPE
    unread = []
    first = f"{segment.name}-1" if segment.name in _NUMBERED else ""
    for leaf in rest:
        if envelope:
            reason = "about the message"
        elif leaf.value == first:
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
