"""What a Meta says of a resource: its profiles, tags and security labels, as raw bytes; sets of them joined and taken
apart (https://hl7.org/fhir/R4/resource.html#Meta)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from server.model.raw import joined, members

Key = tuple[str, ...]


class Label(NamedTuple):
    """A list of Meta: the element, and the search parameter (after `_`) that finds it."""

    element: str
    parameter: str


LABELS = (Label("profile", "profile"), Label("security", "security"), Label("tag", "tag"))


class _Coding(msgspec.Struct):
    system: str = ""
    code: str = ""


def _key(element: str, raw: bytes | msgspec.Raw) -> Key:
    """What makes two of them the same: the URL of a profile, system and code of a tag or label."""
    if element == "profile":
        return (msgspec.json.decode(raw, type=str | None) or "",)
    coding = msgspec.json.decode(raw, type=_Coding)
    return (coding.system, coding.code)


def _items(raw: bytes | msgspec.Raw | None) -> list[bytes]:
    return [bytes(one) for one in msgspec.json.decode(raw, type=list[msgspec.Raw])] if raw else []


def _list(items: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"


class Labels:
    """Each profile, tag and label once, as it was first met."""

    def __init__(self) -> None:
        self._found: dict[str, dict[Key, bytes]] = {one.element: {} for one in LABELS}

    def add(self, meta: Mapping[str, bytes | msgspec.Raw]) -> None:
        for element, found in self._found.items():
            for raw in _items(meta.get(element)):
                found.setdefault(_key(element, raw), raw)

    def sorted(self) -> dict[str, bytes]:
        """Members of a Meta."""
        return {name: _list([raw for _, raw in sorted(found.items())]) for name, found in self._found.items() if found}


def with_labels(body: Mapping[str, bytes], given: bytes) -> bytes:
    """The resource with the profiles, tags and labels of the Meta `given` that it has not; all other bytes stay."""
    meta, more = members(body.get("meta", b"{}")), members(given)
    for element, _ in LABELS:
        here = _items(meta.get(element))
        known = {_key(element, raw) for raw in here}
        for raw in _items(more.get(element)):
            if _key(element, raw) not in known:
                known.add(_key(element, raw))
                here.append(raw)
                _lengthen(meta, f"_{element}")
        if here:
            meta[element] = _list(here)
    return _resource(body, meta)


def without_labels(body: Mapping[str, bytes], given: bytes) -> bytes:
    """The resource without those of the Meta `given`; all other bytes stay."""
    meta, less = members(body.get("meta", b"{}")), members(given)
    for element, _ in LABELS:
        gone = {_key(element, raw) for raw in _items(less.get(element))}
        here = _items(meta.get(element))
        stay = [n for n, raw in enumerate(here) if _key(element, raw) not in gone]
        if len(stay) == len(here):
            continue
        beside = _items(meta.pop(f"_{element}", None))  # extensions of a profile's url, in step with it
        if any(beside[n] != b"null" for n in stay if n < len(beside)):
            meta[f"_{element}"] = _list([beside[n] for n in stay if n < len(beside)])
        meta[element] = _list([here[n] for n in stay])
        if not stay:
            del meta[element]
    return _resource(body, meta)


def _lengthen(meta: dict[str, bytes], name: str) -> None:
    if name in meta:
        meta[name] = _list([*_items(meta[name]), b"null"])


def _resource(body: Mapping[str, bytes], meta: Mapping[str, bytes]) -> bytes:
    made = {**body, "meta": joined(meta)}
    return joined(made if meta else {name: raw for name, raw in made.items() if name != "meta"})
