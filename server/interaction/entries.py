"""The entries of a batch or transaction Bundle as they are to be done: method, address, criteria, resource
(https://hl7.org/fhir/R4/bundle.html, http.html#transaction)."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

import msgspec
import orjson

from server.errors import Invalid, Issue, MediaType, NotAllowed, NotSupported, TiercareError, TooLarge
from server.interaction.accept import fault
from server.interaction.api import Api
from server.interaction.ids import check_id
from server.interaction.operate import Place, place_at
from server.interaction.update import only_new
from server.model import json_patch, tables
from server.model.doubled import check_bundle, check_unique
from server.validation.primitives import is_instant


class _Request(msgspec.Struct, rename="camel"):
    method: str
    url: str
    if_none_exist: str = ""
    if_match: str = ""
    if_none_match: str = ""
    if_modified_since: str = ""


class BundleEntry(msgspec.Struct, rename="camel"):
    full_url: str = ""
    resource: msgspec.Raw = msgspec.Raw()
    request: _Request | None = None


class _Bundle(msgspec.Struct, rename="camel"):
    resource_type: str = ""
    type: str = ""
    entry: list[BundleEntry] = []


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
    if_none_match: str = ""  # of a GET
    if_modified_since: float | None = None  # of a GET: seconds since the epoch
    new: bool = False  # of a PUT: If-None-Match: *
    fhirpath: bool = False  # of a PATCH: the resource is a FHIRPath Patch, not a JSON Patch
    fresh_id: str = ""  # the id this entry creates under, the same in every try
    operation: Place | None = None  # the operation it calls, None: an interaction

    @property
    def at(self) -> str:
        return f"Bundle.entry[{self.number}]"


def read_bundle(api: Api, raw: bytes) -> _Bundle:
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
    check_bundle(raw)
    if len(bundle.entry) > api.limits.bundle_entries_max:
        raise TooLarge(
            f"the Bundle has {len(bundle.entry)} entries, {api.limits.bundle_entries_max} is the limit", "Bundle.entry"
        )
    return bundle


def item_of(number: int, entry: BundleEntry) -> Item:
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
    if "$" in path:
        return _call(number, entry, request, path)
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
    fhirpath = False
    if method == "PATCH":
        resource, fhirpath = _patch_in(resource, at)
    criteria = request.if_none_exist if method == "POST" else query if method in _CONDITIONAL else ""
    if_match = _etag(request.if_match, at)
    item = Item(number, entry.full_url, method, type, id, version, criteria, if_match, resource, request.url)
    item.fhirpath = fhirpath
    if method == "GET":
        item.if_none_match, item.if_modified_since = request.if_none_match, _moment(request.if_modified_since, at)
    elif method == "PUT":
        item.new = only_new(request.if_none_match, f"{at}.request.ifNoneMatch")
    return item


def _call(number: int, entry: BundleEntry, request: _Request, path: str) -> Item:
    """An entry that calls an operation: `GET Patient/1/$everything`, `POST Patient/$validate` with what it takes."""
    at, resource = f"Bundle.entry[{number}]", bytes(entry.resource)
    if request.method not in ("GET", "POST"):
        raise NotAllowed(f"an operation is called by GET or POST, not by {request.method}", f"{at}.request.method")
    if resource and request.method == "GET":
        raise Invalid(f"GET {request.url}: no resource belongs here", f"{at}.resource")
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if not parts[-1].startswith("$"):
        raise Invalid(f"'{path}' names an operation in its middle", f"{at}.request.url")
    try:
        place = place_at(parts)
    except TiercareError as error:
        raise Invalid(str(error), f"{at}.request.url") from error
    if place.id:
        check_id(place.id, f"{at}.request.url")
    return Item(
        number, entry.full_url, request.method, place.type, place.id, place.version, "", None, resource, request.url,
        operation=place,
    )  # fmt: skip


class _Binary(msgspec.Struct, rename="camel"):
    resource_type: str = ""
    content_type: str = ""
    data: str = ""


def _patch_in(resource: bytes, at: str) -> tuple[bytes, bool]:
    """The patch of an entry: a Parameters resource (then true), or a JSON Patch in a Binary (http.html#patch)."""
    try:
        binary = msgspec.json.decode(resource, type=_Binary)
        if binary.resource_type == "Parameters":
            return resource, True
        if binary.resource_type != "Binary":
            raise Invalid(f"a PATCH takes Parameters or a Binary, not a {binary.resource_type!r}", f"{at}.resource")
        if binary.content_type != json_patch.MIME:
            raise MediaType(
                f"a patch is sent as {json_patch.MIME}, not '{binary.content_type}'", f"{at}.resource.contentType"
            )
        check_unique(resource, orjson.loads(resource), f"{at}.resource")
        return base64.b64decode("".join(binary.data.split()), validate=True), False
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


def _moment(text: str, at: str) -> float | None:
    if not text:
        return None
    if not is_instant(text):
        raise Invalid(f"'{text}' is not an instant", f"{at}.request.ifModifiedSince")
    return datetime.fromisoformat(text).timestamp()


def _etag(text: str, at: str) -> int | None:
    if not text:
        return None
    number = text.removeprefix("W/").strip('"')
    if not (number.isascii() and number.isdigit()):
        raise Invalid(f"'{text}' is not an ETag of this server", f"{at}.request.ifMatch")
    return int(number)


@contextmanager
def naming(item: Item) -> Iterator[None]:
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
