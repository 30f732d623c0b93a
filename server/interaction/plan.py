"""Writes as plans: what a create, update or delete would write, given what is there now; and carrying plans out.

A plan is made from what is read, and commits only if that still holds (keys.Write.expect). When another writer was
faster the plan is made again from the new state, so a caller sees a conflict only after many tries.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from server.errors import Conflict, Forbidden, Gone, NotAllowed, NotFound, Stale, Unprocessable
from server.interaction.accept import Accepted, Stored
from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.outcome import Written
from server.keys import Claimed, StaleWrite, Version, Write
from server.model.subset import subsetted


@dataclass(frozen=True, slots=True)
class Planned:
    """A write to make, or, with write None, what is there already and stays (`kept`; None: nothing was there)."""

    write: Write | None
    kept: Version | None = None
    created: bool = False


Taken = Mapping[str, str]  # claim -> the living resource that held it when the last try failed


def plan_create(api: Api, accepted: Accepted, id: str, claim: str = "", taken: Taken | None = None) -> Planned:
    """A new resource under an id nobody has. `taken`: the claim's holder was searched and does not match any more."""
    write = Write(
        "POST",
        accepted.resource["resourceType"],
        id,
        accepted.draft(id),
        after=accepted.entries(api.setting),
        claim=claim,
        claim_from=(taken or {}).get(claim, ""),
    )
    return Planned(write, created=True)


async def plan_update(
    api: Api,
    context: Context,
    accepted: Accepted,
    id: str,
    if_match: int | None = None,
    claim: str = "",
    taken: Taken | None = None,
    new: bool = False,
) -> Planned:
    """An update, or a create under the client's id; `new`: only that.

    Raises Stale, NotAllowed (update as create is off), Unprocessable (SUBSETTED).
    """
    current = await current_version(api, context, accepted.resource["resourceType"], id)
    return plan_over(api, accepted, id, current, if_match, claim, taken, new)


def plan_over(
    api: Api,
    accepted: Accepted,
    id: str,
    current: Version | None,
    if_match: int | None = None,
    claim: str = "",
    taken: Taken | None = None,
    new: bool = False,
) -> Planned:
    """The same over what was found there already; the caller may see it."""
    type = accepted.resource["resourceType"]
    if subsetted(accepted.resource):
        raise Unprocessable(
            f"the body is tagged SUBSETTED: it is a part of {type}/{id}, and updating with it would lose the rest; "
            "read the whole resource and change that",
            f"{type}.meta.tag",
        )
    _check_match(type, id, current, if_match)
    draft, stored = accepted.draft(id), Stored(current.body) if current is not None and not current.deleted else None
    if new and stored:
        raise Stale(f"If-None-Match: * asks that {type}/{id} is not there, but it is", "http.If-None-Match")
    if stored and stored.says(accepted, draft, id):
        return Planned(None, current)
    if not stored and not api.update_as_create:
        raise NotAllowed(f"{type}/{id} is not known, and this server gives the ids", f"{type}.id")
    write = Write(
        "PUT",
        type,
        id,
        draft,
        expect=current.version if current else 0,
        before=stored.entries(api.setting) if stored else (),
        after=accepted.entries(api.setting),
        claim=claim,
        claim_from=(taken or {}).get(claim, ""),
    )
    return Planned(write, created=not stored)


def plan_change(
    api: Api, accepted: Accepted, seen: Version, method: str = "PUT", if_match: int | None = None
) -> Planned:
    """The next version of a living one, as it was found; nothing to write when they say the same. Raises Stale."""
    _check_match(seen.type, seen.id, seen, if_match)
    draft, stored = accepted.draft(seen.id), Stored(seen.body)
    if stored.says(accepted, draft, seen.id):
        return Planned(None, seen)
    before, after = stored.entries(api.setting), accepted.entries(api.setting)
    return Planned(Write(method, seen.type, seen.id, draft, expect=seen.version, before=before, after=after))


async def plan_delete(api: Api, context: Context, type: str, id: str, if_match: int | None = None) -> Planned:
    """A deletion; nothing to write when nothing is there (https://hl7.org/fhir/R4/http.html#delete)."""
    current = await current_version(api, context, type, id)
    _check_match(type, id, current, if_match)
    if current is None or current.deleted:
        return Planned(None, current)
    return plan_removal(api, current)


def plan_removal(api: Api, seen: Version, if_match: int | None = None) -> Planned:
    """The deletion of a living version as it was found: nothing is deleted if it changes meanwhile. Raises Stale."""
    _check_match(seen.type, seen.id, seen, if_match)
    before = Stored(seen.body).entries(api.setting)
    return Planned(Write("DELETE", seen.type, seen.id, None, expect=seen.version, before=before))


async def carry_out(api: Api, plan: Callable[[Taken], Awaitable[Sequence[Planned]]]) -> list[Written | None]:
    """Plans and commits, all or nothing, until no other writer interferes. None: a deletion of what never was.

    Raises whatever the plan raises, and Conflict after Limits.write_attempts tries.
    """
    taken: dict[str, str] = {}
    for attempt in range(api.limits.write_attempts):
        planned = await plan(taken)
        try:
            versions = iter(await api.store.commit([p.write for p in planned if p.write]))
        except StaleWrite:
            pass
        except Claimed as claimed:
            taken[claimed.claim] = claimed.holder
        else:
            return [
                Written(next(versions), p.created, True)
                if p.write
                else (Written(p.kept, False, False) if p.kept else None)
                for p in planned
            ]
        await asyncio.sleep(random.random() * 0.005 * attempt)
    raise Conflict(f"other writers were faster {api.limits.write_attempts} times: try again")


async def write_one(api: Api, plan: Callable[[Taken], Awaitable[Planned]]) -> Written:
    """carry_out for a plan of one write that is never a deletion, so that there is always a version to show."""

    async def only(taken: Taken) -> list[Planned]:
        return [await plan(taken)]

    written = (await carry_out(api, only))[0]
    assert written is not None
    return written


async def current_version(api: Api, context: Context, type: str, id: str) -> Version | None:
    """What is there; Forbidden when the caller may not see it, so that nobody writes over it."""
    current, hidden = await api.records(context).look(type, id)
    if hidden or (type == "OperationDefinition" and any(one.id == id for one in api.operations)):
        raise Forbidden(f"{type}/{id} may not be written", type)
    return current


async def living_version(api: Api, context: Context, type: str, id: str) -> Version:
    """What is there to be changed. Raises NotFound, Gone, Forbidden."""
    current = await current_version(api, context, type, id)
    if current is None:
        raise NotFound(f"{type}/{id} is not known", type)
    if current.deleted:
        raise Gone(f"{type}/{id} was deleted", type)
    return current


def _check_match(type: str, id: str, current: Version | None, if_match: int | None) -> None:
    if if_match is None:
        return
    at = current.version if current is not None and not current.deleted else 0
    if at != if_match:
        raise Stale(
            f"If-Match asks for version {if_match}, but {type}/{id} "
            + (f"is at version {at}" if at else "is not there"),
            "http.If-Match",
        )
