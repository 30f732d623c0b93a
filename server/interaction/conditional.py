"""Conditional writes: which resource do criteria mean? (https://hl7.org/fhir/R4/http.html#ccreate, #cond-update)."""

from server.errors import Invalid, Stale
from server.interaction.api import Api
from server.interaction.context import Context
from server.keys import Version
from server.search.query import Query, parameters, parse


async def matches(api: Api, context: Context, type: str, criteria: str, limit: int) -> list[Version]:
    """The resources that match, at most `limit`. Raises Invalid for criteria that name no search parameter."""
    return await _found(api, context, parse(type, _asked(criteria), api.setting), criteria, limit)


async def match(api: Api, context: Context, type: str, criteria: str) -> tuple[Version | None, str]:
    """(the one resource that matches, or None; the claim key of these criteria). Raises Stale (412) when several do.

    The claim key is the criteria in one spelling: two writers with the same criteria meet on it, so a conditional
    create is free of races without a lock.
    """
    asked = _asked(criteria)
    hits = await _found(api, context, parse(type, asked, api.setting), criteria, 2)
    if len(hits) > 1:
        raise Stale(f"the criteria {type}?{criteria} match more than one resource", f"{type}?{criteria}")
    claim = f"{type}?" + "&".join(f"{name}={value}" for name, value in asked)
    return (hits[0] if hits else None), claim


def _asked(criteria: str) -> list[tuple[str, str]]:
    return sorted(parameters(criteria.removeprefix("?")))


async def _found(api: Api, context: Context, query: Query, criteria: str, limit: int) -> list[Version]:
    if not query.tests:
        raise Invalid("conditional criteria must name at least one search parameter", f"{query.type}?{criteria}")
    return (await api.records(context).select(query.select(limit))).versions
