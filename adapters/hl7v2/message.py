"""The HL7 v2 message as text: segments, fields, repetitions, components; split when asked for.

A message is split into segments once; a field is split into repetitions and components only when a rule reads it.
Every read is remembered, so that what no rule has read can be listed (`Segment.leaves`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from adapters.hl7v2.delimiters import Delimiters, Escapes, escapes_of
from adapters.kit import codes

NULL = '""'
"""HL7 null: the sender says that the element has no value (delete it), which is not the same as saying nothing."""

SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
_PLACEHOLDER = 12  # characters of the longest thing that says "nothing"


def said(text: str) -> str:
    """The text, or '' when it only says that there is nothing (`无`, `-`, `同上` = as above, which has no referent)."""
    return text.strip() if len(text) > _PLACEHOLDER else _short(text)


def _clean(text: str) -> str:
    """Without the control characters that no FHIR string may hold."""
    return _CONTROLS.sub("", text)


@lru_cache(maxsize=8192)
def _short(text: str) -> str:
    return "" if not text or codes.absent(text) or text.strip() == "同上" else text.strip()


class Leaf(NamedTuple):
    """A component that says something. `read`: a rule has looked at it."""

    place: str  # `PID-3[2].1`
    value: str  # the place of its repetition, as traces name it: `PID-3[2]`
    line: int
    text: str
    read: bool


class Value:
    """One repetition of a field. `place` is its name (`PID-3`, `PID-3[2]`), `line` where its segment stands.

    Reading gives text: unescaped, blanks trimmed, '' for absent and for NULL (`null` tells the two apart).
    """

    __slots__ = ("_components", "_inside", "_segment", "field", "repetition", "text")

    def __init__(self, segment: "Segment", field: int, repetition: int, text: str) -> None:
        self._segment, self.field, self.repetition, self.text = segment, field, repetition, text
        self._components: list[str] | None = None
        self._inside = 0  # the component whose subcomponents these are

    @property
    def place(self) -> str:
        segment = self._segment
        if self.repetition or segment._moved:
            return segment.place(self.field, self.repetition)
        return f"{segment.own_name}-{self.field}"

    @property
    def line(self) -> int:
        segment = self._segment
        return segment.line_of(self.field) if segment._moved else segment.line

    @property
    def null(self) -> bool:
        self._segment.note(self.field, 0, self.repetition)
        return self.text.strip() == NULL

    @property
    def whole(self) -> str:
        """The repetition as one text, not split into components (ST, TX, FT)."""
        self._segment.note(self.field, self._inside, self.repetition)
        return "" if self.text.strip() == NULL else _clean(self._segment.escapes.decode(self.text)).strip()

    def component(self, number: int, sub: int = 1) -> str:
        """Component `number`, its subcomponent `sub`; both from 1."""
        text = self.text
        if not text:
            return ""
        segment = self._segment
        if segment._moved:
            segment.note(self.field, self._inside or number, self.repetition)
        else:
            segment._read.add((self.field << 40) | (self.repetition << 20) | (self._inside or number))
        parts = self._components or self.components()
        if number > len(parts):
            return ""
        text = parts[number - 1]
        if not text:
            return ""
        mark = segment.delimiters.subcomponent
        if mark and mark in text:
            subs = text.split(mark)
            text = subs[sub - 1] if sub <= len(subs) else ""
        elif sub > 1:
            return ""
        text = text.strip()
        if text == NULL:
            return ""
        if segment.delimiters.escape in text:
            text = segment.escapes.decode(text).strip()
        return text if text.isprintable() else _clean(text)

    def said(self, number: int = 1, sub: int = 1) -> str:
        """A component without what only says that there is nothing (`-`, `/`, `无`)."""
        text = self.component(number, sub)
        return text if not text or len(text) > _PLACEHOLDER else _short(text)

    def all_said(self, first: int, last: int) -> list[str]:
        """What components `first` to `last` say, '' for those that say nothing."""
        there = min(last, len(self._components or self.components()))
        found = [self.said(number) for number in range(first, there + 1)]
        return found + [""] * (last - first + 1 - len(found))

    def taken(self) -> "Value":
        """Notes that a table look-up has used up the whole value, its words and its system included."""
        self._segment.note(self.field, 0, self.repetition)
        return self

    def part(self, number: int) -> "Value":
        """A component that is itself composite (a CX or HD inside another type), its subcomponents as components."""
        parts = self.components()
        inner = Value(self._segment, self.field, self.repetition, parts[number - 1] if number <= len(parts) else "")
        inner._inside = number
        mark = self._segment.delimiters.subcomponent
        inner._components = inner.text.split(mark) if mark else [inner.text]
        return inner

    def components(self) -> list[str]:
        """The raw components; reading them is not noted."""
        if self._components is None:
            mark = self._segment.delimiters.component
            self._components = self.text.split(mark) if mark else [self.text]
        return self._components

    def __bool__(self) -> bool:
        """Whether the sender says anything here, NULL included."""
        return bool(self.text.strip())


class Segment:
    """One segment. `line` is its first line in the message, from 1; `number` its place among those of its name."""

    __slots__ = ("_fields", "_moved", "_read", "delimiters", "escapes", "line", "name", "number", "own_name", "text")

    def __init__(self, name: str, text: str, line: int, number: int, delimiters: Delimiters, escapes: Escapes) -> None:
        self.name, self.text, self.line, self.number = name, text, line, number
        self.delimiters, self.escapes = delimiters, escapes
        self._fields: list[str] | None = None
        self._read: set[int] = set()  # what rules have read, each by `_spot`
        self._moved: dict[int, tuple[str, Segment]] = {}  # fields that stand elsewhere: their place, their segment
        self.own_name = name

    def fields(self) -> list[str]:
        """The raw fields, 0 being the name."""
        if self._fields is None:
            self._fields = self.text.split(self.delimiters.field)
            if self.name in ("MSH", "FHS", "BHS"):  # the separator itself is field 1
                self._fields.insert(1, self.delimiters.field)
        return self._fields

    def raw(self, field: int) -> str:
        """The text of a field as it was sent; '' if there is none. Reading it is not noted."""
        fields = self._fields or self.fields()
        return fields[field] if field < len(fields) else ""

    def values(self, field: int) -> list[Value]:
        """The repetitions of a field that say anything."""
        text = self.raw(field)
        if not text or not text.strip():
            return []
        mark = self.delimiters.repetition
        if not mark or mark not in text:
            return [Value(self, field, 0, text)]
        return [value for i, part in enumerate(text.split(mark)) if (value := Value(self, field, i, part))]

    def value(self, field: int) -> Value:
        """The first repetition of a field; an empty value when there is none."""
        text = self.raw(field)
        mark = self.delimiters.repetition
        return Value(self, field, 0, text.split(mark, 1)[0] if mark and mark in text else text)

    def place(self, field: int, repetition: int = 0) -> str:
        moved = self._moved.get(field)
        name = moved[0] if moved else f"{self.own_name}-{field}"
        return f"{name}[{repetition + 1}]" if repetition else name

    def line_of(self, field: int) -> int:
        moved = self._moved.get(field)
        return moved[1].line if moved else self.line

    def take(self, field: int, text: str, origin: str, source: "Segment") -> None:
        """Gives a field the text that a site sends elsewhere (`origin`, a field of `source`); its place stays there."""
        fields = self.fields()
        fields.extend([""] * (field + 1 - len(fields)))
        fields[field] = text
        self._moved[field] = (origin, source)

    def rename(self, standard: str) -> None:
        """Makes the rules read a site's own segment as a standard one; its places keep the sender's name."""
        self.name = standard

    def note(self, field: int, component: int = 0, repetition: int = 0) -> None:
        """Remembers that a rule has read one component of a repetition; 0 = all of it."""
        if self._moved and field in self._moved:
            origin, source = self._moved[field]
            source._read.add(_spot(int(origin.partition("-")[2]), repetition, component))
        self._read.add((field << 40) | (repetition << 20) | component)

    @property
    def touched(self) -> bool:
        """Whether any rule has read anything of it."""
        return bool(self._read)

    def leaves(self) -> Iterator[Leaf]:
        """Every component that says anything, NULL left out."""
        for number, repetition, part in self.parts():
            place = self.place(number, repetition)
            parts = self.components(part)
            for at, content in enumerate(parts, 1):
                content = content.strip()
                if content and content != NULL:
                    name = place if len(parts) == 1 else f"{place}.{at}"
                    yield Leaf(name, place, self.line, content, self.was_read(number, repetition, at))

    def tally(self, traced: set[tuple[int | None, str]]) -> tuple[int, int, list[Leaf]]:
        """(how many components say something, how many of them are mapped, the others). Mapped: a rule has read it, and
        the place of its repetition is among the traced (line, place)."""
        present = mapped = 0
        rest: list[Leaf] = []
        read, mark, line = self._read, self.delimiters.component, self.line
        for number, repetition, text in self.parts():
            spot = (number << 40) | (repetition << 20)
            place = self.place(number, repetition) if repetition else f"{self.own_name}-{number}"
            landed, whole = (line, place) in traced, spot in read
            parts = text.split(mark) if mark and mark in text else [text]
            for at, part in enumerate(parts, 1):
                if not part or part == NULL or part.isspace():
                    continue
                present += 1
                seen = whole or spot | at in read
                if landed and seen:
                    mapped += 1
                else:
                    name = f"{place}.{at}" if len(parts) > 1 else place
                    rest.append(Leaf(name, place, line, part.strip(), seen))
        return present, mapped, rest

    def parts(self) -> Iterator[tuple[int, int, str]]:
        """(field, repetition, text) of all that the sender wrote here, in its own places."""
        mark = self.delimiters.repetition
        first = 3 if self.name == "MSH" else 1
        for number, text in enumerate(self.fields()):
            if number < first or not text or number in self._moved:
                continue
            if mark and mark in text:
                for repetition, part in enumerate(text.split(mark)):
                    if part and not part.isspace():
                        yield number, repetition, part
            elif not text.isspace():
                yield number, 0, text

    def components(self, text: str) -> list[str]:
        mark = self.delimiters.component
        return text.split(mark) if mark else [text]

    def was_read(self, field: int, repetition: int, component: int) -> bool:
        read, spot = self._read, (field << 40) | (repetition << 20)
        return spot | component in read or spot in read


def _spot(field: int, repetition: int, component: int) -> int:
    return (field << 40) | (repetition << 20) | component


@dataclass(frozen=True, slots=True)
class Line:
    """A segment as it was cut: its name, its text, and its first line."""

    name: str
    text: str
    line: int


class Message:
    """One message: its segments in order. `charset` is the Python codec its bytes were read with."""

    def __init__(self, lines: list[Line], charset: str) -> None:
        self.lines, self.charset = lines, charset
        self.delimiters = Delimiters.of(lines[0].text)
        self.escapes = escapes_of(self.delimiters, charset)
        counts: dict[str, int] = {}
        self.segments: list[Segment] = []
        for line in lines:
            number = counts[line.name] = counts.get(line.name, 0) + 1
            self.segments.append(Segment(line.name, line.text, line.line, number, self.delimiters, self.escapes))

    def fresh(self) -> "Message":
        """The same message, nothing of it read yet."""
        return Message(self.lines, self.charset)

    @property
    def header(self) -> Segment:
        return self.segments[0]

    def first(self, name: str) -> Segment | None:
        return next((segment for segment in self.segments if segment.name == name), None)

    def all(self, name: str) -> list[Segment]:
        return [segment for segment in self.segments if segment.name == name]

    @property
    def type(self) -> str:
        """`ADT^A01`: the first two parts of MSH-9, whatever the sender put between or after them."""
        field = self.header.value(9)
        return f"{field.component(1)}^{field.component(2)}".rstrip("^").upper()
