"""delete and conditional delete (https://hl7.org/fhir/R4/http.html#delete, #3.1.0.7.1)."""

from server.errors import NotSupported, Stale, TooCostly
from server.interaction.api import Api
from server.interaction.conditional import matches
from server.interaction.context import Context
from server.interaction.outcome import Written
from server.interaction.plan import Planned, Taken, carry_out, plan_delete, plan_removal


async def delete(api: Api, context: Context, type: str, id: str, if_match: int | None = None) -> Written | None:
    """Deletes; deleting what is gone or never was changes nothing (None: it never was). Raises Stale, Forbidden."""

    async def plan(taken: Taken) -> list[Planned]:
        return [await plan_delete(api, context, type, id, if_match)]

    return (await carry_out(api, plan))[0]


async def conditional_delete(
    api: Api, context: Context, type: str, criteria: str, if_match: int | None = None
) -> list[Written | None]:
    """Deletes what matches the criteria, all or nothing; no match is an ordinary delete of nothing (empty list).

    Raises NotSupported, Stale and TooCostly as plan_conditional_delete does.
    """

    async def plan(taken: Taken) -> list[Planned]:
        return await plan_conditional_delete(api, context, type, criteria, if_match)

    return await carry_out(api, plan)


async def plan_conditional_delete(
    api: Api, context: Context, type: str, criteria: str, if_match: int | None = None
) -> list[Planned]:
    """One removal for each match. The setting `conditional_delete` rules how many there may be.

    Raises NotSupported (`not-supported`), Stale (several matches where the setting is `single`, or If-Match does not
    hold for each match) and TooCostly (more than Limits.delete_max).
    """
    if api.conditional_delete == "not-supported":
        raise NotSupported("conditional delete is switched off on this server", f"{type}?{criteria}")
    single = api.conditional_delete == "single"
    most = 1 if single else api.limits.delete_max
    found = await matches(api, context, type, criteria, most + 1)
    if len(found) > most:
        where = f"{type}?{criteria}"
        if single:
            raise Stale(f"the criteria {where} match more than one resource: nothing was deleted", where)
        raise TooCostly(f"the criteria {where} match more than {most} resources, the limit of one delete", where)
    if not found and if_match is not None:
        raise Stale(f"If-Match asks for version {if_match}, but nothing matches the criteria", "http.If-Match")
    return [plan_removal(api, version, if_match) for version in found]
