"""The value of a patch: a part of a Parameters resource -> the element that it stands for, of the right type.

A value[x] is taken as it is; types that Parameters has no value[x] for, backbone elements among them, come as nested
parts named like their elements (https://hl7.org/fhir/R4/fhirpatch.html).
"""

from typing import Any

from server.fhirpath.locate import pairs, put_pairs
from server.fhirpath.paths import element
from server.model import tables

# Primitive types that say the same in JSON; whether the value is one of the wanted type, the validator says.
_FAMILIES = (
    frozenset({"string", "code", "id", "markdown", "xhtml"}),
    frozenset({"uri", "url", "canonical", "oid", "uuid"}),
    frozenset({"integer", "positiveInt", "unsignedInt"}),
)


class Misfit(Exception):
    """The value is none of the element; the message says why."""


def built(part: dict[str, Any], known: tables.Element) -> tuple[str, Any, Any]:
    """(JSON name, value, what stands under `_name`) of the element. Raises Misfit."""
    name, type = _given(part)
    if type == "Resource" or "Resource" in known.types:
        if "resource" not in part or "Resource" not in known.types:
            raise Misfit(f"{known.name} is a {' or '.join(known.types[:4])}; the value is {type}")
        return known.name, _copy(part["resource"]), None
    if type:
        wanted = _name(known, type)
        return wanted, _copy(part.get(name)), _copy(part.get(f"_{name}"))
    types = [one for one in known.types if one not in tables.primitives()]
    if not part.get("part"):
        raise Misfit(f"the value of {known.name} is missing: a value[x], a resource or parts")
    if len(known.types) != 1 or not types:
        raise Misfit(f"{known.name} is a {', '.join(known.types[:6])}: give it as a value[x], not as parts")
    return known.name, _assembled(part["part"], types[0]), None


def _given(part: dict[str, Any]) -> tuple[str, str]:
    """The value[x] member of a part and its type; `Resource` for one; '' for parts."""
    if "resource" in part:
        return "resource", "Resource"
    known = element("Parameters.parameter", "value")
    assert known is not None
    for name, type in known.json_names.items():
        if name in part or f"_{name}" in part:
            return name, type
    return "", ""


def _name(known: tables.Element, type: str) -> str:
    """The JSON name of the element when its value is of the type."""
    for name, wanted in known.json_names.items():
        if wanted == type:
            return name
    if not known.choice and any(type in family and known.types[0] in family for family in _FAMILIES):
        return known.name
    listed = ", ".join(known.types[:6]) + (" …" if len(known.types) > 6 else "")
    raise Misfit(f"{known.name} is a {listed}; the value is a {type}")


def _assembled(parts: list[dict[str, Any]], node: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for part in parts:
        name = part["name"]
        known = element(node, name.removesuffix("[x]"))
        if known is None:
            raise Misfit(f"{node} has no element '{name}'")
        key, value, shadow = built(part, known)
        if known.max == 1 and any(pairs(fields, one) for one in known.json_names):
            raise Misfit(f"{node}.{known.name} is given twice")
        put_pairs(fields, key, [*pairs(fields, key), (value, shadow)], many=known.max != 1)
    return fields


def _copy(value: Any) -> Any:
    """Of its own, so that a later operation changes the resource and not the patch."""
    if isinstance(value, dict):
        return {name: _copy(part) for name, part in value.items()}
    return [_copy(part) for part in value] if isinstance(value, list) else value
