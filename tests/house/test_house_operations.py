"""docs/operations.md shows the table of operations as it is in the code; files and names follow one rule."""

from pathlib import Path

from server.interaction.operation import ANY, Operation
from server.operations.registry import OPERATIONS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations.md"


def row(one: Operation) -> str:
    levels = ", ".join((*one.levels, *(["version"] if one.versions else [])))
    types = "all" if ANY in one.types else ", ".join(one.types)
    takes = " ".join(f"`{p.name}`" for p in one.parameters if p.use == "in")
    by = "POST" if one.affects_state else "GET, POST"
    return f"| `${one.code}` | {one.title} | {levels} | {types} | {by} | {takes} | {'R4' if one.base else 'ours'} |"


def test_the_page_shows_the_table_of_the_code() -> None:
    head = [
        "| operation | what it does | called on | types | by | takes | definition |",
        "|---|---|---|---|---|---|---|",
    ]
    expected = [*head, *map(row, OPERATIONS)]
    shown = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    assert shown == expected, "docs/operations.md must hold this table:\n" + "\n".join(expected)


def test_the_page_has_a_paragraph_for_each_operation() -> None:
    headings = {line for line in PAGE.read_text().splitlines() if line.startswith("## ")}
    assert [one.code for one in OPERATIONS if not any(f"${one.code}" in line.split() for line in headings)] == []


def test_operations_stand_in_the_order_of_their_codes_and_no_two_have_one_id() -> None:
    assert [one.code for one in OPERATIONS] == sorted(one.code for one in OPERATIONS)
    assert len({one.id for one in OPERATIONS}) == len(OPERATIONS)
    assert all(one.description.endswith(".") for one in OPERATIONS)
