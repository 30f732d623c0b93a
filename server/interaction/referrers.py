"""Who refers to a resource, as the reference parameters of R4 see it."""

import functools
from collections.abc import Collection

from server.interaction.api import Api
from server.interaction.context import Context
from server.keys import All, Any, Ids, Link, Not, Select, Test, Version
from server.model import tables
from server.search.index import left_out


async def referrer(
    api: Api, context: Context, target: str, leaving: Collection[str] = ()
) -> tuple[bool, Version | None]:
    """(whether a living resource refers to `Type/id`, one of them that the caller may see).

    A resource that refers to itself does not count, nor do the types `leaving`. A reference that no search parameter
    reaches is not seen.
    """
    type, _, id = target.partition("/")
    records = api.records(context)
    there = False
    for other, params in _referring(type).items():
        if other in leaving:
            continue
        test: Test = Any(tuple(Link(param, target) for param in params))
        if other == type:
            test = All((test, Not(Ids((id,)))))
        found, seen = await records.exists(Select(other, test, limit=1))
        if seen is not None:
            return True, seen
        there = there or found
    return there, None


@functools.cache
def _referring(type: str) -> dict[str, tuple[str, ...]]:
    """Resource type -> parameters (`Observation.subject`) that may refer to `type`."""
    found = {}
    for other in sorted(tables.resource_types()):
        missing = left_out(other)
        params = tuple(
            f"{other}.{one.code}"
            for one in tables.search_parameters(other).values()
            if one.kind == "reference" and one.code not in missing and (not one.targets or type in one.targets)
        )
        if params:
            found[other] = params
    return found
