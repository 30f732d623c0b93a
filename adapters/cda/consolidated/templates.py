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


# What a statement below another one is when it claims no template: by its code, or by how it hangs on its parent.
_CODES = {
    "SEV": "22.4.8",
    "33999-4": "22.4.6",
    "445518008": "22.4.31",
    "82606-5": "22.4.145",
    "48767-8": "22.4.64",
}
_LINKS = {"MFST": "22.4.9"}


def part(node: Node, link: str = "") -> str:
    """The entry template of a statement inside another one (`22.4.8`); '' for none. `link` is the typeCode."""
    for child in node.children:
        if child.name == "templateId" and child.attributes.get("root", "").startswith(_ROOT):
            return child.attributes["root"].removeprefix(_ROOT)
    code = node.child("code")
    return _CODES.get(code.get("code") if code is not None else "") or _LINKS.get(link, "")


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
