"""The transaction of one HL7 v2 message."""

from collections.abc import Sequence

from adapters.contract import Mapped, Parsed, Problem, Resource
from adapters.kit.transaction import transaction


def bundle(
    adapter: str, version: str, parsed: Parsed, mapped: Mapped | None, problems: Sequence[Problem], recorded: str
) -> Resource:
    """See adapters.kit.transaction: the raw message, its resources, the Provenance between them."""
    return transaction(adapter, version, parsed, mapped, problems, recorded)
