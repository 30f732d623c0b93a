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

    def own(line: int) -> int:
        return max(line - parsed.line + first, 1)

    stored = [replace(p, line=own(p.line)) if p.line is not None else p for p in problems]
    if mapped is not None:
        trace = [t._replace(line=own(t.line)) if t.line is not None else t for t in mapped.trace]
        mapped = replace(mapped, trace=trace)
    return transaction(NAME, VERSION, parsed, mapped, stored, recorded)
