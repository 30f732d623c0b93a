"""What a search kind has to say, and the words its functions use."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from server.errors import Invalid, NotSupported
from server.keys import Test

Value = tuple[str, str, int, int]
"""An index entry before it has a parameter and a rank: key, scope, low, high of keys.Entry."""

Add = Callable[[Value], None]


Codes = Callable[[str, str], Sequence[tuple[str, str]]]
"""(modifier `in`, `not-in`, `above` or `below`, what was asked) -> (system, code) of all it stands for."""


def no_codes(modifier: str, asked: str) -> Sequence[tuple[str, str]]:
    raise NotSupported(f"the modifier '{modifier}' needs a terminology: '{asked}' is not known here", f":{modifier}")


@dataclass(frozen=True, slots=True)
class Setting:
    """What both sides need to know: the zone of dates without one, and our own base URL (no slash at the end).

    `codes` is the terminology as one search needs it, looked up before.
    """

    zone: tzinfo
    base: str
    text: str = "narrative"  # what _text and _content can search: off | narrative | content
    codes: Codes = no_codes


@dataclass(frozen=True, slots=True)
class Asked:
    """One criterion as it was asked: `name:modifier=value` (one of the OR values, unescaped where the kind says so)."""

    param: str  # Type.code, the index name
    name: str  # as written, for messages
    modifier: str
    value: str
    targets: tuple[str, ...]


Extract = Callable[[Any, str, Setting, Add], None]
"""(value of one datatype, value set of a code, setting, add): adds what the value is found by."""


@dataclass(frozen=True, slots=True)
class Facet:
    """What else a parameter is found by, through a modifier: indexed under `Type.code:modifier`."""

    shape: str
    types: Mapping[str, Extract]


@dataclass(frozen=True, slots=True)
class Kind:
    """shape: of keys.py. types: datatype -> how its values are indexed. test: a search value as a Test.

    facets: by modifier; such a modifier is in `modifiers` too, and `test` asks for the parameter of that name.
    """

    shape: str
    types: Mapping[str, Extract]
    test: Callable[[Asked, Setting], Test]
    modifiers: frozenset[str] = frozenset()
    sortable: bool = True
    facets: Mapping[str, Facet] = field(default_factory=dict)


def split(value: str, separator: str) -> list[str]:
    """Splits at a separator that is not escaped by a backslash; escapes stay (search.html#escaping)."""
    if "\\" not in value:
        return value.split(separator)
    parts, current, i = [], "", 0
    while i < len(value):
        if value[i] == "\\" and i + 1 < len(value):
            current += value[i : i + 2]
            i += 2
            continue
        if value[i] == separator:
            parts.append(current)
            current = ""
        else:
            current += value[i]
        i += 1
    return [*parts, current]


def unescape(value: str) -> str:
    """`\\,` `\\|` `\\$` and `\\\\` to the characters they stand for; any other escape is an error."""
    if "\\" not in value:
        return value
    out, i = "", 0
    while i < len(value):
        if value[i] == "\\":
            if value[i + 1 : i + 2] not in ("\\", ",", "|", "$"):
                raise Invalid(f"'{value}' has a backslash that escapes nothing: only \\, \\| \\$ and \\\\ are known")
            i += 1
        out += value[i]
        i += 1
    return out
