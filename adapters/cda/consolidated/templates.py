"""Which rule takes an entry of C-CDA: the table templates.csv."""

from adapters.cda.record import Node
from adapters.kit import codes

_ROOT = "2.16.840.1.113883.10.20."
_TABLE = "templates.csv"


def is_consolidated(root: Node) -> bool:
    """Whether a document claims a template of HL7's US guides."""
    return any(node.get("root").startswith(_ROOT) for node in root.named("templateId"))


def claims(node: Node, *numbers: str) -> bool:
    """Whether an entry claims one of these entry templates (`22.4.8`)."""
    wanted = {_ROOT + number for number in numbers}
    return any(child.attributes.get("root") in wanted for child in node.children if child.name == "templateId")


def rule_of(node: Node, section: str) -> str:
    """The rule of an entry in the section with this LOINC code; '' for an element that is no entry."""
    rows = codes.table("adapters.cda", _TABLE)
    for child in node.children:
        if child.name == "templateId":
            row = rows.get(child.attributes.get("root", ""))
            if row:
                return row[0]
    row = rows.get(f"{section} {node.name}") or rows.get(node.name)
    return row[0] if row else ""
