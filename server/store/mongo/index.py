"""Index entries -> what a document carries for search: tokens `k`, ranges `r`, sort values `s`. It never knows FHIR.

A token is `<param><kind><rest>`, one string in one multikey array:

    P=key            term, by key alone                   equality
    P|scope|key      term, by scope and key               equality; `P|scope|` and `P|` are prefixes
    P~normal         text, normalised                     prefix, contains
    P"text           text as written                      equality
    P>target         link                                 equality
    P^word           word                                 equality, prefix

The separators and `%` are percent-encoded in the parameter, and `%` and `|` in the scope; the last part stands as it
is. So two different entries never have one token, and a prefix of one meaning never reaches into another.
A range is `{p: P|key, l, h}`; `l` and `h` of a test must hold in the same one. What occurs several times stands once
more in `o`: `{p: place, k, r}` with the tokens and ranges of one occurrence (keys.Together).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from server.keys import LINK, PART, SPAN, TERM, TEXT, WORD, Entry

CODE, SCOPED, NORMAL, WRITTEN, TARGET, UNIT, WORDS = "=", "|", "~", '"', ">", "|", "^"


def _escaping(characters: str) -> dict[int, str]:
    return str.maketrans({character: f"%{ord(character):02X}" for character in characters})


_PARAM = _escaping('%=|~">^')
_SCOPE = _escaping("%|")
_FIELD = _escaping("%.$!\0")  # what MongoDB or a path gives a meaning in field names

# (shape, side) -> field below s.<param>: the smallest and the largest value
SORT_FIELD = {(TERM, "a"): "ta", (TERM, "z"): "tz", (TEXT, "a"): "xa", (TEXT, "z"): "xz", (SPAN, "a"): "ra"}
SORT_FIELD[SPAN, "z"] = "rz"
_SIDES = {0: "az", 1: "a", 2: "z", 3: ""}  # rank -> the ends this entry is


def code(param: str, key: str) -> str:
    return f"{param.translate(_PARAM)}{CODE}{key}"


def scoped(param: str, scope: str, key: str = "") -> str:
    """The token of a term in a scope; without key: the prefix of all keys of the scope."""
    return f"{param.translate(_PARAM)}{SCOPED}{scope.translate(_SCOPE)}|{key}"


def normal(param: str, text: str) -> str:
    return f"{param.translate(_PARAM)}{NORMAL}{text}"


def written(param: str, text: str) -> str:
    return f"{param.translate(_PARAM)}{WRITTEN}{text}"


def link(param: str, target: str) -> str:
    return f"{param.translate(_PARAM)}{TARGET}{target}"


def word(param: str, key: str) -> str:
    return f"{param.translate(_PARAM)}{WORDS}{key}"


def unit(param: str, key: str) -> str:
    """`p` of a range."""
    return f"{param.translate(_PARAM)}{UNIT}{key}"


def every(param: str, kind: str) -> str:
    """The prefix of all tokens of a kind."""
    return f"{param.translate(_PARAM)}{kind}"


def past(prefix: str) -> str:
    """The first string after all that begin with `prefix`, in code point order (MongoDB's: UTF-8 bytes)."""
    kept = prefix.rstrip("\U0010ffff")
    last = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if last == 0xD800 else last)  # no surrogates in UTF-8


def sort_path(type: str, param: str, field: str) -> str:
    """`s.<param>.<field>`; the type is left out where it is the resource's own."""
    own = param.removeprefix(f"{type}.")
    return f"s.{'' if own != param else '!'}{own.translate(_FIELD) or '%'}.{field}"


def _tokens(entry: Entry) -> tuple[str, ...]:
    if entry.shape == TERM:
        return (code(entry.param, entry.key), scoped(entry.param, entry.scope, entry.key))
    if entry.shape == TEXT:
        return (normal(entry.param, entry.key), written(entry.param, entry.scope))
    if entry.shape == LINK:
        return (link(entry.param, entry.key),)
    if entry.shape == WORD:
        return (word(entry.param, entry.key),)
    return ()


def _sort_values(type: str, entries: Iterable[Entry]) -> dict[str, dict[str, Any]]:
    values: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry.shape in (LINK, WORD) or PART in entry.param:
            continue
        for side in _SIDES[entry.rank]:
            _, param, field = sort_path(type, entry.param, SORT_FIELD[entry.shape, side]).split(".")
            values.setdefault(param, {})[field] = entry.low if entry.shape == SPAN else entry.key
    return values


def fields(type: str, entries: Sequence[Entry]) -> dict[str, Any]:
    """`k`, `r`, `o` and `s` of a resource; one that would be empty is absent, it would only cost index keys."""
    occurrences: dict[tuple[str, int], list[Entry]] = {}
    for entry in entries:
        if PART in entry.param:
            occurrences.setdefault((entry.param.partition(PART)[0], entry.rank), []).append(entry)
    made = {
        **_found_by(entries),
        "o": [{"p": place, **_found_by(some)} for (place, _), some in occurrences.items()],
        "s": _sort_values(type, entries),
    }
    return {name: value for name, value in made.items() if value}


def _found_by(entries: Sequence[Entry]) -> dict[str, Any]:
    tokens = dict.fromkeys(token for entry in entries for token in _tokens(entry))
    spans = dict.fromkeys((unit(e.param, e.key), e.low, e.high) for e in entries if e.shape == SPAN)
    ranges = [{"p": p, "l": low, "h": high} for p, low, high in spans]
    return {**({"k": list(tokens)} if tokens else {}), **({"r": ranges} if ranges else {})}
