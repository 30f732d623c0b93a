"""What no rule has taken: an `information` problem for each element that carries something. Nothing is lost unseen."""

from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.cda.tables import data_element, real
from adapters.contract import Problem

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
}
"""Elements whose content is the same in every document of an edition, or only says how the document is built."""

_DATA = ("value", "extension", "displayName", "code", "literal")
_TEXT_MAX = 120


def report(work: Conversion) -> None:
    """In document order; the body's are in the narrative all the same, which the text says."""
    root = work.document.root
    for node in root.walk():
        if node.name in _FIXED or work.used(node):
            continue
        said = _said(node)
        if said:
            where = "kept in the section's text" if node.path.startswith("component/") else "kept in the raw document"
            text = f"no rule for {node.name} = {' '.join(said.split())[:_TEXT_MAX]}: {where}"
            work.mapped.problems.append(Problem("information", "unmapped", text, node.path, node.line))


def _said(node: Node) -> str:
    own = real(node.text) if not node.children else node.text.strip()
    if own:
        return own
    for name in _DATA:
        value = real(node.get(name))
        if value and not (name == "code" and data_element(value) == ""):
            return value
    return ""
