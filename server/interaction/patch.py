"""patch and conditional patch, by JSON Patch and FHIRPath Patch (https://hl7.org/fhir/R4/http.html#patch)."""

from collections.abc import Callable
from dataclasses import dataclass

from server.errors import Invalid, NotFound, Unprocessable
from server.fhirpath import patch as fhirpath_patch
from server.interaction.accept import accept
from server.interaction.api import Api
from server.interaction.conditional import match
from server.interaction.context import Context
from server.interaction.outcome import Written
from server.interaction.plan import Planned, living_version, plan_change, write_one
from server.keys import Version
from server.model import json_patch

MIMES = (*fhirpath_patch.MIMES, json_patch.MIME)


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch document as JSON bytes. fhirpath: a Parameters resource; else a JSON Patch."""

    raw: bytes
    fhirpath: bool = False


async def patch(api: Api, context: Context, type: str, id: str, given: Patch, if_match: int | None = None) -> Written:
    """Stores what the patch makes of the current version; one that changes nothing makes no version.

    Raises Invalid (no patch), Unprocessable (it cannot be applied, or its result is no resource the server accepts),
    NotFound, Gone, Stale (If-Match), Forbidden, TooCostly.
    """

    return await write_one(api, lambda taken: plan_patch(api, context, type, id, "", given, if_match))


async def conditional_patch(
    api: Api, context: Context, type: str, criteria: str, given: Patch, if_match: int | None = None
) -> Written:
    """Patches the one resource that matches the criteria. Raises NotFound when none does, Stale when several do."""

    return await write_one(api, lambda taken: plan_patch(api, context, type, "", criteria, given, if_match))


async def plan_patch(
    api: Api, context: Context, type: str, id: str, criteria: str, given: Patch, if_match: int | None = None,
    resolve: "Resolve | None" = None, at: str = "",
) -> Planned:  # fmt: skip
    """By `id` or by `criteria`. `resolve` rewrites references in the patch's values; `at`: the Bundle's entry."""
    apply = _reader(given)(given.raw, api.limits.patch_max, resolve, at)
    seen = await _seen(api, context, type, id, criteria)
    body = apply(seen.body)
    try:
        accepted = accept(body, type, at=at)
    except Invalid as error:
        raise Unprocessable(error.issues) from error
    if accepted.resource.get("id") != seen.id:
        raise Unprocessable("a patch cannot change the id", f"{at or type}.id")
    return plan_change(api, accepted, seen, "PATCH", if_match)


Apply = Callable[[bytes], bytes]
Resolve = Callable[[str], str | None]


def _reader(given: Patch) -> Callable[[bytes, int, Resolve | None, str], Apply]:
    return _fhirpath if given.fhirpath else _json


def _json(raw: bytes, most: int, resolve: Resolve | None, at: str) -> Apply:
    operations = json_patch.read(raw, most)
    if resolve is not None:
        json_patch.resolve_references(operations, resolve)
    return lambda body: json_patch.apply(body, operations, most)


def _fhirpath(raw: bytes, most: int, resolve: Resolve | None, at: str) -> Apply:
    accept(raw, "Parameters", at=at)
    operations = fhirpath_patch.read(raw, most)
    if resolve is not None:
        fhirpath_patch.resolve_references(operations, resolve)
    return lambda body: fhirpath_patch.apply(body, operations, most)


async def _seen(api: Api, context: Context, type: str, id: str, criteria: str) -> Version:
    """The living version to patch."""
    if criteria:
        found = (await match(api, context, type, criteria))[0]
        if found is None:
            raise NotFound(f"nothing matches the criteria {type}?{criteria}", f"{type}?{criteria}")
        return found
    return await living_version(api, context, type, id)
