"""What a parser hands to a map: one message as named cells with places, the meaning of its columns, its groups."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Column:
    """The meaning of a column: a row of an adapter's table.

    role      what it means to the builders (`patient.name`); '' = known, and of no use in FHIR
    codes     its code table; max: its length in the source; code, unit, category: of the Observation it becomes
    """

    title: str = ""
    role: str = ""
    codes: str = ""
    max: str = ""
    code: str = ""
    unit: str = ""
    category: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as written (numbers as text, null as ''), and the line and column where it starts, from 1."""

    text: str
    line: int
    column: int | None = None


@dataclass(slots=True)
class Record:
    """One message, or one of its repeating groups. `columns` holds what the columns mean, spelled as in `cells`."""

    layout: str
    cells: dict[str, Cell] = field(default_factory=dict)
    line: int = 1
    package: str = ""  # where the code tables are
    columns: dict[str, Column] = field(default_factory=dict)
    groups: dict[str, list["Record"]] = field(default_factory=dict)


@cache
def columns_of(package: str, name: str) -> dict[str, Column]:
    """`tables/<name>.csv` of an adapter: column -> meaning. A first cell `a|b` gives both spellings one meaning.

    Lines that start with # are remarks. Raises ValueError for a column that stands there twice.
    """
    found: dict[str, Column] = {}
    for spellings, *rest in _rows(package, name):
        for spelling in spellings.split("|"):
            if spelling.lower() in {known.lower() for known in found}:
                raise ValueError(f"{package}/tables/{name}.csv: {spelling!r} stands there twice")
            found[spelling] = Column(*rest)
    return found


def spelled(columns: dict[str, Column], cells: dict[str, Cell]) -> dict[str, Cell]:
    """Column names in the table's own spelling: databases fold their case."""
    spelling = {column.lower(): column for column in columns}
    return {spelling.get(column.lower(), column): cell for column, cell in cells.items()}


def _rows(package: str, name: str) -> Iterator[list[str]]:
    text = (files(package) / "tables" / f"{name}.csv").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    yield from list(csv.reader(lines))[1:]
