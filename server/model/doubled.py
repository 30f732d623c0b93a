"""Member names that stand twice in one object of a JSON body: a parser keeps the last, so data would go silently.

The check costs less than the parse: outside its strings, JSON has a colon for each member and nowhere else. What was
parsed, written again, has fewer colons than the body exactly when a member was dropped; strings count the same in both
unless the body writes a colon as an escape (`\\u003a`), and then the slow check looks.
"""

import json
from typing import Any

import msgspec
import orjson

from server.errors import Invalid

_ESCAPED_COLON = b"\\u003"


class _Doubled:
    """An object that has a name twice."""

    def __init__(self, name: str) -> None:
        self.name = name


def check_unique(raw: bytes, parsed: Any, root: str) -> None:
    """`parsed` is what orjson makes of `raw`; `root` begins the expression. Raises Invalid naming member and place."""
    if _ESCAPED_COLON not in raw:
        try:
            if raw.count(b":") == orjson.dumps(parsed).count(b":"):
                return
        except TypeError:  # nested deeper than orjson writes
            pass
    found = _first(raw)
    if found:
        name, path = found
        raise Invalid(f'the member "{name[:60]}" stands twice in one object', root + path, code="structure")


def check_bundle(raw: bytes) -> None:
    """The same of a Bundle but for the resources of its entries, which are checked when they are parsed.

    Only spans are cut: nothing is parsed but what is small.
    """
    spans = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    whole = _ESCAPED_COLON not in raw and _colons([spans]) == raw.count(b":")
    listed = bytes(spans.pop("entry", b"[]"))
    entries = msgspec.json.decode(listed, type=list[dict[str, msgspec.Raw]])
    if not whole or _colons(entries) != listed.count(b":"):
        check_unique(raw, None, "Bundle")  # None: what it would be written as is not known, so the slow check looks
    for members, at in ((spans, "Bundle"), *((entry, f"Bundle.entry[{n}]") for n, entry in enumerate(entries))):
        for name, span in members.items():
            value = bytes(span)
            if name != "resource" and value[:1] in (b"{", b"["):
                check_unique(value, orjson.loads(value), f"{at}.{name}")


def _colons(objects: list[dict[str, msgspec.Raw]]) -> int:
    return sum(name.count(":") + 1 + bytes(value).count(b":") for one in objects for name, value in one.items())


def _first(raw: bytes) -> tuple[str, str] | None:
    """(name, path of the object) of the first name that stands twice, in document order."""
    parsed = json.loads(raw, object_pairs_hook=_pairs, parse_int=str, parse_float=str)
    todo: list[tuple[Any, str]] = [(parsed, "")]
    while todo:
        value, path = todo.pop()
        if isinstance(value, _Doubled):
            name = value.name[:60]
            return value.name, f"{path}.{name}" if name.isascii() and name.isidentifier() else f"{path}.`{name}`"
        if isinstance(value, dict):
            todo += [(part, f"{path}.{name}") for name, part in reversed(value.items())]
        elif isinstance(value, list):
            todo += [(part, f"{path}[{place}]") for place, part in reversed(list(enumerate(value)))]
    return None


def _pairs(members: list[tuple[str, Any]]) -> dict[str, Any] | _Doubled:
    found: dict[str, Any] = {}
    for name, value in members:
        if name in found:
            return _Doubled(name)
        found[name] = value
    return found
