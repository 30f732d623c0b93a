"""The documented face: /openapi.json, health, and the way in. FastAPI lives here and in the console only."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, RedirectResponse

from server.interaction.operation import ANY, INSTANCE, SYSTEM, Operation
from server.model import json_patch, tables
from server.rest.routes import Service


def build(service: Service) -> FastAPI:
    """Docs pages are off: they would load their scripts from the network; /openapi.json is for tools."""
    app = FastAPI(title="tiercare", version=service.version, docs_url=None, redoc_url=None)

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse(f"{service.root}/metadata")

    @app.get("/health", summary="Whether the server and its store answer", tags=["admin"])
    async def health() -> JSONResponse:
        await service.api.store.changes(2**62, 1)
        return JSONResponse({"status": "ok", "store": service.api.store.name, "version": service.version})

    plain = app.openapi

    def openapi() -> dict[str, Any]:
        description = plain()
        description["paths"].update(_paths(service.root))
        description["paths"].update(_operations(service.root, service.api.operations))
        description["components"] = {**description.get("components", {}), **_COMPONENTS}
        return description

    app.openapi = openapi  # type: ignore[method-assign]
    return app


_COMPONENTS = {
    "schemas": {
        "Resource": {
            "type": "object",
            "required": ["resourceType"],
            "properties": {"resourceType": {"type": "string"}, "id": {"type": "string"}},
            "additionalProperties": True,
        }
    }
}
_RESOURCE = {
    "application/fhir+json": {"schema": {"$ref": "#/components/schemas/Resource"}},
    "application/fhir+xml": {"schema": {"type": "string"}},
}
_PATCH = {json_patch.MIME: {"schema": {"type": "array", "items": {"type": "object"}}}, **_RESOURCE}
_TYPE = {
    "name": "type",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "enum": sorted(tables.resource_types())},
}


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


_IF_MATCH = {"name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"}}
_IF_NONE_MATCH = {**_IF_MATCH, "name": "If-None-Match"}
_IF_NONE_EXIST = {"name": "If-None-Exist", "in": "header", "required": False, "schema": {"type": "string"}}
_PARAMETERS = {
    "name": "parameters",
    "in": "query",
    "required": False,
    "style": "form",
    "explode": True,
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
}
_SHAPES = tuple({**_PARAMETERS, "name": name, "schema": {"type": "string"}} for name in ("_summary", "_elements"))
# (path, method, interaction, parameters, has a body, status of success)
_ROWS: tuple[tuple[str, str, str, list[dict[str, Any]], bool, str], ...] = (
    ("", "post", "batch or transaction", [], True, "200"),
    ("/metadata", "get", "capabilities", [], False, "200"),
    ("/_history", "get", "history of the system", [], False, "200"),
    ("/{type}", "get", "search", [_TYPE, _PARAMETERS], False, "200"),
    ("/{type}", "post", "create, conditional create", [_TYPE, _IF_NONE_EXIST], True, "201"),
    ("/{type}", "put", "conditional update", [_TYPE, _PARAMETERS, _IF_MATCH, _IF_NONE_MATCH], True, "200"),
    ("/{type}", "patch", "conditional patch", [_TYPE, _PARAMETERS, _IF_MATCH], True, "200"),
    ("/{type}", "delete", "conditional delete", [_TYPE, _PARAMETERS, _IF_MATCH], False, "204"),
    ("/{type}/_search", "post", "search by form", [_TYPE], False, "200"),
    ("/{type}/_history", "get", "history of a type", [_TYPE], False, "200"),
    ("/{type}/{id}", "get", "read", [_TYPE, _path("id"), _IF_NONE_MATCH], False, "200"),
    ("/{type}/{id}", "put", "update, update as create", [_TYPE, _path("id"), _IF_MATCH, _IF_NONE_MATCH], True, "200"),
    ("/{type}/{id}", "patch", "patch", [_TYPE, _path("id"), _IF_MATCH], True, "200"),
    ("/{type}/{id}", "delete", "delete", [_TYPE, _path("id"), _IF_MATCH], False, "204"),
    ("/{type}/{id}/_history", "get", "history of an instance", [_TYPE, _path("id")], False, "200"),
    ("/{type}/{id}/_history/{version}", "get", "vread", [_TYPE, _path("id"), _path("version")], False, "200"),
)


def _paths(root: str) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for path, method, interaction, parameters, has_body, status in _ROWS:
        operation: dict[str, Any] = {
            "summary": interaction,
            "tags": ["FHIR R4"],
            "operationId": f"{method}_{interaction}".replace(" ", "_").replace(",", ""),
            "parameters": [*parameters, *(_SHAPES if method == "get" and path != "/metadata" else ())],
            "responses": {
                status: {"description": interaction, **({} if status == "204" else {"content": _RESOURCE})},
                "default": {"description": "OperationOutcome", "content": _RESOURCE},
            },
        }
        if has_body:
            operation["requestBody"] = {"required": True, "content": _PATCH if method == "patch" else _RESOURCE}
        paths.setdefault(root + path, {})[method] = operation
    return paths


def _operations(root: str, operations: Sequence[Operation]) -> dict[str, Any]:
    """A path for each operation and level; the definitions say what its parameters mean."""
    paths: dict[str, Any] = {}
    for one in operations:
        for level in one.levels:
            for type in ("",) if level == SYSTEM else ("{type}",) if ANY in one.types else one.types:
                parts = [part for part in (type, "{id}" if level == INSTANCE else "") if part]
                path = "/".join([root, *parts, f"${one.code}"])
                named = [_TYPE] if type == "{type}" else []
                named += [_path("id")] if level == INSTANCE else []
                paths[path] = {
                    method: _operation(one, f"{method}_{level}_{type.strip('{}')}_{one.code}", named, method)
                    for method in (("post",) if one.affects_state else ("get", "post"))
                }
    return paths


def _operation(one: Operation, id: str, named: list[dict[str, Any]], method: str) -> dict[str, Any]:
    given = [p for p in one.parameters if p.use == "in" and p.type in tables.primitives()]
    query = [
        {"name": p.name, "in": "query", "required": False, "description": p.documentation, "schema": {"type": "string"}}
        for p in given
    ]
    described: dict[str, Any] = {
        "summary": f"${one.code}: {one.title}",
        "description": one.description,
        "tags": ["operations"],
        "operationId": id.replace("-", "_").replace("__", "_"),
        "parameters": [*named, *(query if method == "get" else ())],
        "responses": {
            "200": {"description": one.title, "content": _RESOURCE},
            "default": {"description": "OperationOutcome", "content": _RESOURCE},
        },
    }
    if method == "post":
        described["requestBody"] = {"required": False, "content": _RESOURCE}
    return described
