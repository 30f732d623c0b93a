"""What was mapped -> one idempotent transaction: kit.transaction under this adapter's name and version."""

from collections.abc import Sequence
from dataclasses import replace

from adapters.contract import Mapped, Parsed, Problem, Resource
from adapters.kit.transaction import transaction

NAME, VERSION = "regional_json", "1"


def bundle(parsed: Parsed, mapped: Mapped | None, problems: Sequence[Problem], recorded: str) -> Resource:
    """People are told lines of the file they have; what is stored counts lines of the raw message that is stored with
    it. So the same row gives the same transaction wherever in a file it stands."""
    is_row = parsed.content_type.startswith("text/csv") and parsed.line > 1
    first = 2 if is_row else 1  # the raw message of a row begins with the header line
    stored = [replace(p, line=max(p.line - parsed.line + first, 1)) if p.line is not None else p for p in problems]
    return transaction(NAME, VERSION, parsed, mapped, stored, recorded)
