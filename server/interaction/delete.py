"""delete (https://hl7.org/fhir/R4/http.html#delete)."""

from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.outcome import Written
from server.interaction.plan import Planned, Taken, carry_out, plan_delete


async def delete(api: Api, context: Context, type: str, id: str, if_match: int | None = None) -> Written | None:
    """Deletes; deleting what is gone or never was changes nothing (None: it never was). Raises Stale, Forbidden."""

    async def plan(taken: Taken) -> list[Planned]:
        return [await plan_delete(api, context, type, id, if_match)]

    return (await carry_out(api, plan))[0]
