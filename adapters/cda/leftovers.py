"""The count of a document's leaves, and what no rule has taken: an `information` problem for each element that carries
something. Nothing is lost unseen.

A leaf is an element that says something itself: a DE value, a clinical entry's code, value or time, a name or number
of the header. Not leaves: what is the same in every document of an edition, the name of a data element (its value is
the leaf), and the author's own prose (section/text), which is carried over as it stands.
"""

from collections.abc import Iterator

from adapters.cda.conversion import Conversion
from adapters.cda.record import TYPE, Node
from adapters.cda.tables import data_element, real
from adapters.contract import Leaves, Problem

_FIXED = {
    "ClinicalDocument",
    "realmCode",
    "typeId",
    "templateId",
    "languageCode",
    "signatureCode",
    "statusCode",
    "versionNumber",
    "setId",
    "reference",
}
"""Elements whose content is the same in every document of an edition, or only says how the document is built."""

_STRUCTURAL = {"ASSERTION", "CONC", "SEV", "ASSERT", "CONCERN", "445518008", "33999-4", "82606-5", "48767-8", "48765-2"}
"""Codes that are the same in every statement of their template: how it is built (HL7 v3 ActCode), or the name of the
element of its parent that its value is (age at onset, status, criticality, comment)."""

_STATEMENTS = {"observation", "organizer", "act", "procedure", "substanceAdministration", "supply", "encounter"}
_DATA = ("value", "extension", "displayName", "code", "literal")
_TEXT_MAX = 120


def report(work: Conversion) -> None:
    """In document order; the body's are in the narrative all the same, which the text says."""
    counted = work.mapped.leaves = Leaves()
    problems = work.mapped.problems
    for node, said in leaves(work.document.root):
        counted.present += 1
        kept = work.kept(node)
        if work.used(node) and not kept:
            counted.mapped += 1
            continue
        if kept:
            counted.listed.append((node.path, node.line, kept))
            continue
        told = node.path.startswith("component/") and not work.consolidated
        where = "kept in the section's text" if told else "kept in the raw document"
        words = " ".join(said.split())[:_TEXT_MAX]
        counted.listed.append((node.path, node.line, f"no rule for {node.name} = {words}"))
        text = f"no rule for {node.name} = {words}: {where}"
        problems.append(Problem("information", "unmapped", text, node.path, node.line))


def leaves(root: Node) -> Iterator[tuple[Node, str]]:
    """(element, what it says) in document order."""
    pending: list[tuple[Node, str]] = [(root, "")]
    while pending:
        node, parent = pending.pop()
        if node.name == "text" and parent == "section":
            continue
        if node.name not in _FIXED and not _is_label(node, parent):
            said = _said(node)
            if said:
                yield node, said
        pending.extend((child, node.name) for child in reversed(node.children))


def _is_label(node: Node, parent: str) -> bool:
    """The name of a data element, or a code that is the same in every statement of its kind."""
    if node.name != "code" or (parent not in _STATEMENTS and TYPE not in node.attributes):
        return node.name == "code" and node.get("code").startswith("DE")
    code = node.get("code")
    return code.startswith("DE") or code.upper() in _STRUCTURAL


def _said(node: Node) -> str:
    own = node.text.strip()
    if own and (node.children or real(own)):
        return own
    attributes = node.attributes
    for name in _DATA:
        if name in attributes:
            value = real(attributes[name], "id" if name == "extension" else "any")
            if value and not (name == "code" and data_element(value) == ""):
                return value
    return ""
