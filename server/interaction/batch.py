"""batch and transaction (https://hl7.org/fhir/R4/http.html#transaction, bundle.html#bundle-unique).

A transaction is planned whole: identities first (conditionals searched, new ids given), then references replaced as
spans of the bytes, then every resource validated, then one commit. Reads of a transaction see its writes.
"""

import base64
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote

import msgspec

from server.errors import Invalid, Issue, MediaType, NotSupported, TiercareError, TooLarge
from server.interaction.accept import accept, fault
from server.interaction.api import Api
from server.interaction.conditional import match
from server.interaction.context import Context
from server.interaction.create import create
from server.interaction.delete import conditional_delete, delete, plan_conditional_delete
from server.interaction.history import history
from server.interaction.ids import check_id, new_id
from server.interaction.links import by_name, resolve_links
from server.interaction.outcome import Written
from server.interaction.patch import conditional_patch, patch, plan_patch
from server.interaction.plan import Planned, Taken, carry_out, plan_create, plan_delete, plan_update
from server.interaction.read import read, vread
from server.interaction.search import search
from server.interaction.update import conditional_update, plan_conditional_update, update
from server.keys import Version
from server.model import bundle as bundles
from server.model import json_patch, tables
from server.model.outcome import operation_outcome, status_line
from server.model.subset import asked
from server.search.query import parameters


class _Request(msgspec.Struct, rename="camel"):
    method: str
    url: str
    if_none_exist: str = ""
    if_match: str = ""
    if_none_match: str = ""
    if_modified_since: str = ""


class _Entry(msgspec.Struct, rename="camel"):
    full_url: str = ""
    resource: msgspec.Raw = msgspec.Raw()
    request: _Request | None = None


class _Bundle(msgspec.Struct, rename="camel"):
    resource_type: str = ""
    type: str = ""
    entry: list[_Entry] = []


@dataclass(slots=True)
class Item:
    """One entry as it is to be done. `criteria`: of a conditional interaction, '' if none."""

    number: int
    full_url: str
    method: str
    type: str
    id: str
    version: str
    criteria: str
    if_match: int | None
    resource: bytes
    url: str
    fresh_id: str = ""  # the id this entry creates under, the same in every try

    @property
    def at(self) -> str:
        return f"Bundle.entry[{self.number}]"


@dataclass(frozen=True, slots=True)
class Answer:
    """A batch or transaction response: the entries' bytes."""

    type: str
    entries: Sequence[bytes]


async def process(api: Api, context: Context, raw: bytes, *, representation: bool = False) -> Answer:
    """Raises Invalid for a Bundle that is no batch or transaction, and in a transaction the first entry's error."""
    bundle = _read_bundle(api, raw)
    if bundle.type == "transaction":
        items = [_item(number, entry) for number, entry in enumerate(bundle.entry)]
        return Answer("transaction-response", await _transaction(api, context, items, representation))
    answers = [await _try(api, context, number, entry, representation) for number, entry in enumerate(bundle.entry)]
    return Answer("batch-response", answers)


# --------------------------------------------------------------------------------------------- reading the Bundle
def _read_bundle(api: Api, raw: bytes) -> _Bundle:
    try:
        bundle = msgspec.json.decode(raw, type=_Bundle)
    except msgspec.ValidationError as error:
        text, _, place = str(error).rstrip("`").partition(" - at `$")
        raise Invalid(f"the Bundle is not as R4 says: {text}", f"Bundle{place}", code="structure") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"the body is not JSON: {fault(raw) or error}", "Bundle", code="structure") from error
    if bundle.resource_type != "Bundle":
        found = bundle.resource_type or "body without resourceType"
        raise Invalid(f"a Bundle is wanted here, not a {found}", "Bundle.resourceType")
    if bundle.type not in ("batch", "transaction"):
        raise Invalid(f"a Bundle of type '{bundle.type}' cannot be processed: only batch, transaction", "Bundle.type")
    if len(bundle.entry) > api.limits.bundle_entries_max:
        raise TooLarge(
            f"the Bundle has {len(bundle.entry)} entries, {api.limits.bundle_entries_max} is the limit", "Bundle.entry"
        )
    return bundle


def _item(number: int, entry: _Entry) -> Item:
    at = f"Bundle.entry[{number}]"
    if entry.request is None:
        raise Invalid("an entry of a batch or transaction needs a request", f"{at}.request", code="required")
    request = entry.request
    method = request.method
    if method == "HEAD":
        raise NotSupported(f"the method '{method}' is not supported in a Bundle yet", f"{at}.request.method")
    if method not in _METHODS:
        raise Invalid(f"'{method}' is not a method: {', '.join(_METHODS)} are", f"{at}.request.method")
    path, _, query = request.url.partition("?")
    type, id, version = _address(path, f"{at}.request.url")
    resource = bytes(entry.resource)
    if (method in ("POST", "PUT", "PATCH")) != bool(resource):
        raise Invalid(
            f"{method} {request.url}: " + ("a resource is missing" if not resource else "no resource belongs here"),
            f"{at}.resource",
            code="required" if not resource else "invalid",
        )
    if method in _CONDITIONAL and not id and not query:
        raise Invalid(f"{method} needs an id or criteria in its url", f"{at}.request.url")
    if method in _CONDITIONAL and id and query:
        raise Invalid(f"{method} takes an id or criteria, not both", f"{at}.request.url")
    if method == "POST" and (id or query):
        raise Invalid("POST takes only a resource type as url", f"{at}.request.url")
    if method == "PATCH":
        resource = _patch_in(resource, at)
    criteria = request.if_none_exist if method == "POST" else query if method in _CONDITIONAL else ""
    return Item(
        number, entry.full_url, method, type, id, version, criteria, _etag(request.if_match, at), resource, request.url
    )


class _Binary(msgspec.Struct, rename="camel"):
    resource_type: str = ""
    content_type: str = ""
    data: str = ""


def _patch_in(resource: bytes, at: str) -> bytes:
    """The JSON Patch that an entry carries as a Binary (http.html#patch)."""
    try:
        binary = msgspec.json.decode(resource, type=_Binary)
        if binary.resource_type == "Parameters":
            raise NotSupported("FHIRPath Patch is not supported yet: send a JSON Patch in a Binary", f"{at}.resource")
        if binary.resource_type != "Binary":
            raise Invalid(f"a PATCH takes a Binary, not a {binary.resource_type!r}", f"{at}.resource")
        if binary.content_type != json_patch.MIME:
            raise MediaType(
                f"a patch is sent as {json_patch.MIME}, not '{binary.content_type}'", f"{at}.resource.contentType"
            )
        return base64.b64decode("".join(binary.data.split()), validate=True)
    except (msgspec.DecodeError, ValueError) as error:
        raise Invalid(f"the Binary of a PATCH is not as it should be: {error}", f"{at}.resource") from error


_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_CONDITIONAL = ("PUT", "PATCH", "DELETE")  # by id or by criteria in the url


def _address(path: str, at: str) -> tuple[str, str, str]:
    """`Type`, `Type/id`, `Type/id/_history/v` -> its parts; `_history` as version for the history of an instance."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    type, id = parts[0], parts[1] if len(parts) > 1 else ""
    if type not in tables.resource_types():
        raise Invalid(f"'{type}' is not a resource type of R4", at)
    if len(parts) > 2 and (parts[2] != "_history" or len(parts) > 4):
        raise NotSupported(f"'{path}' is not supported in a Bundle", at)
    if id:
        check_id(id, at)
    return type, id, (parts[3] if len(parts) == 4 else "_history") if len(parts) > 2 else ""


def _etag(text: str, at: str) -> int | None:
    if not text:
        return None
    number = text.removeprefix("W/").strip('"')
    if not (number.isascii() and number.isdigit()):
        raise Invalid(f"'{text}' is not an ETag of this server", f"{at}.request.ifMatch")
    return int(number)


# ----------------------------------------------------------------------------------------------------- transaction
_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2}


async def _transaction(api: Api, context: Context, items: list[Item], representation: bool) -> list[bytes]:
    writes = sorted((item for item in items if item.method != "GET"), key=lambda item: _ORDER[item.method])
    _distinct([item.full_url for item in writes if item.full_url], "fullUrl")
    _distinct([f"{i.type}/{i.id}" for i in writes if i.id], "resource")
    _distinct([f"{i.type}?{i.criteria}" for i in writes if i.criteria], "set of criteria")
    for item in writes:
        item.fresh_id = new_id()

    groups: list[list[Planned]] = []  # of the last try, one for each of `writes`

    async def plan(taken: Taken) -> list[Planned]:
        groups[:] = await _plan(api, context, writes, taken)
        return [one for group in groups for one in group]

    written = iter(await carry_out(api, plan))
    answers: dict[int, bytes] = {
        item.number: _answer(item, [next(written) for _ in group], representation)
        for item, group in zip(writes, groups, strict=True)
    }
    for item in items:
        if item.method == "GET":
            answers[item.number] = await _alone(api, context, item, representation)
    return [answers[item.number] for item in items]


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
    identities: dict[str, str] = {}
    for item in items:
        id = item.id or item.fresh_id
        if item.criteria and item.method != "DELETE":
            with _naming(item):
                found, _ = await match(api, context, item.type, item.criteria, taken)
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
        with _naming(item):
            if item.number in kept:
                groups.append([Planned(None, kept[item.number])])
            elif item.method == "DELETE" and item.criteria:
                groups.append(await plan_conditional_delete(api, context, item.type, item.criteria, item.if_match))
            else:
                groups.append([await _plan_one(api, context, item, identities, taken)])
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


async def _plan_one(api: Api, context: Context, item: Item, identities: dict[str, str], taken: Taken) -> Planned:
    if item.method == "DELETE":
        return await plan_delete(api, context, item.type, item.id, item.if_match)
    if item.method == "PATCH":
        resolve, at = by_name(item.full_url, item.type, identities), f"{item.at}.resource"
        return await plan_patch(
            api, context, item.type, item.id, item.criteria, item.resource, item.if_match, resolve, at
        )
    raw = await resolve_links(api, context, item.resource, item.full_url, item.type, identities)
    accepted = accept(raw, item.type, at=f"{item.at}.resource")
    if item.method == "PUT" and item.criteria:
        return await plan_conditional_update(api, context, accepted, item.criteria, item.fresh_id, taken, item.if_match)
    if item.method == "PUT":
        if accepted.resource.get("id") != item.id:
            raise Invalid(f"the resource's id is not that of its url '{item.url}'", f"{item.at}.resource.id")
        return await plan_update(api, context, accepted, item.id, item.if_match)
    claim = (await match(api, context, item.type, item.criteria))[1] if item.criteria else ""
    return plan_create(api, accepted, item.fresh_id, claim, taken)


class _WithId(msgspec.Struct):
    id: str = ""


def _id_in(resource: bytes) -> str:
    try:
        return msgspec.json.decode(resource, type=_WithId).id
    except msgspec.DecodeError:  # accept() says what is wrong with it
        return ""


@contextmanager
def _naming(item: Item) -> Iterator[None]:
    """Puts the entry in front of the issues' expressions, so that an error says which entry is at fault."""
    try:
        yield
    except TiercareError as error:
        error.issues = [
            issue
            if issue.expression.startswith("Bundle.entry")
            else Issue(issue.code, f"{item.at}: {issue.diagnostics}", item.at, issue.severity)
            for issue in error.issues
        ]
        raise


# ----------------------------------------------------------------------------------------------------------- batch
async def _try(api: Api, context: Context, number: int, entry: _Entry, representation: bool) -> bytes:
    """One entry of a batch, as it was sent."""
    try:
        item = _item(number, entry)
    except TiercareError as error:
        return bundles.response_entry(status_line(error), outcome=operation_outcome(error.issues))
    return await _alone(api, context, item, representation)


async def _alone(api: Api, context: Context, item: Item, representation: bool) -> bytes:
    """One entry by itself: its answer, or its error as an outcome; the others go on."""
    try:
        with _naming(item):
            if item.method == "GET":
                return await _GETS[_kind_of_get(item)](api, context, item)
            if item.method == "DELETE" and item.criteria:
                gone = await conditional_delete(api, context, item.type, item.criteria, item.if_match)
                return _answer(item, gone, representation)
            return _answer(item, [await _write(api, context, item)], representation)
    except TiercareError as error:
        return bundles.response_entry(status_line(error), outcome=operation_outcome(error.issues))


async def _write(api: Api, context: Context, item: Item) -> Written | None:
    if item.method == "DELETE":
        return await delete(api, context, item.type, item.id, item.if_match)
    if item.method == "POST":
        return await create(api, context, item.type, item.resource, item.criteria)
    if item.method == "PATCH" and item.criteria:
        return await conditional_patch(api, context, item.type, item.criteria, item.resource, item.if_match)
    if item.method == "PATCH":
        return await patch(api, context, item.type, item.id, item.resource, item.if_match)
    if item.criteria:
        return await conditional_update(api, context, item.type, item.criteria, item.resource, item.if_match)
    return await update(api, context, item.type, item.id, item.resource, item.if_match)


def _kind_of_get(item: Item) -> str:
    if item.version:
        return "history" if item.version == "_history" else "vread"
    return "read" if item.id else "search"


async def _get_read(api: Api, context: Context, item: Item) -> bytes:
    version = await read(api, context, item.type, item.id)
    return _whole_or_subset(item, version)


async def _get_vread(api: Api, context: Context, item: Item) -> bytes:
    version = await vread(api, context, item.type, item.id, item.version)
    return _whole_or_subset(item, version)


def _whole_or_subset(item: Item, version: Version) -> bytes:
    subset = asked(_parameters(item), item.type)
    return bundles.response_entry("200 OK", version, resource=(subset.cut(version) if subset else version).body)


async def _get_search(api: Api, context: Context, item: Item) -> bytes:
    found = await search(api, context, item.type, _parameters(item))
    body = bundles.searchset(
        found.hits, found.included, found.total, {"self": found.self, "next": found.next}, context.base
    )
    return bundles.response_entry("200 OK", resource=body)


async def _get_history(api: Api, context: Context, item: Item) -> bytes:
    past = await history(api, context, item.type, item.id, _parameters(item))
    body = bundles.history(
        past.versions, past.total, {"self": past.self, "next": past.next}, context.base, past.created
    )
    return bundles.response_entry("200 OK", resource=body)


_GETS: dict[str, Callable[[Api, Context, Item], Awaitable[bytes]]] = {
    "read": _get_read, "vread": _get_vread, "search": _get_search, "history": _get_history,
}  # fmt: skip


def _parameters(item: Item) -> list[tuple[str, str]]:
    return parameters(item.url.partition("?")[2])


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
