"""What parse hands to map: one referral as named cells, each with its place in the raw message."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as written (numbers as text, null as ''), and the line and column where it starts, from 1."""

    text: str
    line: int
    column: int | None = None


@dataclass(slots=True)
class Record:
    """One row or object. `layout` is a name of tables/layouts.csv; columns it knows are spelled as in its table."""

    layout: str
    cells: dict[str, Cell] = field(default_factory=dict)
    line: int = 1
