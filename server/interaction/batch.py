"""batch and transaction (https://hl7.org/fhir/R4/http.html#transaction, bundle.html#bundle-unique).

A transaction is planned whole: identities first (conditionals searched, new ids given), then references replaced as
spans of the bytes, then every resource validated, then one commit. Reads of a transaction see its writes; one that
would fail is found before anything is written (entry_reads.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from server.errors import Invalid, Issue, NotSupported, TiercareError
from server.interaction.accept import accept
from server.interaction.api import Api
from server.interaction.conditional import match
from server.interaction.context import Context
from server.interaction.create import create
from server.interaction.delete import conditional_delete, delete, plan_conditional_delete
from server.interaction.entries import BundleEntry, Item, item_of, naming, read_bundle
from server.interaction.entry_reads import check_gets, get, parameters_of
from server.interaction.ids import new_id
from server.interaction.links import by_name, resolve_links
from server.interaction.operate import Place, operate
from server.interaction.operation import find
from server.interaction.outcome import Written
from server.interaction.patch import Patch, conditional_patch, patch, plan_patch
from server.interaction.plan import Planned, Taken, carry_out, plan_create, plan_delete, plan_update
from server.interaction.update import conditional_update, plan_conditional_update, update
from server.keys import Version
from server.model import bundle as bundles
from server.model.outcome import operation_outcome, status_line


@dataclass(frozen=True, slots=True)
class Answer:
    """A batch or transaction response: the entries' bytes."""

    type: str
    entries: Sequence[bytes]


async def process(api: Api, context: Context, raw: bytes, *, representation: bool = False) -> Answer:
    """Raises Invalid for a Bundle that is no batch or transaction, and in a transaction the first entry's error."""
    bundle = read_bundle(api, raw)
    if bundle.type == "transaction":
        items = [item_of(number, entry) for number, entry in enumerate(bundle.entry)]
        return Answer("transaction-response", await _transaction(api, context, items, representation))
    answers = [await _try(api, context, number, entry, representation) for number, entry in enumerate(bundle.entry)]
    return Answer("batch-response", answers)


# ----------------------------------------------------------------------------------------------------- transaction
_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2}


async def _transaction(api: Api, context: Context, items: list[Item], representation: bool) -> list[bytes]:
    for item in items:
        if item.operation is not None:
            _check_reads_only(api, item)
    writes = sorted((item for item in items if _writes(item)), key=lambda item: _ORDER[item.method])
    _distinct([item.full_url for item in writes if item.full_url], "fullUrl")
    _distinct([f"{i.type}/{i.id}" for i in writes if i.id], "resource")
    _distinct([f"{i.type}?{i.criteria}" for i in writes if i.criteria], "set of criteria")
    for item in writes:
        item.fresh_id = new_id()

    groups: list[list[Planned]] = []  # of the last try, one for each of `writes`
    gets = [item for item in items if item.method == "GET" and item.operation is None]

    async def plan(taken: Taken) -> list[Planned]:
        groups[:] = await _plan(api, context, writes, taken)
        planned = [one for group in groups for one in group]
        await check_gets(api, context, gets, planned)
        return planned

    written = iter(await carry_out(api, plan))
    answers: dict[int, bytes] = {
        item.number: _answer(item, [next(written) for _ in group], representation)
        for item, group in zip(writes, groups, strict=True)
    }
    for item in items:
        if not _writes(item):
            answers[item.number] = await _alone(api, context, item, representation)
    return [answers[item.number] for item in items]


def _writes(item: Item) -> bool:
    return item.method != "GET" and item.operation is None


def _check_reads_only(api: Api, item: Item) -> None:
    """An operation that writes does so by itself: it cannot be part of a transaction's one commit."""
    place = item.operation
    assert place is not None
    operation = find(api.operations, place.code, place.level, place.type)
    if operation is not None and operation.affects_state:
        raise NotSupported(
            f"{item.at}: {place} changes data and cannot stand in a transaction: call it by itself, or in a batch",
            f"{item.at}.request.url",
        )


def _distinct(names: list[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise Invalid(f"the {what} {name} stands twice in the transaction", "Bundle.entry")
        seen.add(name)


async def _plan(api: Api, context: Context, items: Sequence[Item], taken: Taken) -> list[list[Planned]]:
    """Identities, references, content, in this order; a conditional delete plans one write for each match.

    Errors name the entry.
    """
    kept: dict[int, Version] = {}
    claims: dict[int, str] = {}
    identities: dict[str, str] = {}
    for item in items:
        id = item.id or item.fresh_id
        if item.criteria and item.method != "DELETE":
            with naming(item):
                found, claims[item.number] = await match(api, context, item.type, item.criteria, taken)
            if found is not None:
                id = found.id
                if item.method == "POST":
                    kept[item.number] = found
            elif item.method == "PUT":
                id = _id_in(item.resource) or id
        if item.full_url and item.method != "DELETE":
            identities[item.full_url] = f"{item.type}/{id}"
    groups: list[list[Planned]] = []
    for item in items:
        with naming(item):
            if item.number in kept:
                groups.append([Planned(None, kept[item.number])])
            elif item.method == "DELETE" and item.criteria:
                groups.append(await plan_conditional_delete(api, context, item.type, item.criteria, item.if_match))
            else:
                groups.append([await _plan_one(api, context, item, identities, claims.get(item.number, ""), taken)])
    _no_overlap([one for item, group in zip(items, groups, strict=True) for one in group if item.number not in kept])
    planned = [one for group in groups for one in group]
    writes = [one.write for one in planned if one.write]
    gone = [f"{write.type}/{write.id}" for write in writes if write.draft is None]
    _distinct(gone + [f"{version.type}/{version.id}" for version in set(kept.values())], "resource")
    _distinct([write.claim for write in writes if write.claim], "set of criteria")
    return groups


def _no_overlap(planned: Sequence[Planned]) -> None:
    """No resource twice among the targets, those that would stay as they are included."""
    targets = [one.write or one.kept for one in planned]
    _distinct([f"{target.type}/{target.id}" for target in targets if target], "resource")


async def _plan_one(
    api: Api, context: Context, item: Item, identities: dict[str, str], claim: str, taken: Taken
) -> Planned:
    """`claim`: of a conditional create whose criteria nothing matched, '' of a plain one."""
    if item.method == "DELETE":
        return await plan_delete(api, context, item.type, item.id, item.if_match)
    if item.method == "PATCH":
        resolve, at = by_name(item.full_url, item.type, identities), f"{item.at}.resource"
        given = Patch(item.resource, item.fhirpath)
        return await plan_patch(api, context, item.type, item.id, item.criteria, given, item.if_match, resolve, at)
    raw = await resolve_links(api, context, item.resource, item.full_url, item.type, identities)
    accepted = accept(raw, item.type, at=f"{item.at}.resource")
    if item.method == "PUT" and item.criteria:
        return await plan_conditional_update(api, context, accepted, item.criteria, item.fresh_id, taken, item.if_match)
    if item.method == "PUT":
        if accepted.resource.get("id") != item.id:
            raise Invalid(f"the resource's id is not that of its url '{item.url}'", f"{item.at}.resource.id")
        return await plan_update(api, context, accepted, item.id, item.if_match, new=item.new)
    return plan_create(api, accepted, item.fresh_id, claim, taken)


class _WithId(msgspec.Struct):
    id: str = ""


def _id_in(resource: bytes) -> str:
    try:
        return msgspec.json.decode(resource, type=_WithId).id
    except (msgspec.DecodeError, UnicodeDecodeError):  # accept() says what is wrong with it
        return ""


# ----------------------------------------------------------------------------------------------------------- batch
async def _try(api: Api, context: Context, number: int, entry: BundleEntry, representation: bool) -> bytes:
    """One entry of a batch, as it was sent."""
    try:
        item = item_of(number, entry)
    except TiercareError as error:
        return bundles.response_entry(status_line(error), outcome=operation_outcome(error.issues))
    return await _alone(api, context, item, representation)


async def _alone(api: Api, context: Context, item: Item, representation: bool) -> bytes:
    """One entry by itself: its answer, or its error as an outcome; the others go on."""
    try:
        with naming(item):
            if item.operation is not None:
                return await _operate(api, context, item, item.operation)
            if item.method == "GET":
                return await get(api, context, item)
            if item.method == "DELETE" and item.criteria:
                gone = await conditional_delete(api, context, item.type, item.criteria, item.if_match)
                return _answer(item, gone, representation)
            return _answer(item, [await _write(api, context, item)], representation)
    except TiercareError as error:
        return bundles.response_entry(status_line(error), outcome=operation_outcome(error.issues))


async def _operate(api: Api, context: Context, item: Item, place: Place) -> bytes:
    result = await operate(api, context, place, item.method, parameters_of(item), item.resource, "")
    status = HTTPStatus(result.status)
    return bundles.response_entry(f"{status.value} {status.phrase}", resource=result.body)


async def _write(api: Api, context: Context, item: Item) -> Written | None:
    if item.method == "DELETE":
        return await delete(api, context, item.type, item.id, item.if_match)
    if item.method == "POST":
        return await create(api, context, item.type, item.resource, item.criteria)
    given = Patch(item.resource, item.fhirpath)
    if item.method == "PATCH" and item.criteria:
        return await conditional_patch(api, context, item.type, item.criteria, given, item.if_match)
    if item.method == "PATCH":
        return await patch(api, context, item.type, item.id, given, item.if_match)
    if item.criteria:
        return await conditional_update(api, context, item.type, item.criteria, item.resource, item.if_match, item.new)
    return await update(api, context, item.type, item.id, item.resource, item.if_match, item.new)


def _answer(item: Item, results: Sequence[Written | None], representation: bool) -> bytes:
    """The response of a write. One that changed nothing says so, which a client cannot see from `200 OK`.

    Only a conditional delete has none or several results; then it names no version.
    """
    result = results[0] if len(results) == 1 else None
    if item.method == "DELETE":
        return bundles.response_entry("204 No Content", result.version if result and result.changed else None)
    assert result is not None
    version = result.version
    status = "201 Created" if result.created else "200 OK"
    outcome = b""
    if not result.changed:
        note = f"nothing changed: {version.type}/{version.id} stays at version {version.version}"
        outcome = operation_outcome([Issue("informational", note, "", "information")])
    return bundles.response_entry(status, version, resource=version.body if representation else b"", outcome=outcome)
