"""create and conditional create (https://hl7.org/fhir/R4/http.html#create)."""

from server.interaction.accept import accept
from server.interaction.api import Api
from server.interaction.conditional import match
from server.interaction.context import Context
from server.interaction.ids import new_id
from server.interaction.outcome import Written
from server.interaction.plan import Planned, Taken, plan_create, write_one


async def create(api: Api, context: Context, type: str, raw: bytes, if_none_exist: str = "") -> Written:
    """Stores the body under a new id; an id in the body is ignored. With criteria: only when nothing matches them.

    Raises Invalid, and Stale when the criteria match several resources.
    """
    accepted, id = accept(raw, type), new_id()

    async def plan(taken: Taken) -> Planned:
        if not if_none_exist:
            return plan_create(api, accepted, id)
        found, claim = await match(api, context, type, if_none_exist, taken)
        return Planned(None, found) if found else plan_create(api, accepted, id, claim, taken)

    return await write_one(api, plan)
