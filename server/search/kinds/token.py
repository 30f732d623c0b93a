"""token: a code within a system (https://hl7.org/fhir/R4/search.html#token). Codes are compared as written."""

import functools
from typing import Any

from server.errors import Invalid
from server.keys import TERM, TEXT, Not, Term, Test, Text
from server.keys import Any as AnyOf
from server.model import tables
from server.search.kinds.kind import Add, Asked, Facet, Kind, Setting, split, unescape
from server.search.kinds.string import add_text, normal


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


def _concept_text(value: Any, _: str, __: Setting, add: Add) -> None:
    add_text(value.get("text"), add)
    for coding in value.get("coding") or ():
        add_text(coding.get("display"), add)


def _coding_text(value: Any, _: str, __: Setting, add: Add) -> None:
    add_text(value.get("display"), add)


def _identifier_text(value: Any, _: str, __: Setting, add: Add) -> None:
    add_text((value.get("type") or {}).get("text"), add)


def _identifier_type(value: Any, _: str, __: Setting, add: Add) -> None:
    """The value under each coding of the identifier's type (`:of-type`)."""
    text = value.get("value")
    for coding in (value.get("type") or {}).get("coding") or ():
        if text and coding.get("code"):
            add((text, f"{coding.get('system') or ''}|{coding['code']}", 0, 0))


def _test(asked: Asked, setting: Setting) -> Test:
    return _MODIFIED.get(asked.modifier, _equal)(asked, setting)


def _equal(asked: Asked, _: Setting) -> Test:
    """`code`, `system|code`, `|code` (in no system) or `system|`."""
    parts = split(asked.value, "|")
    if len(parts) > 2:
        raise Invalid(f"'{asked.value}' is not a token: at most one | stands between system and code", asked.name)
    if len(parts) == 1:
        term = Term(asked.param, unescape(parts[0]))
    else:
        term = Term(asked.param, unescape(parts[1]) or None, unescape(parts[0]))
    if not term.key and not term.scope:
        raise Invalid(f"'{asked.value}' is not a token: it names neither system nor code", asked.name)
    return term


def _not(asked: Asked, setting: Setting) -> Test:
    return Not(_equal(asked, setting))


def _text(asked: Asked, _: Setting) -> Test:
    """The beginning of a text or display, as a string parameter would find it."""
    key = normal(unescape(asked.value))
    if not key:
        raise Invalid("a text to search for must not be empty", asked.name)
    return Text(f"{asked.param}:text", key)


def _of_type(asked: Asked, _: Setting) -> Test:
    parts = [unescape(part) for part in split(asked.value, "|")]
    if len(parts) != 3 or not parts[1] or not parts[2]:
        raise Invalid(f"'{asked.value}' is not system|code|value of an identifier's type and its value", asked.name)
    return Term(f"{asked.param}:of-type", parts[2], f"{parts[0]}|{parts[1]}")


def _in(asked: Asked, setting: Setting) -> Test:
    codes = setting.codes(asked.modifier.removeprefix("not-"), unescape(asked.value))
    return AnyOf(tuple(Term(asked.param, code, system) for system, code in codes))


def _not_in(asked: Asked, setting: Setting) -> Test:
    return Not(_in(asked, setting))


_MODIFIED = {
    "not": _not,
    "text": _text,
    "of-type": _of_type,
    "in": _in,
    "not-in": _not_in,
    "above": _in,
    "below": _in,
}

TOKEN = Kind(
    TERM,
    {
        "Coding": _coding,
        "CodeableConcept": _concept,
        "Identifier": _identifier,
        "ContactPoint": _contact,
        "code": _code,
        "boolean": _boolean,
        **dict.fromkeys(("string", "uri", "url", "canonical", "oid", "uuid", "id"), _plain),
    },
    _test,
    frozenset(_MODIFIED),
    facets={
        "text": Facet(TEXT, {"CodeableConcept": _concept_text, "Coding": _coding_text, "Identifier": _identifier_text}),
        "of-type": Facet(TERM, {"Identifier": _identifier_type}),
    },
)
