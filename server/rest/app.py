"""The ASGI application: FHIR routes as plain handlers, everything documented and rare in a FastAPI app beside them.

FastAPI costs 190 ms of start and 30 microseconds a request more (design rule 2), so it is built on first use and no
FHIR request passes through it.
"""

import functools
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import structlog

from server.errors import Invalid, Issue, Late, NotAcceptable, NotAllowed, TiercareError
from server.model import raw
from server.model.outcome import operation_outcome, status_of
from server.rest import formats
from server.rest.coding import deflate, takes_gzip
from server.rest.request import Receive, Request, Scope, Send
from server.rest.response import Answer, Headers
from server.rest.routes import Service, allowed, answer

log = structlog.get_logger()
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Opening = Callable[[], AbstractAsyncContextManager[Service]]
_VARY = (b"vary", b"accept, accept-encoding")


class App:
    """`opening` makes the Service inside the event loop and closes it again (ASGI lifespan)."""

    def __init__(self, opening: Opening, root: str = "/fhir") -> None:
        self._opening, self._root = opening, root
        self._service: Service | None = None
        self._documented: Asgi | None = None
        self.failure: TiercareError | None = None  # why the service could not be opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            path: str = scope["path"]
            if path == self._root or path.startswith(self._root + "/"):
                await self._fhir(Request(scope, receive, path[len(self._root) :]), send)
            else:
                await self._rest(scope, receive, send)

    async def _fhir(self, request: Request, send: Send) -> None:
        format, pretty = formats.JSON, False
        try:
            request.check_address()
            override = dict(request.parameters()).get("_format") if "_format" in request.query else None
            format = formats.wanted(request.header("accept"), override)
            pretty = "_pretty" in request.query and _wants_pretty(request)
            assert self._service is not None
            request.body_timeout = self._service.body_timeout or None
            result = _shown(request, await answer(self._service, request), format)
        except TiercareError as error:
            headers = [(b"retry-after", b"1")] if status_of(error) in (409, 503) else []
            if isinstance(error, NotAllowed):
                headers.append((b"allow", allowed(request.parts).encode()))
            if isinstance(error, Late):
                headers.append((b"connection", b"close"))  # the rest of the body is not waited for
            result = _problem(status_of(error), error.issues, format, headers)
        except RecursionError:
            result = _problem(400, [Issue("too-long", "the body nests too deeply")], format)
        except Exception:
            log.exception("a request failed", method=request.method, path="/".join(request.parts[:1]))
            result = _problem(500, [Issue("exception", "the server made a mistake; it is logged")], format)
        if pretty and result.body and format is formats.JSON:
            result = result._replace(body=raw.pretty(result.body))
        await self._send(send, request, result, format)

    async def _send(self, send: Send, request: Request, result: Answer, format: formats.Format) -> None:
        body = result.body or b""
        headers = [*result.headers, _VARY]
        if result.status not in (204, 304):
            least = self._service.gzip_min_bytes if self._service else 0
            if body and 0 < least <= len(body) and takes_gzip(request.header("accept-encoding")):
                body = await deflate(body)
                headers.append((b"content-encoding", b"gzip"))
            if body:
                headers.append(_content_type(format))
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": result.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})

    async def _rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._documented is None:
            from server.rest.documented import build

            assert self._service is not None
            self._documented = build(self._service)
        await self._documented(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            manager = self._opening()
            self._service = await manager.__aenter__()
        except TiercareError as error:
            self.failure = error
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await manager.__aexit__(None, None, None)
        await send({"type": "lifespan.shutdown.complete"})


def _shown(request: Request, result: Answer, format: formats.Format) -> Answer:
    """In the format that was asked for. If that cannot carry what was written, a warning says so, instead of a status
    that would say that nothing was done."""
    try:
        return _represented(result, format)
    except NotAcceptable as error:
        if request.method not in _WRITING or "_search" in request.parts or any("$" in part for part in request.parts):
            raise
        issues = [Issue(issue.code, issue.diagnostics, issue.expression, "warning") for issue in error.issues]
        return _represented(result._replace(body=operation_outcome(issues)), format)


_WRITING = ("POST", "PUT", "PATCH")


@functools.cache
def _content_type(format: formats.Format) -> tuple[bytes, bytes]:
    return b"content-type", f"{format.mime}; charset=utf-8".encode()


def _represented(result: Answer, format: formats.Format) -> Answer:
    if result.body is None or format is formats.JSON:  # JSON is what the server works on
        return result
    return result._replace(body=format.write(result.body))


def _problem(status: int, issues: Sequence[Issue], format: formats.Format, headers: Headers | None = None) -> Answer:
    return _represented(Answer(status, headers or [], operation_outcome(issues)), format)


def _wants_pretty(request: Request) -> bool:
    value = dict(request.parameters()).get("_pretty", "false")
    if value not in ("true", "false"):
        raise Invalid(f"_pretty is true or false, not '{value}'", "_pretty")
    return value == "true"
