"""update, update as create and conditional update (https://hl7.org/fhir/R4/http.html#update, #cond-update)."""

from server.errors import Invalid
from server.interaction.accept import Accepted, accept
from server.interaction.api import Api
from server.interaction.conditional import match
from server.interaction.context import Context
from server.interaction.ids import check_id, new_id
from server.interaction.outcome import Written
from server.interaction.plan import Planned, Taken, plan_create, plan_over, plan_update, write_one


def only_new(if_none_match: str, at: str = "http.If-None-Match") -> bool:
    """Whether If-None-Match of a write asks that nothing be there (`*`, RFC 9110 section 13.1.2). Raises Invalid."""
    if if_none_match.strip() not in ("", "*"):
        raise Invalid(f"If-None-Match of an update is *, which writes only what is not there, not {if_none_match}", at)
    return bool(if_none_match)


async def update(
    api: Api, context: Context, type: str, id: str, raw: bytes, if_match: int | None = None, new: bool = False
) -> Written:
    """Stores the body as the next version; one that changes nothing makes no version. `new`: only if nothing is there.

    Raises Invalid (the body's id is missing or another), Stale (If-Match, If-None-Match), Forbidden.
    """
    accepted = accept(raw, type)
    if accepted.resource.get("id") != id:
        raise Invalid(f"the body's id is {accepted.resource.get('id')!r}, the address says '{id}'", f"{type}.id")
    check_id(id, f"{type}.id")

    return await write_one(api, lambda taken: plan_update(api, context, accepted, id, if_match, new=new))


async def conditional_update(
    api: Api, context: Context, type: str, criteria: str, raw: bytes, if_match: int | None = None, new: bool = False
) -> Written:
    """Updates the one resource that matches the criteria; creates one when none does."""
    accepted, id = accept(raw, type), new_id()

    return await write_one(
        api, lambda taken: plan_conditional_update(api, context, accepted, criteria, id, taken, if_match, new)
    )


async def plan_conditional_update(
    api: Api, context: Context, accepted: Accepted, criteria: str, fresh_id: str, taken: Taken,
    if_match: int | None = None, new: bool = False,
) -> Planned:  # fmt: skip
    """The body's id may be missing; if given it must be that of the match (or, without a match, it is used)."""
    type, given = accepted.resource["resourceType"], accepted.resource.get("id")
    found, claim = await match(api, context, type, criteria, taken)
    if found is None:
        if given is not None:
            return await plan_update(api, context, accepted, check_id(given, f"{type}.id"), if_match, claim, taken, new)
        return plan_create(api, accepted, fresh_id, claim, taken)
    if given not in (None, found.id):
        raise Invalid(f"the criteria match {type}/{found.id}, the body's id is '{given}'", f"{type}.id")
    return plan_over(api, accepted, found.id, found, if_match, new=new)
