"""The HL7 v2 message as text: delimiters, segments, fields, repetitions, components, escapes; split when asked for.

A message is split into segments once; a field is split into repetitions and components only when a rule reads it.
Every read is remembered, so that what no rule has read can be listed (`Segment.unread`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

NULL = '""'
"""HL7 null: the sender says that the element has no value (delete it), which is not the same as saying nothing."""

SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")


@dataclass(frozen=True, slots=True)
class Delimiters:
    """MSH-1 and MSH-2. '' = the sender does not use this delimiter (MSH-2 may be shorter than four characters)."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @classmethod
    def of(cls, header: str) -> "Delimiters":
        """Those of a segment that begins with MSH, FHS or BHS and at least a field separator."""
        field = header[3]
        encoding = header[4:].split(field, 1)[0][:5]
        return cls(field, *(encoding[i : i + 1] for i in range(5)))

    @property
    def encoding(self) -> str:
        """MSH-2."""
        return self.component + self.repetition + self.escape + self.subcomponent + self.truncation


class Escapes:
    r"""The escape sequences of one message: \F\ \S\ \T\ \R\ \E\ \P\ \.br\ \.sp\ \H\ \N\ and \X..\ in its charset.

    What is not known (\Cxxyy\, \Z..\, a lone escape character) stays as it was written.
    """

    def __init__(self, delimiters: Delimiters, charset: str) -> None:
        self._escape, self._charset = delimiters.escape, charset
        self._plain = {
            "F": delimiters.field,
            "S": delimiters.component,
            "T": delimiters.subcomponent or "&",
            "R": delimiters.repetition,
            "E": delimiters.escape,
            "P": delimiters.truncation or "#",
            "H": "",
            "N": "",
        }
        mark = re.escape(delimiters.escape)
        self._pattern = re.compile(f"{mark}([^{mark}]*){mark}") if mark else None
        in_use = {
            "F",
            "S",
            "R",
            "E",
            *("T" if delimiters.subcomponent else ""),
            *("P" if delimiters.truncation else ""),
        }
        self._codes = {value: code for code, value in self._plain.items() if code in in_use}
        self._special = re.compile("[" + re.escape("".join(self._codes)) + "\r\n]")

    def decode(self, text: str) -> str:
        if not self._escape or self._escape not in text or self._pattern is None:
            return text
        out, at = [], 0
        while (match := self._pattern.search(text, at)) is not None:
            meaning = self._meaning(match[1])
            out.append(text[at : match.start()])
            if meaning is None:  # not a sequence: the second escape character may begin one
                out.append(text[match.start() : match.end() - 1])
                at = match.end() - 1
            else:
                out.append(meaning)
                at = match.end()
        return "".join(out) + text[at:]

    def encode(self, text: str) -> str:
        """Text that decodes to itself; line ends become \\.br\\, for a segment cannot hold them."""
        if not self._escape:
            return re.sub(r"[\r\n]+", " ", text)
        text = text.replace("\r\n", "\n")
        return self._special.sub(lambda m: f"{self._escape}{self._codes.get(m[0], '.br')}{self._escape}", text)

    def _meaning(self, sequence: str) -> str | None:
        plain = self._plain.get(sequence)
        if plain is not None:
            return plain
        if sequence in (".br", ".ce") or re.fullmatch(r"\.sp\d*", sequence):
            return "\n" * int(sequence[3:] or 1) if sequence.startswith(".sp") else "\n"
        if re.fullmatch(r"\.(fi|nf|in[+-]?\d+|ti[+-]?\d+|sk\d*)", sequence):
            return " " if sequence.startswith(".sk") else ""
        if re.fullmatch(r"X([0-9A-Fa-f]{2})+", sequence):
            try:
                return bytes.fromhex(sequence[1:]).decode(self._charset)
            except UnicodeDecodeError:
                return None
        return None


class Value:
    """One repetition of a field. `place` is its name (`PID-3`, `PID-3[2]`), `line` where its segment stands.

    Reading gives text: unescaped, blanks trimmed, '' for absent and for NULL (`null` tells the two apart).
    """

    __slots__ = ("_components", "_segment", "field", "repetition", "text")

    def __init__(self, segment: "Segment", field: int, repetition: int, text: str) -> None:
        self._segment, self.field, self.repetition, self.text = segment, field, repetition, text
        self._components: list[str] | None = None

    @property
    def place(self) -> str:
        suffix = f"[{self.repetition + 1}]" if self.repetition else ""
        return f"{self._segment.name}-{self.field}{suffix}"

    @property
    def line(self) -> int:
        return self._segment.line

    @property
    def null(self) -> bool:
        self._segment.note(self.field)
        return self.text.strip() == NULL

    @property
    def whole(self) -> str:
        """The repetition as one text, not split into components (ST, TX, FT)."""
        self._segment.note(self.field)
        return "" if self.text.strip() == NULL else self._segment.escapes.decode(self.text).strip()

    def component(self, number: int, sub: int = 1) -> str:
        """Component `number`, its subcomponent `sub`; both from 1."""
        if not self.text:
            return ""
        self._segment.note(self.field, number)
        parts = self.components()
        if number > len(parts):
            return ""
        text = parts[number - 1]
        mark = self._segment.delimiters.subcomponent
        if mark and mark in text:
            subs = text.split(mark)
            text = subs[sub - 1] if sub <= len(subs) else ""
        elif sub > 1:
            return ""
        text = text.strip()
        return "" if text == NULL else self._segment.escapes.decode(text).strip()

    def taken(self) -> "Value":
        """Notes that a table look-up has used up the whole value, its words and its system included."""
        self._segment.note(self.field)
        return self

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

    __slots__ = ("_fields", "_read", "delimiters", "escapes", "line", "name", "number", "text")

    def __init__(self, name: str, text: str, line: int, number: int, delimiters: Delimiters, escapes: Escapes) -> None:
        self.name, self.text, self.line, self.number = name, text, line, number
        self.delimiters, self.escapes = delimiters, escapes
        self._fields: list[str] | None = None
        self._read: set[tuple[int, int]] = set()

    def raw(self, field: int) -> str:
        """The text of a field as it was sent; '' if there is none. Reading it is not noted."""
        if self._fields is None:
            self._fields = self.text.split(self.delimiters.field)
            if self.name in ("MSH", "FHS", "BHS"):  # the separator itself is field 1
                self._fields.insert(1, self.delimiters.field)
        return self._fields[field] if field < len(self._fields) else ""

    def values(self, field: int) -> list[Value]:
        """The repetitions of a field that say anything."""
        text = self.raw(field)
        mark = self.delimiters.repetition
        if not text.strip():
            return []
        parts = text.split(mark) if mark and mark in text else [text]
        return [value for i, part in enumerate(parts) if (value := Value(self, field, i, part))]

    def value(self, field: int) -> Value:
        """The first repetition of a field; an empty value when there is none."""
        text = self.raw(field)
        mark = self.delimiters.repetition
        return Value(self, field, 0, text.split(mark, 1)[0] if mark else text)

    def note(self, field: int, component: int = 0) -> None:
        """Remembers that a rule has read one component of a field; 0 = all of it."""
        self._read.add((field, component))

    @property
    def touched(self) -> bool:
        """Whether any rule has read anything of it."""
        return bool(self._read)

    def unread(self) -> Iterator[tuple[str, str]]:
        """(place, text) of every field or component that says something and that no rule has read."""
        self.raw(0)
        fields = {field for field, _ in self._read}
        for number in range(2 if self.name == "MSH" else 1, len(self._fields or ())):
            text = self.raw(number).strip()
            if not text or text == NULL or (number, 0) in self._read:
                continue
            if number not in fields:
                yield f"{self.name}-{number}", text
                continue
            yield from self._unread_components(number)

    def _unread_components(self, number: int) -> Iterator[tuple[str, str]]:
        seen: set[int] = set()
        for value in self.values(number):
            for position, part in enumerate(value.components(), 1):
                if part.strip() not in ("", NULL) and position not in seen and (number, position) not in self._read:
                    seen.add(position)
                    yield f"{self.name}-{number}.{position}", part.strip()


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
        self.escapes = Escapes(self.delimiters, charset)
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
