"""What was mapped -> one idempotent transaction: kit.transaction under this adapter's name and version."""

from collections.abc import Sequence

from adapters.contract import Mapped, Parsed, Problem, Resource
from adapters.kit.transaction import transaction

NAME, VERSION = "regional_soap", "1"


def bundle(parsed: Parsed, mapped: Mapped | None, problems: Sequence[Problem], recorded: str) -> Resource:
    return transaction(NAME, VERSION, parsed, mapped, problems, recorded)
