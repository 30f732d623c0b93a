"""Reading a record by the roles of its columns, remembering what was read; what is wrong becomes a Problem."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from adapters.contract import Mapped, Problem, Severity
from adapters.kit import codes, dates
from adapters.roles.moments import plain
from adapters.roles.record import Column, Record

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")  # no characters of a FHIR string


@dataclass(frozen=True, slots=True)
class Field:
    """A cell that says something: its column, what the column means, the text, its line."""

    column: str
    text: str
    line: int
    meaning: Column

    @property
    def title(self) -> str:
        return self.meaning.title or self.column

    @property
    def codes(self) -> str:
        return self.meaning.codes

    @property
    def sentence(self) -> str:
        return f"{self.title}：{self.text}"


class Fields:
    """The record's non-empty cells by role (third column of tables/<layout>.csv). Groups are read as `children`."""

    def __init__(self, record: Record, mapped: Mapped) -> None:
        self.mapped = mapped
        self.layout = record.layout
        self.line = record.line
        self.package = record.package
        self._columns = record.columns
        self._groups = {name: [Fields(child, mapped) for child in found] for name, found in record.groups.items()}
        self._opened: set[str] = set()
        self._by_role: dict[str, list[Field]] = {}
        self._read: set[str] = set()
        self._filled: list[Field] = []
        for column, cell in record.cells.items():
            if codes.absent(cell.text):
                continue
            meaning = self._columns.get(column, Column())
            text = _CONTROL.sub("\ufffd", cell.text).strip()
            field = Field(column, text, cell.line, meaning)
            self._filled.append(field)
            if text != cell.text.strip():
                self.problem("warning", "value", "holds control characters; they were replaced", field)
            if meaning.max and len(text) >= int(meaning.max):
                self.problem(
                    "warning", "incomplete", f"{meaning.max} characters, all the column holds: it may be cut", field
                )
            if meaning.role:
                self._by_role.setdefault(meaning.role, []).append(field)

    def shown(self, field: Field | None) -> str:
        """The source's own word beside a code: the cell `…@display` of a cell `…@code`, '' if there is none."""
        if field is None or not field.column.partition("#")[0].endswith("@code"):
            return ""
        beside = self.column(field.column.replace("@code", "@display"))
        return beside.text if beside else ""

    def children(self, *names: str) -> "list[Fields]":
        """The rows of the groups with these names, in order."""
        self._opened.update(names)
        return [child for name in names for child in self._groups.get(name, [])]

    def all(self, role: str) -> list[Field]:
        found = self._by_role.get(role, [])
        self._read.update(field.column for field in found)
        return found

    def one(self, role: str) -> Field | None:
        """The first cell of the role; a second is left to others, or listed as unmapped."""
        found = self._by_role.get(role, [])
        if found:
            self._read.add(found[0].column)
        return found[0] if found else None

    def column(self, name: str) -> Field | None:
        """The cell of a column, whatever its role."""
        found = next((field for field in self._filled if field.column == name), None)
        if found:
            self._read.add(name)
        return found

    def date(self, role: str) -> tuple[str, Field | None]:
        """FHIR date and its field; an impossible date is an error."""
        return self._time(role, dates.date)

    def date_time(self, role: str) -> tuple[str, Field | None]:
        return self._time(role, dates.date_time)

    def first_time(self, *roles: str) -> tuple[str, Field | None]:
        """FHIR dateTime of the first role that is filled."""
        for role in roles:
            if role in self._by_role:
                return self.date_time(role)
        return "", None

    def filled(self, *roles: str) -> bool:
        """Whether a cell of one of the roles says something; reading it is left to others."""
        return any(role in self._by_role for role in roles)

    def content(self) -> str:
        """A digest of all that the record says."""
        said = "\x1f".join(f"{field.column}={field.text}" for field in sorted(self._filled, key=lambda f: f.column))
        return hashlib.sha256(said.encode()).hexdigest()[:32]

    def checked(self, field: Field) -> str:
        """FHIR dateTime of a field, '' after noting an error."""
        try:
            return dates.date_time(plain(field.text))
        except ValueError as error:
            self.problem("error", "value", f"{error}", field)
            return ""

    def _time(self, role: str, read: Callable[[str], str]) -> tuple[str, Field | None]:
        field = self.one(role)
        if field is None:
            return "", None
        try:
            return read(plain(field.text)), field
        except ValueError as error:
            self.problem("error", "value", f"{error}", field)
            return "", field

    def word(self, field: Field) -> tuple[str, ...] | None:
        """The row of the field's code table; an unknown code is a warning and None. Without a table: None."""
        if not field.codes:
            return None
        row = codes.table(self.package, field.codes).get(field.text)
        if row is None:
            text = f"code {field.text} is not in {field.codes}.csv; kept as text"
            self.problem("warning", "code-invalid", text, field)
        return row

    def columns(self, *roles: str) -> str:
        """The names of the columns that would carry these roles: `zxjgdm, zxjgmc`."""
        return ", ".join(column for column, known in self._columns.items() if known.role in roles)

    def missing(self, text: str, *roles: str) -> None:
        """An error for something the record has to say and does not."""
        self.mapped.problems.append(Problem("error", "required", text, self.columns(*roles), self.line))

    def warn(self, code: str, text: str) -> None:
        """A warning about the record as a whole."""
        self.mapped.problems.append(Problem("warning", code, text, "", self.line))

    def problem(self, severity: Severity, code: str, text: str, field: Field) -> None:
        self.mapped.problems.append(Problem(severity, code, text, field.column, field.line))

    def unmapped(self) -> None:
        """A problem for every cell that no rule has read."""
        for field in self._filled:
            if field.column not in self._read:
                title = field.meaning.title
                known = f"{title} has no place in the resources" if title else "no rule knows the column"
                self.problem("information", "unmapped", f"{known}; kept in the raw message", field)
        for name, found in self._groups.items():
            for child in found:
                if name in self._opened:
                    child.unmapped()
                else:
                    text = "no rule reads the group; kept in the raw message"
                    self.mapped.problems.append(Problem("information", "unmapped", text, name, child.line))


def source(field: Field | None) -> tuple[str, int | None]:
    """Where an element came from, for its Trace: column and line."""
    return (field.column, field.line) if field else ("", None)
