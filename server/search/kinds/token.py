"""token: a code within a system (https://hl7.org/fhir/R4/search.html#token). Codes are compared as written."""

import functools
from collections.abc import Iterator
from typing import Any

from server.errors import Invalid
from server.keys import TERM, Not, Term, Test
from server.model import tables
from server.search.kinds.kind import Asked, Kind, Setting, Value, split, unescape


def _coding(value: Any, _: str, __: Setting) -> Iterator[Value]:
    code, system = value.get("code"), value.get("system")
    if code:
        yield Value(code, system or "")


def _concept(value: Any, value_set: str, setting: Setting) -> Iterator[Value]:
    for coding in value.get("coding") or ():
        yield from _coding(coding, value_set, setting)


def _identifier(value: Any, _: str, __: Setting) -> Iterator[Value]:
    if value.get("value"):
        yield Value(value["value"], value.get("system") or "")


def _contact(value: Any, _: str, __: Setting) -> Iterator[Value]:
    if value.get("value"):
        yield Value(value["value"])


def _code(value: Any, value_set: str, _: Setting) -> Iterator[Value]:
    yield Value(value, _system_of(value_set, value))


def _plain(value: Any, _: str, __: Setting) -> Iterator[Value]:
    yield Value(value)


def _boolean(value: Any, _: str, __: Setting) -> Iterator[Value]:
    yield Value("true" if value else "false")


@functools.lru_cache(4096)
def _system_of(value_set: str, code: str) -> str:
    """The system a `code` is implicitly in: that of its required value set, when only one has the code."""
    if not value_set:
        return ""
    systems = [system for system, codes in tables.value_set(value_set).systems.items() if code in codes]
    return systems[0] if len(systems) == 1 else ""


def _test(asked: Asked, _: Setting) -> Test:
    parts = split(asked.value, "|")
    if len(parts) > 2:
        raise Invalid(f"'{asked.value}' is not a token: at most one | stands between system and code", asked.name)
    if len(parts) == 1:
        term = Term(asked.param, unescape(parts[0]))
    else:
        term = Term(asked.param, unescape(parts[1]) or None, unescape(parts[0]))
    if not term.key and not term.scope:
        raise Invalid(f"'{asked.value}' is not a token: it names neither system nor code", asked.name)
    return Not(term) if asked.modifier == "not" else term


TOKEN = Kind(
    TERM,
    {
        "Coding": _coding,
        "CodeableConcept": _concept,
        "Identifier": _identifier,
        "ContactPoint": _contact,
        "code": _code,
        "boolean": _boolean,
        "string": _plain,
        "uri": _plain,
        "url": _plain,
        "canonical": _plain,
        "oid": _plain,
        "uuid": _plain,
        "id": _plain,
    },
    _test,
    frozenset({"not"}),
)
