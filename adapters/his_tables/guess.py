"""What an unknown table may mean: a role for every column, by its name, by names like it, or by what its cells hold."""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapters.his_tables.parse import PACKAGE, fold, meaning
from adapters.kit import dates, people
from adapters.roles.moments import plain
from adapters.roles.record import columns_of

LIKE = 0.78  # how alike two names are (difflib's ratio) before one is proposed for the other
SHARE = 0.8  # of the filled cells that must have the form
SAMPLE = 200  # rows that are looked at


@dataclass(frozen=True, slots=True)
class Guess:
    """`how` is known | name | values | none; `why` a few words; `example` the first filled cell."""

    column: str
    role: str
    how: str
    why: str
    example: str


def guess(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Guess]:
    """One Guess a column. A role that a known column has taken is not proposed a second time by values."""
    cells = [[row[i].strip() for row in rows[:SAMPLE] if i < len(row) and row[i].strip()] for i in range(len(header))]
    taken = {column.role for name in header if (column := meaning(name))}
    found = []
    for name, values in zip(header, cells, strict=True):
        one = _of(name, values, taken)
        taken.add(one.role)
        found.append(one)
    return found


def _of(name: str, values: list[str], taken: set[str]) -> Guess:
    example = values[0] if values else ""
    known = meaning(name)
    if known:
        return Guess(name, known.role, "known", known.title, example)
    like = _like(name)
    if like and columns_of(PACKAGE, "columns")[like].role not in taken:
        return Guess(name, columns_of(PACKAGE, "columns")[like].role, "name", f"like {like}", example)
    for role, why, fits in _FORMS:
        if values and role not in taken and sum(fits(value) for value in values) >= SHARE * len(values):
            return Guess(name, role, "values", why, example)
    return Guess(name, "", "none", "", example)


def _like(name: str) -> str:
    """The known spelling that is most like the name, or is a part of it: `HZ_XINGMING` has `xingming` in it."""
    folded = fold(name)
    spellings = {fold(spelling): spelling for spelling in columns_of(PACKAGE, "columns")}
    inside = [s for s in spellings if len(s) >= (2 if not s.isascii() else 5) and s in folded]
    if inside:
        return spellings[max(inside, key=len)]
    close = difflib.get_close_matches(folded, spellings, 1, LIKE) if len(folded) > 3 else []
    return spellings[close[0]] if close else ""


def _date(text: str) -> bool:
    try:
        return len(dates.date(plain(text))) == 10
    except ValueError:
        return False


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: bool(compiled.fullmatch(text))


_FORMS: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("patient.id_card", "identity numbers", people.looks_like_resident_id),
    ("patient.phone", "mobile numbers", _matches(r"1[3-9]\d{9}")),
    ("patient.sex", "男 and 女", _matches(r"男|女|男性|女性")),
    ("bp", "pairs like 138/86", _matches(r"\d{2,3}/\d{2,3}")),
    ("diagnosis.discharge.code", "ICD-10 codes", _matches(r"([A-Za-z]\d{2}(\.\w+)?[+*]?[,，;；]?\s*)+")),
    ("procedure.code", "ICD-9-CM-3 codes", _matches(r"(\d{2}\.\d\w*[,，;；]?\s*)+")),
    ("visit.start", "dates", _date),
    ("visit.end", "dates", _date),
    ("patient.name", "Chinese names", _matches(r"[\u4e00-\u9fff·]{2,4}")),
)


def as_table(guesses: Sequence[Guess]) -> str:
    """The proposals as lines for tables/columns.csv."""
    lines = [f"{one.column},{one.column},{one.role}" for one in guesses if one.how in ("name", "values") and one.role]
    return "\n".join(lines)
