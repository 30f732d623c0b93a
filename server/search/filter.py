"""_filter: criteria with and, or, not and brackets (https://hl7.org/fhir/R4/search_filter.html).

    filter     = term *( "or" term )            term = factor *( "and" factor )
    factor     = "not" "(" filter ")" / "(" filter ")" / path operator value
    path       = name *( "." name )             value = "a string" / token up to a blank or bracket

Every comparison becomes the criterion of an ordinary parameter, so both mean the same.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from server.errors import Invalid, NotSupported
from server.keys import All, Not, Test
from server.keys import Any as AnyOf

_TOKEN = re.compile(r'\s*(?:(?P<bracket>[()\[\]])|(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[^\s()\[\]"]+))', re.DOTALL)
_NESTING_MAX = 50

Spelled = Callable[[str], tuple[str, str]]
"""Kind of the parameter -> (modifier, value as it would stand in an address)."""
Compare = Callable[[str, Spelled], Test]
"""(path, what it is compared with) -> the test."""


class _As(NamedTuple):
    """A comparison as an ordinary criterion."""

    modifier: str = ""
    prefix: str = ""


_NEGATED = frozenset({"ne"})  # eq, and then not
_RANGES = {one: _As(prefix=one) for one in ("eq", "gt", "lt", "ge", "le", "ap", "sa", "eb")} | {"ne": _As(prefix="eq")}
_OPERATORS: dict[str, dict[str, _As]] = {
    "string": {
        "eq": _As("equal"), "ne": _As("equal"), "co": _As("contains"), "sw": _As(), "ew": _As("suffix"),
    },
    "token": {"eq": _As(), "ne": _As(), "ss": _As("below"), "sb": _As("above")},
    "uri": {"eq": _As(), "ne": _As(), "ss": _As("below"), "sb": _As("above")},
    "reference": {"eq": _As(), "ne": _As(), "re": _As()},
    "date": {**_RANGES, "po": _As(prefix="ap")},
    "number": _RANGES,
    "quantity": _RANGES,
}  # fmt: skip
"""Kind of parameter -> operator -> what it means; `pr` is there for all kinds."""


@dataclass(slots=True)
class _Reader:
    """What is left of a filter."""

    tokens: list[tuple[str, str]]  # (group of _TOKEN, text)
    compare: Compare
    at: int = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def take(self, wanted: str = "") -> str:
        group, text = self.peek()
        if group == "end" or (wanted and text.lower() != wanted):
            raise Invalid(f"_filter: {repr(text) if text else 'the end'} where {wanted or 'more'} belongs", "_filter")
        self.at += 1
        return text

    def says(self, word: str) -> bool:
        group, text = self.peek()
        return group == "word" and text.lower() == word


def parse(text: str, compare: Compare) -> Test:
    """Raises Invalid and NotSupported for what is no filter, and what `compare` raises."""
    reader = _Reader(_tokens(text), compare)
    test = _either(reader, 0)
    if reader.peek()[0] != "end":
        raise Invalid(f"_filter: '{reader.peek()[1]}' where and, or, or the end belongs", "_filter")
    return test


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while text[at:].strip():
        token = _TOKEN.match(text, at)
        if token is None or token.lastgroup is None:
            raise Invalid(f"_filter: a string that does not end: {text[at:].strip()[:40]}", "_filter")
        found.append((token.lastgroup, token[token.lastgroup]))
        at = token.end()
    return found


def _either(reader: _Reader, depth: int) -> Test:
    tests = [_both(reader, depth)]
    while reader.says("or"):
        reader.take()
        tests.append(_both(reader, depth))
    return tests[0] if len(tests) == 1 else AnyOf(tuple(tests))


def _both(reader: _Reader, depth: int) -> Test:
    tests = [_factor(reader, depth)]
    while reader.says("and"):
        reader.take()
        tests.append(_factor(reader, depth))
    return tests[0] if len(tests) == 1 else All(tuple(tests))


def _factor(reader: _Reader, depth: int) -> Test:
    if depth > _NESTING_MAX:
        raise Invalid(f"_filter nests deeper than {_NESTING_MAX} brackets", "_filter")
    negated = reader.says("not")
    if negated:
        reader.take()
    if negated or reader.peek() == ("bracket", "("):
        reader.take("(")
        inner = _either(reader, depth + 1)
        reader.take(")")
        return Not(inner) if negated else inner
    return _comparison(reader)


def _comparison(reader: _Reader) -> Test:
    path = reader.take()
    if reader.peek() == ("bracket", "["):
        raise NotSupported(f"_filter: a filter within a path ('{path}[…]') is not supported", "_filter")
    operator = reader.take().lower()
    group, value = reader.peek()
    reader.take()
    if group == "bracket":
        raise Invalid(f"_filter: a value is missing after {path} {operator}", "_filter")
    if operator == "pr":
        if value not in ("true", "false"):
            raise Invalid(f"_filter: {path} pr takes true or false, not '{value}'", "_filter")
        return reader.compare(path, lambda kind: ("missing", "false" if value == "true" else "true"))
    if not any(operator in known for known in _OPERATORS.values()):
        raise NotSupported(f"_filter: the operator '{operator}' is not supported", "_filter")

    def spelled(kind: str) -> tuple[str, str]:
        meant = _OPERATORS.get(kind, {}).get(operator)
        if meant is None:
            known = ", ".join(sorted({"pr", *_OPERATORS.get(kind, {})}))
            raise NotSupported(f"_filter: '{operator}' of {path} ({kind}) is not supported: {known} are", "_filter")
        return meant.modifier, meant.prefix + _spelled(group, value, kind)

    test = reader.compare(path, spelled)
    return Not(test) if operator in _NEGATED else test


def _spelled(group: str, value: str, kind: str) -> str:
    """A value as an address has it: what a list or a string would take for its own is escaped."""
    if group == "string":
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise Invalid(f"_filter: {value} is not a string", "_filter") from error
    escaped = "\\," if kind in ("token", "quantity", "uri", "reference") else "\\,|$"
    return "".join(f"\\{char}" if char in escaped else char for char in value)
