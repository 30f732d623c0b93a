"""patch and conditional patch, by JSON Patch (https://hl7.org/fhir/R4/http.html#patch)."""

from collections.abc import Callable

from server.errors import Invalid, NotFound, Unprocessable
from server.interaction.accept import accept
from server.interaction.api import Api
from server.interaction.conditional import match
from server.interaction.context import Context
from server.interaction.outcome import Written
from server.interaction.plan import Planned, Taken, carry_out, living_version, plan_change
from server.keys import Version
from server.model import json_patch


async def patch(api: Api, context: Context, type: str, id: str, raw: bytes, if_match: int | None = None) -> Written:
    """Stores what the patch makes of the current version; one that changes nothing makes no version.

    Raises Invalid (no patch), Unprocessable (it cannot be applied, or its result is no resource the server accepts),
    NotFound, Gone, Stale (If-Match), Forbidden, TooCostly.
    """

    async def plan(taken: Taken) -> list[Planned]:
        return [await plan_patch(api, context, type, id, "", raw, if_match)]

    written = (await carry_out(api, plan))[0]
    assert written is not None
    return written


async def conditional_patch(
    api: Api, context: Context, type: str, criteria: str, raw: bytes, if_match: int | None = None
) -> Written:
    """Patches the one resource that matches the criteria. Raises NotFound when none does, Stale when several do."""

    async def plan(taken: Taken) -> list[Planned]:
        return [await plan_patch(api, context, type, "", criteria, raw, if_match)]

    written = (await carry_out(api, plan))[0]
    assert written is not None
    return written


async def plan_patch(
    api: Api, context: Context, type: str, id: str, criteria: str, raw: bytes, if_match: int | None = None,
    resolve: Callable[[str], str | None] | None = None, at: str = "",
) -> Planned:  # fmt: skip
    """By `id` or by `criteria`. `resolve` rewrites references in the patch's values; `at`: the Bundle's entry."""
    operations = json_patch.read(raw, api.limits.patch_max)
    if resolve is not None:
        json_patch.resolve_references(operations, resolve)
    seen = await _seen(api, context, type, id, criteria)
    body = json_patch.apply(seen.body, operations, api.limits.patch_max)
    try:
        accepted = accept(body, type, at=at)
    except Invalid as error:
        raise Unprocessable(error.issues) from error
    if accepted.resource.get("id") != seen.id:
        raise Unprocessable("a patch cannot change the id", f"{at or type}.id")
    return plan_change(api, accepted, seen, "PATCH", if_match)


async def _seen(api: Api, context: Context, type: str, id: str, criteria: str) -> Version:
    """The living version to patch."""
    if criteria:
        found = (await match(api, context, type, criteria))[0]
        if found is None:
            raise NotFound(f"nothing matches the criteria {type}?{criteria}", f"{type}?{criteria}")
        return found
    return await living_version(api, context, type, id)
