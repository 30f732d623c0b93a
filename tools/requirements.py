"""The requirements of the specification and what shows each: docs/requirements/*.csv -> docs/requirements/README.md.

    python -m tools.requirements            writes the page anew
    python -m tools.requirements --print    prints it

Columns of a table: id, section (page and anchor of R4, or a word for what we ask ourselves), requirement (in our
words), level (SHALL, SHOULD, MAY), test (file::function), state (done, partial, not), note.
"""

import argparse
import csv
from collections import Counter
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "requirements"
PAGE = FOLDER / "README.md"
LEVELS, STATES = ("SHALL", "SHOULD", "MAY"), ("done", "partial", "not")
SPECIFICATION = "https://hl7.org/fhir/R4/"


class Requirement(NamedTuple):
    id: str
    section: str
    requirement: str
    level: str
    test: str
    state: str
    note: str


def read() -> list[Requirement]:
    """All rows of all tables, in their order."""
    found: list[Requirement] = []
    for path in sorted(FOLDER.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as lines:
            rows = csv.reader(lines)
            if tuple(next(rows)) != Requirement._fields:
                raise ValueError(f"{path}: the columns are not {', '.join(Requirement._fields)}")
            found += [Requirement(*row) for row in rows]
    return found


def page(requirements: list[Requirement]) -> str:
    """Totals by level and by section, then what is not done, as markdown."""
    lines = [
        "# Requirements of FHIR R4 and the tests that show them",
        "",
        "Written by `python -m tools.requirements` from the tables beside it; a test compares the two.",
        "A row is `done` when the test that it names fails without it.",
        "",
        *_totals("level", [(level, [r for r in requirements if r.level == level]) for level in LEVELS], requirements),
        "",
    ]
    sections = list(dict.fromkeys(r.section for r in requirements))
    by_section = [(_linked(section), [r for r in requirements if r.section == section]) for section in sections]
    lines += [*_totals("section", by_section, requirements), "", "## Not done, or in part", ""]
    lines += ["| id | requirement | level | state | note |", "|---|---|---|---|---|"]
    lines += [
        f"| {r.id} | {r.requirement} | {r.level} | {r.state} | {r.note} |" for r in requirements if r.state != "done"
    ]
    return "\n".join(lines) + "\n"


def _linked(section: str) -> str:
    """A page of R4 as a link; what the project asks of itself (tiercare.csv) has a word."""
    return f"[{section}]({SPECIFICATION}{section})" if ".html" in section else section


def _totals(word: str, groups: list[tuple[str, list[Requirement]]], all_rows: list[Requirement]) -> list[str]:
    lines = [f"| {word} | {' | '.join(STATES)} | all |", "|---|" + "--:|" * (len(STATES) + 1)]
    for name, rows in [*groups, ("**all**", all_rows)]:
        count = Counter(row.state for row in rows)
        lines.append(f"| {name} | {' | '.join(str(count[state]) for state in STATES)} | {len(rows)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", help="print the page, write nothing")
    text = page(read())
    if parser.parse_args().print:
        print(text, end="")
    else:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
