"""What `_summary` and `_elements` leave of a resource, cut out of its bytes: whatever is shown is as it was stored
(https://hl7.org/fhir/R4/search.html#summary, #elements)."""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from server.errors import Invalid
from server.keys import Version
from server.model import tables
from server.model.raw import joined, members

SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
CODE = "SUBSETTED"
_TAG = b'{"system":"%b","code":"%b"}' % (SYSTEM.encode(), CODE.encode())

_ELEMENTS = "elements"
_Shows = Callable[[tables.Element, str, frozenset[str]], bool]
_SHOWS: dict[str, _Shows] = {
    "true": lambda element, name, asked: element.summary,
    "text": lambda element, name, asked: element.name == "text",
    "data": lambda element, name, asked: element.name != "text",
    _ELEMENTS: lambda element, name, asked: element.name in asked or name in asked,
}
"""Whether an element is shown under a JSON name, beside those that always are: mandatory, modifier, id and meta."""
_VALUES = ("true", "text", "data", "count", "false")
_WHOLE = frozenset({"Resource", "Extension"})  # types whose content is never cut


@dataclass(frozen=True, slots=True)
class Subset:
    """A subset as a request asked for it.

    summary   a value of `_summary`, or 'elements'.
    elements  of `_elements`: resource type -> names; '' for those without a type, which hold for matches only.
    """

    summary: str
    elements: Mapping[str, frozenset[str]]

    def cut(self, version: Version, *, included: bool = False) -> Version:
        """The version with what is to be shown, tagged SUBSETTED; as it is when nothing is asked of it."""
        asked: frozenset[str] = frozenset()
        if self.summary == _ELEMENTS:
            asked = self.elements.get(version.type, asked)
            if not included:
                asked |= self.elements.get("", frozenset())
            if not asked:
                return version
        if version.deleted:
            return version
        return version._replace(body=_cut(version.body, _kept(version.type, self.summary, asked)))


def asked(parameters: Iterable[tuple[str, str]], type: str | None, *, search: bool = False) -> Subset | None:
    """`_summary` and `_elements` of a read, history or search of a type (None: of all types); None: the whole.

    Raises Invalid for a value R4 does not have, an element the type does not have, and for both at once.
    """
    summaries, lists = set(), []
    for name, value in parameters:
        if name == "_summary":
            summaries.add(value)
        elif name == "_elements":
            lists.append(value)
    for value in summaries:
        if value not in _VALUES:
            raise Invalid(f"_summary is one of {', '.join(_VALUES)}, not '{value}'", "_summary")
    if len(summaries) > 1:
        raise Invalid(f"_summary is given as {' and as '.join(sorted(summaries))}: one is possible", "_summary")
    summary = summaries.pop() if summaries else "false"
    if summary == "count" and not search:
        raise Invalid("_summary=count is for searches only", "_summary")
    if lists and summary != "false":
        raise Invalid("_summary and _elements cannot be asked for together", "_elements")
    if lists:
        return Subset(_ELEMENTS, _listed(",".join(lists), type))
    return None if summary in ("count", "false") else Subset(summary, {})


def subsetted(resource: dict[str, Any]) -> bool:
    """Whether a valid resource is tagged as incomplete."""
    tags = resource.get("meta", {}).get("tag", ())
    return any(tag.get("system") == SYSTEM and tag.get("code") == CODE for tag in tags)


def _listed(text: str, type: str | None) -> dict[str, frozenset[str]]:
    """`name,Organization.alias` by type."""
    found: dict[str, set[str]] = {}
    for part in text.split(","):
        head, dot, name = part.strip().partition(".")
        of, name = (head, name) if dot else ("", head)
        if of and of not in tables.resource_types():
            raise Invalid(f"_elements={part}: '{of}' is not a resource type, and only root elements count", "_elements")
        if not name:
            raise Invalid(f"_elements={text} names no element", "_elements")
        owner = of or type
        if owner and name not in _names(owner):
            raise Invalid(f"_elements={part}: {owner} has no root element '{name}'", "_elements")
        found.setdefault(of, set()).add(name)
    return {of: frozenset(names) for of, names in found.items()}


@functools.cache
def _names(type: str) -> frozenset[str]:
    """`value` and `valueQuantity` are both names of a choice."""
    return frozenset(name for element in tables.node(type) for name in (element.name, *element.json_names))


# ---------------------------------------------------------------------------------------------------- cutting
@functools.lru_cache(1024)
def _kept(type: str, summary: str, asked: frozenset[str]) -> Mapping[str, str]:
    """JSON names that stay -> the node that their value is cut to, '' for values that stay whole."""
    found = {"resourceType": "", "id": "", "meta": ""}
    for element in tables.node(type):
        for name, kind in element.json_names.items():
            shown = _SHOWS[summary](element, name, asked)
            if shown or element.min or element.modifier:
                found.setdefault(name, kind if shown and summary == "true" and _has_summary(kind) else "")
    return found


@functools.cache
def _inner(path: str) -> Mapping[str, str]:
    """The same of a datatype or backbone in a summary; its `id` and `extension` stay, they belong to its meaning."""
    return {
        name: kind if element.summary and _has_summary(kind) else ""
        for element in tables.node(path)
        if element.summary or element.min or element.modifier or element.name in ("id", "extension")
        for name, kind in element.json_names.items()
    }


@functools.cache
def _has_summary(path: str) -> bool:
    """Whether R4 says of a node's own elements which belong to a summary; of some it says nothing."""
    if path in _WHOLE or path not in tables.nodes():
        return False
    return any(element.summary for element in tables.node(path) if element.name != "modifierExtension")


def _cut(body: bytes, kept: Mapping[str, str]) -> bytes:
    shown = _shown(members(body), kept)
    shown["meta"] = _tagged(shown.get("meta", b"{}"))
    return joined(shown)


def _shown(found: Mapping[str, bytes], kept: Mapping[str, str]) -> dict[str, bytes]:
    """`_birthDate` goes with `birthDate`."""
    shown = {}
    for name, value in found.items():
        inner = kept.get(name.removeprefix("_"))
        if inner is not None:
            shown[name] = _trimmed(value, inner) if inner else value
    return shown


def _trimmed(raw: bytes, path: str) -> bytes:
    """A value, or each of an array; one of which nothing would be left stays, since `{}` is not FHIR."""
    if raw.lstrip().startswith(b"["):
        items = [bytes(item) for item in msgspec.json.decode(raw, type=list[msgspec.Raw])]
        trimmed = [_trimmed(item, path) for item in items]
        return raw if trimmed == items else b"[" + b",".join(trimmed) + b"]"
    found = members(raw)
    shown = _shown(found, _inner(path))
    return raw if not shown or shown == found else joined(shown)


def _tagged(meta: bytes) -> bytes:
    found = members(meta)
    tags = [bytes(tag) for tag in msgspec.json.decode(found.get("tag", b"[]"), type=list[msgspec.Raw])]
    found["tag"] = b"[" + b",".join([*tags, _TAG]) + b"]"
    return joined(found)
