"""All of a document once more as one `Bundle` of type document (https://hl7.org/fhir/R4/documents.html).

It is stored beside the resources and stands on its own: Composition first, every entry under a urn:uuid that is not
the transaction's, so that a server which replaces the transaction's urn:uuids leaves the document as it was made.
"""

from typing import Any

from adapters.cda.conversion import Conversion
from adapters.contract import Item, Resource
from adapters.kit.resource import Made, id_of


def document_bundle(work: Conversion, identifier: Resource, timestamp: str) -> Made:
    """The Bundle of everything that was made so far. `timestamp` is a FHIR instant (Bundle bdl-10), `identifier` has
    a system and a value (bdl-9)."""
    items = sorted(work.mapped.items, key=lambda item: item.resource["resourceType"] != "Composition")
    own = {f"urn:uuid:{id_of(item.key)}": _full_url(work, item) for item in items}
    made = Made(work.mapped, "Bundle", f"{work.key}|Bundle", "owned")
    made.put("identifier", identifier, "id")
    made.put("type", "document")
    made.put("timestamp", timestamp, "effectiveTime")
    made.put("entry", [{"fullUrl": _full_url(work, item), "resource": _copy(item.resource, own)} for item in items])
    return made


def _full_url(work: Conversion, item: Item) -> str:
    return f"urn:uuid:{id_of(f'{work.key}|in the document|{item.key}')}"


def _copy(value: Any, own: dict[str, str]) -> Any:
    """The value with every reference to another entry led to its address inside the document. What has none is the
    same object: nothing changes a resource once it is made."""
    if type(value) is dict:
        changed: dict[str, Any] | None = None
        for name, part in value.items():
            kind = type(part)
            if kind is dict or kind is list:
                new = _copy(part, own)
            elif name == "reference" and kind is str:
                new = own.get(part, part)
            else:
                continue
            if new is not part:
                if changed is None:
                    changed = dict(value)
                changed[name] = new
        return value if changed is None else changed
    if type(value) is list:
        parts = [_copy(part, own) for part in value]
        return parts if any(new is not old for new, old in zip(parts, value, strict=True)) else value
    return value
