"""docs/requirements: every row is whole, and the tests that it names exist."""

import ast
from collections import Counter
from pathlib import Path

from tools import requirements

ROOT = Path(__file__).parents[2]
ROWS = requirements.read()


def functions(path: Path) -> set[str]:
    """The test functions of a file."""
    tree = ast.parse(path.read_text("utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_requirement_has_an_id_of_its_own() -> None:
    assert [id for id, times in Counter(row.id for row in ROWS).items() if times > 1] == []
    assert [row for row in ROWS if not row.id or not row.section or not row.requirement] == []


def test_levels_and_states_are_known() -> None:
    assert {row.level for row in ROWS} <= set(requirements.LEVELS)
    assert {row.state for row in ROWS} <= set(requirements.STATES)


def test_what_is_done_names_a_test_and_what_is_not_does_not() -> None:
    assert [row.id for row in ROWS if row.state == "done" and not row.test] == []
    assert [row.id for row in ROWS if row.state == "not" and row.test] == []
    assert [row.id for row in ROWS if row.state == "partial" and not row.note] == []


def test_every_test_that_is_named_exists() -> None:
    known: dict[str, set[str]] = {}
    missing = []
    for row in ROWS:
        if row.test:
            path, _, name = row.test.partition("::")
            if path not in known:
                known[path] = functions(ROOT / path) if (ROOT / path).is_file() else set()
            if name not in known[path]:
                missing.append(f"{row.id}: {row.test}")
    assert missing == []


def test_the_page_of_totals_is_current() -> None:
    assert requirements.PAGE.read_text("utf-8") == requirements.page(ROWS), "run python -m tools.requirements"
