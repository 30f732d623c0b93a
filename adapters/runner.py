"""Content -> conversions: every message of it parsed, mapped and bundled. Pure: the time of conversion is handed in."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import cast

from adapters.contract import Adapter, Identifying, Identity, Mapped, Parsed, Problem, Resource


@dataclass(frozen=True, slots=True)
class Conversion:
    """One message and what became of it. `transaction` holds its resources, or only the raw message when `failed`."""

    adapter: Adapter
    parsed: Parsed
    mapped: Mapped | None
    problems: list[Problem]
    transaction: Resource
    recorded: str
    refusal: list[Problem] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return self.mapped is None or any(problem.severity in ("fatal", "error") for problem in self.problems)

    @property
    def kind(self) -> str:
        return self.mapped.kind if self.mapped else "unreadable"

    def refused(self, reasons: Sequence[Problem]) -> "Conversion":
        """The same message as raw bytes only, after a server refused its resources for these reasons."""
        problems = [*self.problems, *reasons]
        transaction = self.adapter.bundle(self.parsed, self.mapped, problems, self.recorded)
        return replace(self, problems=problems, transaction=transaction, refusal=list(reasons))


def read_broken(content: bytes, adapter: Adapter, reason: str, recorded: str) -> Conversion:
    """The conversion of bytes that are no whole message, for this reason: they are kept, and nothing else."""
    problem = Problem("error", "structure", reason, line=1)
    found = adapter.parse(content, "")
    parsed = Parsed(content, found[0].content_type if found else "application/octet-stream", None, [problem])
    return Conversion(adapter, parsed, None, [problem], adapter.bundle(parsed, None, [problem], recorded), recorded)


def convert_one(parsed: Parsed, adapter: Adapter, recorded: str) -> Conversion:
    """One message of a content that was parsed already."""
    return _one(adapter, parsed, recorded)


def convert(content: bytes, file_name: str, adapter: Adapter, recorded: str) -> list[Conversion]:
    """Every message of the content, in order. `recorded` is a FHIR instant (see `now`)."""
    return [_one(adapter, parsed, recorded) for parsed in adapter.parse(content, file_name)]


def _one(adapter: Adapter, parsed: Parsed, recorded: str) -> Conversion:
    mapped: Mapped | None = None
    problems = list(parsed.problems)
    if parsed.record is not None:
        try:
            mapped = adapter.map(parsed.record)
        except Exception as error:  # a mistake in a mapping must not stop the feed; the raw message is kept
            text = f"the mapping broke off, which is a fault of the adapter: {type(error).__name__}: {error}"
            problems.append(Problem("fatal", "exception", text, line=parsed.line))
        else:
            problems.extend(mapped.problems)
    elif not any(problem.severity in ("fatal", "error") for problem in problems):
        problems.append(Problem("fatal", "structure", "the message could not be read", line=parsed.line))
    return Conversion(adapter, parsed, mapped, problems, adapter.bundle(parsed, mapped, problems, recorded), recorded)


def identify(parsed: Parsed, adapter: Adapter) -> Identity:
    """What tells the message from others; the bytes alone where the adapter has no more to say."""
    if not hasattr(adapter, "identify"):
        return Identity("", parsed.raw)
    return cast(Identifying, adapter).identify(parsed)


def now() -> str:
    """This instant, for `recorded`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
