"""The FHIRPath that names an element to change: text -> steps (https://hl7.org/fhir/R4/fhirpath.html).

A path is names, `[n]`, first(), last(), ofType(T), as(T), `as T`, extension('url') and where(…) with exists(), `=` and
`!=` on literals joined by and, or. Anything else of FHIRPath is named and refused, never guessed.
"""

import functools
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import NoReturn

LONGEST = 2000
DEEPEST = 20  # parentheses inside each other

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<quoted>`[^`\\]+`)|(?P<this>\$this\b)"""
    r"""|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>!=|[.=()\[\]])|(?P<other>\S))""",
    re.ASCII,
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Child:
    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """The item at a place, from 0; -1: the last one."""

    place: int


@dataclass(frozen=True, slots=True)
class OfType:
    type: str


@dataclass(frozen=True, slots=True)
class Exists:
    """Only while parsing: the end of a condition."""


@dataclass(frozen=True, slots=True)
class Where:
    criteria: "Criteria"


Step = Child | Index | OfType | Where | Exists
Literal = str | bool | Decimal


@dataclass(frozen=True, slots=True)
class Compared:
    """`operator` is =, != or exists (no literal); the steps begin at the item that is looked at."""

    steps: tuple[Step, ...]
    operator: str
    literal: Literal = ""


@dataclass(frozen=True, slots=True)
class Joined:
    operator: str  # and | or
    parts: tuple["Criteria", ...]


Criteria = Compared | Joined


class Unreadable(Exception):
    """The text is no path, or uses what is not supported; the message says which."""


@functools.lru_cache(1024)
def parse(text: str) -> tuple[Step, ...]:
    """The steps of a path; its first name may be that of the resource type. Raises Unreadable."""
    if len(text) > LONGEST:
        raise Unreadable(f"the path has {len(text)} characters, {LONGEST} is the limit")
    parser = _Parser(text)
    steps = parser.expression()
    if parser.kind:
        parser.refuse()
    return steps


class _Parser:
    """Looks at one token at a time: `kind` is '' at the end."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth, self._conditions = text, 0, 0, 0
        self.kind = self.token = ""
        self._next()

    def _next(self) -> None:
        found = _TOKEN.match(self._text, self._at)
        self.kind = (found.lastgroup or "") if found else ""
        self.token = found[self.kind] if found and self.kind else ""
        self._at = found.end() if found else len(self._text)

    def refuse(self, what: str = "") -> NoReturn:
        if not what:
            what = f"'{self.token}' is not expected" if self.kind else "it ends too early"
        raise Unreadable(f"the path '{self._text}' cannot be used here: {what}")

    def _take(self, sign: str) -> None:
        if (self.kind, self.token) != ("sign", sign):
            self.refuse(f"'{sign}' is expected" + (f", not '{self.token}'" if self.kind else " at its end"))
        self._next()

    def _is(self, token: str) -> bool:
        return self.kind in ("sign", "name") and self.token == token

    # -------------------------------------------------------------------------------------------------- paths
    def expression(self) -> tuple[Step, ...]:
        """A path, with `as T` behind it or not."""
        self._deeper()
        if self._is("("):
            self._next()
            head = self.expression()
            self._take(")")
        else:
            head = self._invocation()
        steps = self._typed(self._onward(head))
        self._depth -= 1
        return steps

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            self.refuse(f"parentheses nest deeper than {DEEPEST}")

    def _onward(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        while self._is(".") or self._is("["):
            bracket = self._is("[")
            self._next()
            steps = (*steps, *(self._bracket() if bracket else self._invocation()))
        return steps

    def _typed(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        if not self._is("as"):
            return steps
        self._next()
        return (*steps, OfType(self._name()))

    def _bracket(self) -> tuple[Step, ...]:
        if self.kind != "number" or not self.token.isdigit():
            self.refuse("between [ and ] is a whole number from 0")
        place = int(self.token[:9])
        self._next()
        self._take("]")
        return (Index(place),)

    def _name(self) -> str:
        if self.kind not in ("name", "quoted"):
            self.refuse()
        name = self.token.strip("`")
        self._next()
        return name

    def _invocation(self) -> tuple[Step, ...]:
        name = self._name()
        if not self._is("("):
            return (Child(name),)
        self._next()
        steps = self._function(name)
        self._take(")")
        return steps

    def _function(self, name: str) -> tuple[Step, ...]:
        if name in ("first", "last"):
            return (Index(0 if name == "first" else -1),)
        if name in ("ofType", "as"):
            return (OfType(self._name()),)
        if name == "where":
            self._conditions += 1
            criteria = _complete(self, self._joined())
            self._conditions -= 1
            return (Where(criteria),)
        if name == "extension":
            return (Child("extension"), Where(Compared((Child("url"),), "=", self._text_literal())))
        if name != "exists" or not self._conditions:
            self.refuse("exists() belongs inside where(…)" if name == "exists" else f"{name}() is not supported")
        return (Exists(),)

    # ------------------------------------------------------------------------------------------------- criteria
    def _joined(self) -> Criteria:
        """`or` binds less than `and`. A path alone comes back as one, for the parentheses around it."""
        self._deeper()
        parts = [self._conjunction()]
        while self._is("or"):
            self._next()
            parts.append(self._conjunction())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Joined("or", tuple(_complete(self, part) for part in parts))

    def _conjunction(self) -> Criteria:
        parts = [self._comparison()]
        while self._is("and"):
            self._next()
            parts.append(self._comparison())
        return parts[0] if len(parts) == 1 else Joined("and", tuple(_complete(self, part) for part in parts))

    def _comparison(self) -> Criteria:
        if self._is("("):
            self._next()
            inner = self._joined()
            self._take(")")
            if not isinstance(inner, Compared) or inner.operator:
                return inner
            head = inner.steps
        elif self.kind == "this":
            self._next()
            head = ()
        else:
            head = self._invocation()
        steps = self._typed(self._onward(head))
        if steps and isinstance(steps[-1], Exists):
            return Compared(steps[:-1], "exists")
        if not (self._is("=") or self._is("!=")):
            return Compared(steps, "")
        operator = self.token
        self._next()
        return Compared(steps, operator, self._literal())

    def _literal(self) -> Literal:
        if self.kind == "text":
            return self._text_literal()
        if self.kind == "number":
            number = Decimal(self.token)
            self._next()
            return number
        if not (self._is("true") or self._is("false")):
            self.refuse("after = and != stands a literal: 'text', a number, true or false")
        truth = self.token == "true"
        self._next()
        return truth

    def _text_literal(self) -> str:
        if self.kind != "text":
            self.refuse("a text in single quotes is expected")
        text = _ESCAPE.sub(
            lambda found: chr(int(found[1], 16)) if found[1] else _ESCAPED.get(found[2], found[2]), self.token[1:-1]
        )
        self._next()
        return text


def _complete(parser: _Parser, criteria: Criteria) -> Criteria:
    if isinstance(criteria, Compared) and (
        not criteria.operator or any(isinstance(step, Exists) for step in criteria.steps)
    ):
        parser.refuse("a condition is exists(), or = or != and a literal")
    return criteria
