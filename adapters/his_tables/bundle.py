"""What was mapped -> one idempotent transaction: kit.transaction under this adapter's name and version."""

from collections.abc import Sequence
from dataclasses import replace

from adapters.contract import Mapped, Parsed, Problem, Resource
from adapters.kit.transaction import transaction

NAME, VERSION = "his_tables", "1"


def bundle(parsed: Parsed, mapped: Mapped | None, problems: Sequence[Problem], recorded: str) -> Resource:
    """The raw message of a row begins with the header line: lines of what is stored are counted in it, so that the same
    row gives the same transaction wherever in a file it stands."""
    stored = [replace(p, line=max(p.line - parsed.line + 2, 1)) if p.line is not None else p for p in problems]
    return transaction(NAME, VERSION, parsed, mapped, stored, recorded)
