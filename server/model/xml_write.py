"""JSON bytes -> FHIR XML bytes (https://hl7.org/fhir/R4/xml.html): elements in the order of the definition, numbers
with the digits that they were written with, narrative as it is."""

import json
import re
from typing import Any, NoReturn

from server.errors import NotAcceptable
from server.model import tables
from server.model.xml_shape import FHIR, attributes, slots

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
# XML 1.0 has no way to write what is left of these: U+FFFE and U+FFFF (no valid resource has the others).
_SPECIAL = re.compile(r'[&<>"\t\n\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]')
_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*\?>")


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


_read = json.JSONDecoder(parse_float=_Number, parse_int=_Number).decode


def write(body: bytes) -> bytes:
    """The XML of a resource, OperationOutcome or Bundle that is valid JSON.

    Raises NotAcceptable for a member that R4 does not have and a character that XML does not have: nothing is left out
    or replaced silently.
    """
    parts = [HEAD]
    _resource(_read(body.decode()), parts, f' xmlns="{FHIR}"')
    return "".join(parts).encode()


def _resource(resource: dict[str, Any], parts: list[str], namespace: str = "") -> None:
    type = resource.get("resourceType")
    if type not in tables.resource_types():
        raise NotAcceptable(f"{type!r} is not a resource type of R4 and cannot be written as XML: ask for JSON")
    parts.append(f"<{type}{namespace}")
    content = {name: value for name, value in resource.items() if name != "resourceType"}
    _content(content, type, type, parts)


def _content(members: dict[str, Any], node: str, tag: str, parts: list[str]) -> None:
    """Attributes, `>`, children and the end tag of an element whose start is open."""
    hidden = attributes(node)
    for name in hidden:
        if name in members:
            parts.append(f' {name}="{_escaped(members[name], f"{tag}.{name}")}"')
    known = slots(node)
    names: dict[str, int] = {}  # a name, whether it is given by itself, by its `_name` or by both
    for given in members:
        name = given[1:] if given.startswith("_") else given
        if name in known:
            names[name] = known[name].rank
        elif given not in hidden:
            raise NotAcceptable(f"{node} has no element {given!r}, which cannot be written as XML: ask for JSON", node)
    if not names:
        parts.append("/>")
        return
    parts.append(">")
    for name in sorted(names, key=names.__getitem__):
        values, shadows = members.get(name), members.get(f"_{name}")
        if known[name].many:
            _items(name, known[name].type, values or [], shadows or [], parts)
        else:
            _element(name, known[name].type, values, shadows, parts)
    parts.append(f"</{tag}>")


def _items(name: str, type: str, values: list[Any], shadows: list[Any], parts: list[str]) -> None:
    """A list and the list of `_name` in step with it."""
    for place in range(max(len(values), len(shadows))):
        value = values[place] if place < len(values) else None
        shadow = shadows[place] if place < len(shadows) else None
        _element(name, type, value, shadow, parts)


def _element(name: str, type: str, value: Any, shadow: Any, parts: list[str]) -> None:
    if type == "xhtml":
        if shadow is not None or value is None:  # xhtml has neither, so XML has no place for it
            raise NotAcceptable(f"_{name} of a narrative cannot be written as XML: ask for JSON", name)
        parts.append(_DECLARATION.sub("", value, count=1))  # well-formed and in its namespace: the validator saw to it
    elif type == "Resource":
        parts.append(f"<{name}>")
        _resource(value, parts)
        parts.append(f"</{name}>")
    elif type in tables.primitives():
        parts.append(f"<{name}")
        if value is not None:
            parts.append(f' value="{_escaped(value, name)}"')
        _content(shadow or {}, "Element", name, parts)
    else:
        parts.append(f"<{name}")
        _content(value, type, name, parts)


def _escaped(value: Any, name: str) -> str:
    if value is True or value is False:
        return "true" if value else "false"
    return _SPECIAL.sub(lambda found: _ESCAPES.get(found[0]) or _unwritable(found[0], name), value)


def _unwritable(letter: str, name: str) -> NoReturn:
    raise NotAcceptable(f"{name} has the character U+{ord(letter):04X}, which XML cannot carry: ask for JSON", name)
