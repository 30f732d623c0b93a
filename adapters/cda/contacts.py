"""Addresses and telephone numbers of persons and institutions -> Address, ContactPoint."""

from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.contract import Resource
from adapters.kit import people

# Largest first, as a Chinese address is written; `houserNumber` is how one edition of the standard's example spells it.
_PARTS = (
    ("country", "country"),
    ("state", "state"),
    ("city", "city"),
    ("county", "district"),
    ("township", "line"),
    ("streetAddressLine", "line"),
    ("streetName", "line"),
    ("houseNumber", "line"),
    ("houserNumber", "line"),
)
_USES = {"H": "home", "HP": "home", "HV": "home", "WP": "work", "TMP": "temp"}


def address(work: Conversion, node: Node | None, label: str = "") -> Resource | None:
    """Address of an addr element; placeholders are left out, None when nothing is left. `label` leads the text of an
    address that has no use of its own in FHIR (户口地址)."""
    if node is None:
        return None
    work.use(node)
    result: Resource = {}
    words: list[str] = []
    for name, element in _PARTS:
        for child in node.named(name):
            part = work.text(child)
            if not part:
                continue
            words.append(part)
            if element == "line":
                result.setdefault("line", []).append(part)
            else:
                result[element] = part
    postal = work.text(node.child("postalCode"))
    if any(character.isdigit() for character in postal):
        result["postalCode"] = postal
    if not words and node.text.strip():
        words.append(work.text(node))
    words = [word for word in words if word]
    if not result and not words:
        return None
    use = _USES.get(node.get("use"))
    text = "".join(words)
    return {
        **({"use": use} if use else {}),
        **({"text": f"{label}：{text}" if label else text} if text else {}),
        **result,
    }


def telecom(work: Conversion, node: Node) -> Resource | None:
    """ContactPoint of a telecom: `value`, or the 2011 form with nested code and value. None for an empty form."""
    nested = node.child("value")
    work.use(node, node.child("code"), nested)
    for kind in node.named("asTelecomType"):
        work.use_all(kind)
    value = node.get("value") or (work.text(nested) if nested is not None else "")
    value = value.removeprefix("tel:").removeprefix("mailto:")
    if "@" in value:
        return {"system": "email", "value": value}
    if not any(character.isdigit() for character in value):
        return None
    result = people.phone(value)
    use = _USES.get(node.get("use"))
    if result is not None and use and "use" not in result:
        result["use"] = use
    return result
