"""Which interaction a method and an address mean (https://hl7.org/fhir/R4/http.html#summary)."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import orjson

from server.errors import Invalid, MediaType, NotAllowed, NotFound, NotSupported
from server.interaction.across import compartment, search_across
from server.interaction.api import Api
from server.interaction.batch import process
from server.interaction.capability import capability
from server.interaction.context import EVERYTHING, Access, Context
from server.interaction.create import create
from server.interaction.delete import conditional_delete, delete
from server.interaction.history import history
from server.interaction.ids import check_id
from server.interaction.operate import operate, place_at
from server.interaction.patch import MIMES, Patch, conditional_patch, patch
from server.interaction.read import ETAG, read, unchanged, vread
from server.interaction.search import search
from server.interaction.update import conditional_update, only_new, update
from server.keys import Version
from server.model import bundle, json_patch, tables
from server.model.subset import asked
from server.rest import response
from server.rest.request import Request
from server.rest.response import Answer
from server.search.query import parameters

_FORM = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Service:
    """What the handlers share. `grant` says what a caller may see; without authentication: everything."""

    api: Api
    version: str
    body_max_bytes: int
    base_url: str = ""
    root: str = "/fhir"
    grant: Callable[[Request], Access] = lambda request: EVERYTHING
    started: str = ""
    statements: dict[str, bytes] = field(default_factory=dict)  # CapabilityStatements made, by base URL
    gzip_min_bytes: int = 1400
    body_timeout: int = 60

    def context(self, request: Request) -> Context:
        return Context(
            request.base(self.base_url, self.root),
            self.grant(request),
            "handling=lenient" in request.header("prefer"),
        )


Handler = Callable[[Service, Request], Awaitable[Answer]]


async def answer(service: Service, request: Request) -> Answer:
    """Finds the interaction and carries it out. Raises TiercareError."""
    parts, method = request.parts, "GET" if request.method == "HEAD" else request.method
    level = _level(parts)
    handlers = _HANDLERS[level]
    handler = handlers.get(method)
    if handler is None:
        raise NotAllowed(f"{request.method} is not possible on /{'/'.join(parts)}: {allowed(parts)} is", "http.method")
    return await handler(service, request)


def allowed(parts: Sequence[str]) -> str:
    """The methods of an address, as the header Allow of a 405 names them."""
    return ", ".join(sorted(_HANDLERS[_level(parts)]))


def _level(parts: Sequence[str]) -> str:
    """The kind of an address. Raises NotFound."""
    if not parts:
        return "system"
    if parts[-1].startswith("$"):
        place_at(parts)
        return "operation"
    if parts[0] in ("metadata", "_history") and len(parts) == 1:
        return parts[0]
    if parts[0] == "_search" and len(parts) == 1:
        return "search"
    if parts[0] not in tables.resource_types():
        raise NotFound(f"'{parts[0]}' is not a resource type of R4", parts[0])
    match parts[1:]:
        case []:
            return "type"
        case ["_search"]:
            return "search"
        case ["_history"]:
            return "type history"
        case [_]:
            return "instance"
        case [_, inner] if inner == "*" or inner in tables.resource_types():
            return "compartment"
        case [_, inner, "_search"] if inner == "*" or inner in tables.resource_types():
            return "compartment search"
        case [_, "_history"]:
            return "instance history"
        case [_, "_history", _]:
            return "version"
    raise NotFound(f"there is nothing at /{'/'.join(parts)}", "/".join(parts))


# ---------------------------------------------------------------------------------------------------- handlers
async def _metadata(service: Service, request: Request) -> Answer:
    mode = dict(request.parameters()).get("mode", "full") if request.query else "full"
    if mode in ("normative", "terminology"):
        raise NotSupported(f"mode={mode}: this server has the full CapabilityStatement only", "mode")
    if mode != "full":
        raise Invalid(f"mode={mode}: has to be full, normative or terminology", "mode")
    base = request.base(service.base_url, service.root)
    body = service.statements.get(base)
    if body is None:
        body = orjson.dumps(capability(service.api, base, service.version, service.started))
        if len(service.statements) < _STATEMENTS_KEPT:  # the base is what clients call us: a few names, not many
            service.statements[base] = body
    return Answer(200, [], body)


_STATEMENTS_KEPT = 16


async def _read(service: Service, request: Request) -> Answer:
    type, id = request.parts
    version = await read(service.api, service.context(request), type, id)
    if _unchanged(request, version):
        return Answer(304, response.version_headers(version), None)
    return response.resource(_shown(request, version))


def _shown(request: Request, version: Version) -> Version:
    """What `_summary` or `_elements` leave of it."""
    subset = asked(request.parameters(), version.type) if request.query else None
    return subset.cut(version) if subset else version


def _unchanged(request: Request, version: Version) -> bool:
    """A date that is none does not count (RFC 9110 section 13.1.3)."""
    since = request.header("if-modified-since")
    try:
        moment = parsedate_to_datetime(since).timestamp() if since else None
    except ValueError:
        moment = None
    return unchanged(version, request.header("if-none-match"), moment)


async def _vread(service: Service, request: Request) -> Answer:
    type, id, _, version = request.parts
    return response.resource(_shown(request, await vread(service.api, service.context(request), type, id, version)))


async def _create(service: Service, request: Request) -> Answer:
    context = service.context(request)
    raw = await request.content(service.body_max_bytes)
    result = await create(service.api, context, request.parts[0], raw, request.header("if-none-exist"))
    return response.written(result, request.header("prefer"), context.base)


async def _update(service: Service, request: Request) -> Answer:
    context = service.context(request)
    type, id = request.parts
    raw = await request.content(service.body_max_bytes)
    result = await update(service.api, context, type, id, raw, _if_match(request), only_new(_tags(request)))
    return response.written(result, request.header("prefer"), context.base)


async def _conditional_update(service: Service, request: Request) -> Answer:
    context = service.context(request)
    if not request.query:
        raise NotAllowed("PUT on a type needs criteria: PUT Type?identifier=…, or an id: PUT Type/id", "http.method")
    raw = await request.content(service.body_max_bytes)
    criteria, new = request.query, only_new(_tags(request))
    result = await conditional_update(service.api, context, request.parts[0], criteria, raw, _if_match(request), new)
    return response.written(result, request.header("prefer"), context.base)


async def _delete(service: Service, request: Request) -> Answer:
    type, id = request.parts
    return response.deleted(await delete(service.api, service.context(request), type, id, _if_match(request)))


async def _conditional_delete(service: Service, request: Request) -> Answer:
    if not request.query:
        raise NotAllowed("DELETE on a type needs criteria: DELETE Type?identifier=…", "http.method")
    results = await conditional_delete(
        service.api, service.context(request), request.parts[0], request.query, _if_match(request)
    )
    return response.deleted(results[0] if len(results) == 1 else None)


async def _patch(service: Service, request: Request) -> Answer:
    type, id = request.parts
    context, given = service.context(request), await _patch_document(service, request)
    result = await patch(service.api, context, type, id, given, _if_match(request))
    return response.written(result, request.header("prefer"), context.base)


async def _conditional_patch(service: Service, request: Request) -> Answer:
    if not request.query:
        raise NotAllowed(
            "PATCH on a type needs criteria: PATCH Type?identifier=…, or an id: PATCH Type/id", "http.method"
        )
    context, given = service.context(request), await _patch_document(service, request)
    result = await conditional_patch(service.api, context, request.parts[0], request.query, given, _if_match(request))
    return response.written(result, request.header("prefer"), context.base)


async def _patch_document(service: Service, request: Request) -> Patch:
    """A JSON Patch, or a FHIRPath Patch as Parameters. Raises MediaType, TooLarge, Invalid (XML that is none)."""
    sent = request.header("content-type").split(";")[0].strip().lower()
    if sent not in MIMES:
        raise MediaType(f"a patch is sent as one of {', '.join(MIMES)}, not '{sent}'", "http.Content-Type")
    if sent == json_patch.MIME:
        return Patch(await request.body(service.body_max_bytes))
    return Patch(await request.content(service.body_max_bytes), fhirpath=True)


async def _search(service: Service, request: Request) -> Answer:
    return await _found(service, request, request.parameters())


async def _search_form(service: Service, request: Request) -> Answer:
    sent = request.header("content-type").split(";")[0].strip().lower()
    body = await request.body(service.body_max_bytes)
    if body and sent != _FORM:
        raise MediaType(f"a search by POST sends {_FORM}, not '{sent}'", "http.Content-Type")
    try:
        return await _found(service, request, request.parameters() + parameters(body.decode("ascii")))
    except UnicodeDecodeError as error:
        raise Invalid(f"the body is not {_FORM}", "http.body") from error


async def _found(service: Service, request: Request, parameters: list[tuple[str, str]]) -> Answer:
    """Of a type, of all types, or of a compartment (`Patient/1/Observation`, `Patient/1/*`)."""
    context = service.context(request)
    match [part for part in request.parts if part != "_search"]:
        case [type]:
            found = await search(service.api, context, type, parameters)
        case [owner, id, "*"]:
            found = await search_across(service.api, context, parameters, compartment(owner, check_id(id, owner)))
        case [owner, id, type]:
            within = compartment(owner, check_id(id, owner)).test(type)
            found = await search(service.api, context, type, parameters, within, f"{owner}/{id}")
        case _:
            found = await search_across(service.api, context, parameters)
    return Answer(200, [], found.body(context.base))


async def _history(service: Service, request: Request) -> Answer:
    context = service.context(request)
    type, id, *_ = [part for part in request.parts if part != "_history"] + ["", ""]
    past = await history(service.api, context, type or None, id or None, request.parameters())
    links = {"self": past.self, "next": past.next}
    return Answer(200, [], bundle.history(past.versions, past.total, links, context.base, past.created))


def _refuse_async(request: Request) -> None:
    """`Prefer: respond-async` (https://hl7.org/fhir/R4/async.html) is refused rather than left aside: who asks for it
    does not wait for an answer that takes long."""
    asked = (part.split("=")[0].strip().lower() for part in re.split("[,;]", request.header("prefer")))
    if "respond-async" in asked:
        raise NotSupported(
            "Prefer: respond-async is not supported yet: send the request without it and wait for the answer; "
            "split a Bundle that takes too long",
            "http.Prefer",
        )


async def _process(service: Service, request: Request) -> Answer:
    _refuse_async(request)
    context = service.context(request)
    raw = await request.content(service.body_max_bytes)
    whole = "return=representation" in request.header("prefer")
    result = await process(service.api, context, raw, representation=whole)
    return Answer(200, [], bundle.responses(result.type, result.entries))


async def _operate(service: Service, request: Request) -> Answer:
    _refuse_async(request)
    context = service.context(request)
    method = "GET" if request.method == "HEAD" else request.method
    sent = await request.content(service.body_max_bytes) if method == "POST" and request.sends_body() else b""
    result = await operate(
        service.api, context, place_at(request.parts), method, request.parameters(), sent, request.header("prefer")
    )
    return Answer(result.status, result.headers, result.body)


def _if_match(request: Request) -> int | None:
    text = request.header("if-match")
    if not text:
        return None
    found = ETAG.fullmatch(text.strip())
    if not found:
        raise Invalid(f'If-Match: {text} is not an ETag of this server, such as W/"1"', "http.If-Match")
    return int(found[1])


def _tags(request: Request) -> str:
    return request.header("if-none-match")


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_HANDLERS: dict[str, dict[str, Handler]] = {
    "system": {"POST": _process, "GET": _search},
    "metadata": {"GET": _metadata},
    "_history": {"GET": _history},
    "type": {
        "POST": _create,
        "GET": _search,
        "PUT": _conditional_update,
        "DELETE": _conditional_delete,
        "PATCH": _conditional_patch,
    },
    "search": {"POST": _search_form, "GET": _search},
    "compartment": {"GET": _search},
    "compartment search": {"POST": _search_form, "GET": _search},
    "type history": {"GET": _history},
    "instance": {"GET": _read, "PUT": _update, "DELETE": _delete, "PATCH": _patch},
    "instance history": {"GET": _history},
    "version": {"GET": _vread},
    "operation": {"GET": _operate, "POST": _operate},
}
"""Kind of address -> method -> handler: what is not here is 405."""
