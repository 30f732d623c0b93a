"""Resources of a document -> its idempotent transaction."""

from collections.abc import Sequence

from adapters.contract import Mapped, Parsed, Problem, Resource
from adapters.kit.transaction import transaction


def bundle(
    name: str, version: str, parsed: Parsed, mapped: Mapped | None, problems: Sequence[Problem], recorded: str
) -> Resource:
    """The transaction (https://hl7.org/fhir/R4/http.html#transaction); the document Bundle is one of its entries."""
    return transaction(name, version, parsed, mapped, problems, recorded)
