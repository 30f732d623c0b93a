"""HTTP intake: POST /hl7v2 answers with an HL7 ACK, POST /feed takes any adapter's content and answers with JSON.

The HTTP status of /hl7v2 is 200 for every HL7 answer: what became of the message stands in MSA-1. Of /feed: 200 all
stored, 422 some message is at fault (its raw bytes are kept), 503 the FHIR server did not take it, send it again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from adapters.contract import Problem
from adapters.delivery import Delivery, Target
from adapters.listeners.mllp import is_loopback
from adapters.registry import NoAdapter, choose
from adapters.runner import Conversion, convert, now
from adapters.wire import to_json

if TYPE_CHECKING:
    import uvicorn

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Handle = Callable[[bytes], Awaitable[bytes]]

HL7 = "x-application/hl7-v2+er7"
ACCEPTED = ("x-application/hl7-v2+er7", "application/hl7-v2", "text/plain", "application/octet-stream", "")
BODY_BYTES = 32 * 1024 * 1024


class _Refused(Exception):
    """A request that gets an HTTP error: status and one plain sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class Intake:
    """The ASGI application. `handle` answers HL7 v2; everything else goes to `target` by the adapter that knows it."""

    def __init__(self, handle: Handle, target: Target, body_bytes: int = BODY_BYTES) -> None:
        self._handle, self._target, self._max = handle, target, body_bytes
        self._routes = {"/hl7v2": self._hl7v2, "/feed": self._feed}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        try:
            route = self._routes.get(scope["path"].rstrip("/"))
            if route is None:
                raise _Refused(404, f"there is no {scope['path']} here; there are {', '.join(self._routes)}")
            if scope["method"] != "POST":
                raise _Refused(405, "messages are sent by POST")
            status, content_type, body = await route(scope, await self._body(scope, receive))
        except _Refused as refused:
            status, content_type = refused.status, "text/plain; charset=utf-8"
            body = refused.text.encode() + b"\n"
        headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
        if status == 405:
            headers.append((b"allow", b"POST"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _body(self, scope: Message, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise _Refused(400, "the connection ended inside the body")
            body += event.get("body", b"")
            if len(body) > self._max:
                raise _Refused(413, f"the body is longer than {self._max} bytes")
            if not event.get("more_body"):
                break
        if not body:
            raise _Refused(400, "the body is empty")
        return bytes(body)

    async def _hl7v2(self, scope: Message, body: bytes) -> tuple[int, str, bytes]:
        media = _header(scope, b"content-type").partition(";")[0].strip().lower()
        if media not in ACCEPTED:
            raise _Refused(415, f"{media} is no HL7 v2; send {HL7} or text/plain")
        return 200, HL7, await self._handle(body)

    async def _feed(self, scope: Message, body: bytes) -> tuple[int, str, bytes]:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        name, wanted = query.get("name", [""])[0], query.get("adapter", [""])[0]
        try:
            adapter = choose(body, name, wanted)
        except NoAdapter as error:
            raise _Refused(415, str(error)) from None
        conversions = await asyncio.to_thread(convert, body, name, adapter, now())
        results = []
        statuses = {200}
        for conversion in conversions:
            delivery = await asyncio.to_thread(self._target.deliver, conversion)
            statuses.add(_status(conversion, delivery))
            results.append(_result(conversion, delivery))
        return max(statuses), "application/json", to_json({"adapter": adapter.name, "messages": results}) + b"\n"


def _status(conversion: Conversion, delivery: Delivery) -> int:
    if delivery.status == "again":
        return 503
    return 422 if conversion.failed or delivery.status == "refused" else 200


def _result(conversion: Conversion, delivery: Delivery) -> dict[str, Any]:
    """One message: its kind, where it stands, what became of it, its resources and problems."""
    status = "not-converted" if conversion.failed and delivery.status == "stored" else delivery.status
    return {
        "kind": conversion.kind,
        "line": conversion.parsed.line,
        "status": status,
        "resources": [{"type": entry.type, "url": entry.url, "change": entry.change} for entry in delivery.written],
        "problems": [_problem(problem) for problem in (*conversion.problems, *delivery.problems)],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    parts = {name: getattr(problem, name) for name in ("severity", "code", "text", "field", "line", "column")}
    return {name: value for name, value in parts.items() if value not in ("", None)}


def _header(scope: Message, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = await receive()
        await send({"type": event["type"] + ".complete"})
        if event["type"] == "lifespan.shutdown":
            return


def http_server(host: str, port: int, application: Intake, *, allow_open: bool = False) -> "uvicorn.Server":
    """A uvicorn server for the intake, not started yet (`await server.serve()`).

    There is no authentication here: a host that is not loopback raises ValueError unless `allow_open`.
    """
    if not allow_open and not is_loopback(host):
        raise ValueError(f"{host} is reachable from outside and the intake has no authentication; bind to 127.0.0.1")
    import uvicorn

    settings = uvicorn.Config(application, host=host, port=port, log_level="warning", access_log=False)
    return uvicorn.Server(settings)
