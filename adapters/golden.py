"""Golden cases of an adapter: a folder with `input.*` and `expected.json`; what differs, line by line."""

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adapters.registry import NoAdapter, adapter, choose
from adapters.runner import convert
from adapters.wire import to_json

RECORDED = "2026-01-01T00:00:00Z"
"""The instant of every golden conversion: nothing else differs between runs."""
EXPECTED = "expected.json"


@dataclass(frozen=True, slots=True)
class Case:
    folder: Path
    input: Path

    @property
    def expected(self) -> Path:
        return self.folder / EXPECTED


@dataclass(frozen=True, slots=True)
class Outcome:
    """`trouble` is a sentence when nothing could be compared; `difference` is a unified diff, [] when they agree."""

    case: Case
    trouble: str
    difference: list[str]

    @property
    def good(self) -> bool:
        return not self.trouble and not self.difference


def cases(folder: Path) -> Iterator[Case]:
    """Every folder at or below this one that holds an `input.*`, in order of name."""
    for path in sorted(folder.rglob("input.*")):
        yield Case(path.parent, path)


def converted(case: Case, wanted: str) -> str:
    """The transactions of the input as indented JSON: a list, one a message. Raises NoAdapter."""
    content = case.input.read_bytes()
    found = adapter(wanted) if wanted else choose(content, case.input.name)
    bundles = [conversion.transaction for conversion in convert(content, case.input.name, found, RECORDED)]
    return to_json(bundles, indent=2).decode() + "\n"


def run(case: Case, wanted: str = "", write: bool = False) -> Outcome:
    """Compares, or with `write` writes what comes out as what is expected."""
    try:
        text = converted(case, wanted)
    except NoAdapter as error:
        return Outcome(case, str(error), [])
    if write:
        case.expected.write_text(text, "utf-8")
        return Outcome(case, "", [])
    if not case.expected.is_file():
        return Outcome(case, f"there is no {case.expected}; `--write` makes it", [])
    expected = case.expected.read_text("utf-8")
    if json.loads(expected) == json.loads(text):
        return Outcome(case, "", [])
    lines = difflib.unified_diff(expected.splitlines(), text.splitlines(), str(case.expected), "converted", lineterm="")
    return Outcome(case, "", list(lines) or ["the same lines, but other numbers"])
