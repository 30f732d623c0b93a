"""Files through adapters to a FHIR server, and the table that tells what became of each message."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.contract import Problem
from adapters.kit.transaction import sentence
from adapters.registry import NoAdapter, choose
from adapters.runner import Conversion, convert, now

if TYPE_CHECKING:  # the table and HTTP are loaded when they are used: commands start fast
    from rich.table import Table

    from adapters.delivery import Delivery, Target, Written

_NO_MESSAGES = {".md", ".py"}  # what lies beside messages in a folder of samples
_NO_NAMES = {"expected.csv"}


class Unreadable(Exception):
    """A file that is missing, may not be read, or that no adapter recognises; the text is one plain sentence."""


@dataclass(slots=True)
class Fed:
    """One message of a file and what became of it; `delivery` None: it was not sent."""

    file: Path
    conversion: Conversion
    delivery: "Delivery | None" = None

    @property
    def done(self) -> bool:
        """Its resources are on the server."""
        return not self.conversion.failed and self.delivery is not None and self.delivery.status == "stored"

    @property
    def problems(self) -> list[Problem]:
        return [*self.conversion.problems, *(self.delivery.problems if self.delivery else [])]


@dataclass(slots=True)
class Report:
    """All messages of a feed, and the files that could not be read."""

    fed: list[Fed] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return not self.unreadable and all(item.done for item in self.fed)

    def changes(self) -> dict[str, int]:
        """How many entries were created, updated and left unchanged."""
        total = {"created": 0, "updated": 0, "unchanged": 0}
        for item in self.fed:
            for change, count in (item.delivery.counts() if item.delivery else {}).items():
                total[change] += count
        return total


def read(path: Path, adapter: str = "") -> list[Conversion]:
    """The conversions of one file. Raises Unreadable."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise Unreadable(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise Unreadable(f"{path} is a folder, not a file") from None
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from None
    try:
        chosen = choose(content, path.name, adapter)
    except NoAdapter as error:
        raise Unreadable(f"{path}: {error}") from None
    return convert(content, path.name, chosen, now())


def expand(paths: Sequence[Path]) -> Iterator[Path]:
    """Files as they are, folders as the message files below them, in the order of their names."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for file in sorted(path.rglob("*")):
            hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
            if file.is_file() and not hidden and file.suffix not in _NO_MESSAGES and file.name not in _NO_NAMES:
                yield file


def feed_files(paths: Sequence[Path], target: "Target", adapter: str = "") -> Report:
    """Converts and delivers every message, in order. What cannot be read or delivered is in the report."""
    report = Report()
    for path in expand(paths):
        try:
            conversions = read(path, adapter)
        except Unreadable as error:
            report.unreadable.append(str(error))
            continue
        report.fed.extend(Fed(path, conversion, target.deliver(conversion)) for conversion in conversions)
    return report


def table(report: Report, base: Path | None = None) -> "Table":
    """File, type, what happened to each resource and where it stands, what could not be mapped and why."""
    from rich.markup import escape
    from rich.table import Table

    server = next((_place(entry.url)[0] for item in report.fed for entry in _written(item)), "")
    shown = Table(show_lines=True, expand=True)
    columns = (
        ("file", 5),
        ("type", 5),
        (f"resources, at {server}/", 13),
        ("what to look at or not mapped, and why", 10),
    )
    for title, ratio in columns:
        shown.add_column(title, ratio=ratio, overflow="fold")
    for item in report.fed:
        file = item.file.relative_to(base) if base and item.file.is_relative_to(base) else item.file
        line = item.conversion.parsed.line
        place = f"{file}, line {line}" if line > 1 else str(file)
        shown.add_row(*(escape(cell) for cell in (place, _kind(item), _resources(item), _doubts(item))))
    for text in report.unreadable:
        shown.add_row("", "not read", "", escape(text))
    return shown


def _kind(item: Fed) -> str:
    if item.done:
        return item.conversion.kind
    status = item.delivery.status if item.delivery else ""
    state = {"again": "NOT DELIVERED, try again", "refused": "REFUSED, raw message kept"}.get(status, "")
    return f"{item.conversion.kind}\n{state or 'NOT CONVERTED, raw message kept'}"


def _resources(item: Fed) -> str:
    return "\n".join(f"{entry.change:9} {_place(entry.url)[1]}" for entry in _written(item))


def _written(item: Fed) -> "list[Written]":
    return item.delivery.written if item.delivery else []


def _place(url: str) -> tuple[str, str]:
    """`http://host/fhir/Patient/1` -> its base and `Patient/1`."""
    base, type, id = url.rsplit("/", 2)
    return base, f"{type}/{id}"


def _doubts(item: Fed) -> str:
    return "\n".join(f"{problem.severity}: {sentence(problem)}" for problem in item.problems)
