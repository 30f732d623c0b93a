"""token: a code within a system (https://hl7.org/fhir/R4/search.html#token). Codes are compared as written."""

import functools
from typing import Any

from server.errors import Invalid
from server.keys import TERM, Not, Term, Test
from server.model import tables
from server.search.kinds.kind import Add, Asked, Kind, Setting, split, unescape


def _coding(value: Any, _: str, __: Setting, add: Add) -> None:
    code = value.get("code")
    if code:
        add((code, value.get("system") or "", 0, 0))


def _concept(value: Any, value_set: str, setting: Setting, add: Add) -> None:
    for coding in value.get("coding") or ():
        _coding(coding, value_set, setting, add)


def _identifier(value: Any, _: str, __: Setting, add: Add) -> None:
    text = value.get("value")
    if text:
        add((text, value.get("system") or "", 0, 0))


def _contact(value: Any, _: str, __: Setting, add: Add) -> None:
    text = value.get("value")
    if text:
        add((text, "", 0, 0))


def _code(value: Any, value_set: str, _: Setting, add: Add) -> None:
    add((value, _system_of(value_set, value), 0, 0))


def _plain(value: Any, _: str, __: Setting, add: Add) -> None:
    add((value, "", 0, 0))


def _boolean(value: Any, _: str, __: Setting, add: Add) -> None:
    add(("true" if value else "false", "", 0, 0))


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
