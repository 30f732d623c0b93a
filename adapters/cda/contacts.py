"""Addresses and telephone numbers of persons and institutions -> Address, ContactPoint."""

from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.contract import Resource
from adapters.kit import codes, people

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
_USES = {"H": "home", "HP": "home", "HV": "home", "WP": "work", "DIR": "work", "TMP": "temp", "MC": "mobile"}


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
    use = _USES.get(node.get("use").split(" ")[0])
    if use == "mobile":
        use = None
    text = (", " if work.consolidated else "").join(words)
    return {
        **({"use": use} if use else {}),
        **({"text": f"{label}：{text}" if label else text} if text else {}),
        **result,
    }


def person_name(work: Conversion, node: Node | None) -> Resource | None:
    """HumanName of a name element: by its parts where it has them (family, given …), else of its text as written."""
    if node is None:
        return None
    parts: dict[str, list[str]] = {}
    for child in node.named("family", "given", "prefix", "suffix"):
        words = work.text(child, "name")
        if words:
            parts.setdefault(child.name, []).append(words)
    if not parts:
        return people.name(work.text(node, "name"))
    work.use(node)
    order = [*parts.get("prefix", []), *parts.get("given", []), *parts.get("family", []), *parts.get("suffix", [])]
    use = codes.table("adapters.cda", "clinical_words.csv").get(f"name:{node.get('use').split(' ')[0]}")
    result: Resource = {"use": use[0]} if use else {}
    result["text"] = " ".join(order)
    if "family" in parts:
        result["family"] = " ".join(parts["family"])
    for name in ("given", "prefix", "suffix"):
        if name in parts:
            result[name] = parts[name]
    period = work.period(node.child("validTime"))
    if period:
        result["period"] = period
    return result


def telecom(work: Conversion, node: Node) -> Resource | None:
    """ContactPoint of a telecom: `value`, or the 2011 form with nested code and value. None for an empty form."""
    nested = node.child("value")
    work.use(node, node.child("code"), nested)
    for kind in node.named("asTelecomType"):
        work.use_all(kind)
    value = node.get("value") or (work.text(nested) if nested is not None else "")
    scheme = value.partition(":")[0].lower() if ":" in value else ""
    if scheme in ("tel", "mailto", "fax"):
        value = value[len(scheme) + 1 :].strip()
    use = _USES.get(node.get("use").split(" ")[0])
    if "@" in value:
        return {"system": "email", "value": value, **({"use": use} if use else {})}
    if scheme in ("http", "https"):
        return {"system": "url", "value": value}
    if not any(character.isdigit() for character in value):
        return None
    result = people.phone(value)
    if result is not None and scheme == "fax":
        result["system"] = "fax"
    if result is not None and use and "use" not in result:
        result["use"] = use
    return result
