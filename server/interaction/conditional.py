"""Conditional writes: which resource do criteria mean? (https://hl7.org/fhir/R4/http.html#ccreate, #cond-update)."""

from server.errors import Forbidden, Invalid, Stale
from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.plan import Taken
from server.interaction.terminology import setting_of
from server.keys import Version
from server.search.query import IGNORED, Query, check_size, parameters, parse

_OF_ANSWERS = IGNORED | {"_summary", "_elements"}  # a write is answered as Prefer says: they shape nothing here


async def matches(api: Api, context: Context, type: str, criteria: str, limit: int) -> list[Version]:
    """The resources that match, at most `limit`. Raises Invalid for criteria that name no search parameter."""
    return await _found(api, context, await _query(api, context, type, _asked(criteria)), criteria, limit)


async def match(
    api: Api, context: Context, type: str, criteria: str, taken: Taken | None = None
) -> tuple[Version | None, str]:
    """(the one resource that matches, or None; the claim key of these criteria). Raises Stale (412) when several do,
    and Forbidden when nothing matches because the caller may not see who holds the claim (`taken`, see plan.py).

    The claim key is the criteria in one spelling: two writers with the same criteria meet on it, so a conditional
    create is free of races without a lock.
    """
    asked = _asked(criteria)
    hits = await _found(api, context, await _query(api, context, type, asked), criteria, 2)
    if len(hits) > 1:
        raise Stale(f"the criteria {type}?{criteria} match more than one resource", f"{type}?{criteria}")
    claim = f"{type}?" + "&".join(f"{name}={value}" for name, value in asked)
    if not hits and taken and claim in taken:
        _, hidden = await api.records(context).look(type, taken[claim].removeprefix(f"{type}/"))
        if hidden:
            raise Forbidden(f"{type}?{criteria} may not be written", f"{type}?{criteria}")
    return (hits[0] if hits else None), claim


def _asked(criteria: str) -> list[tuple[str, str]]:
    return sorted(pair for pair in parameters(criteria.removeprefix("?")) if pair[0] not in _OF_ANSWERS)


async def _query(api: Api, context: Context, type: str, asked: list[tuple[str, str]]) -> Query:
    check_size(asked, api.limits.search_values_max)
    return parse(type, asked, await setting_of(api, context, asked))


async def _found(api: Api, context: Context, query: Query, criteria: str, limit: int) -> list[Version]:
    if not query.tests:
        raise Invalid("conditional criteria must name at least one search parameter", f"{query.type}?{criteria}")
    return (await api.records(context).select(query.select(limit))).versions
