"""HTTP intake: POST /hl7v2 answers with an HL7 ACK, POST /feed takes any adapter's content and answers with JSON.

The HTTP status of /hl7v2 is 200 for every HL7 answer: what became of the message stands in MSA-1. Of /feed, where the
source is answered after the commit: 200 all stored, 422 some message is at fault (its raw bytes are kept), 503 the FHIR
server did not take it, send it again. Where it is answered from the journal: 202, and the messages' numbers in it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from adapters.contract import Problem
from adapters.engine.engine import COMMIT_SECONDS, Arrival, Engine, Outcome
from adapters.engine.journal_file import JournalError
from adapters.listeners.asgi import Message, Receive, Send, answer, header, lifespan
from adapters.listeners.hl7v2_receiver import Receiver
from adapters.listeners.mllp import is_loopback
from adapters.registry import NoAdapter
from adapters.wire import to_json

if TYPE_CHECKING:
    import uvicorn

HL7 = "x-application/hl7-v2+er7"
ACCEPTED = ("x-application/hl7-v2+er7", "application/hl7-v2", "text/plain", "application/octet-stream", "")
BODY_BYTES = 32 * 1024 * 1024
BODY_SECONDS = 60.0
CONNECTIONS = 500
STOP_SECONDS = 5  # for requests under way; one that is cut off is sent again by its sender


class _Refused(Exception):
    """A request that gets an HTTP error: status and one plain sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class Intake:
    """The ASGI application: what is posted is a content of one source of the engine."""

    def __init__(
        self,
        engine: Engine,
        source: str,
        body_bytes: int = BODY_BYTES,
        commit_seconds: float = COMMIT_SECONDS,
        enhanced: bool = True,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._engine, self._source, self._max, self._seconds = engine, source, body_bytes, commit_seconds
        self._body_seconds = body_seconds
        self._receiver = Receiver(engine, source, commit_seconds, enhanced)
        self._routes = {"/hl7v2": self._hl7v2, "/feed": self._feed}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
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
        await answer(send, status, content_type, body, allow=b"POST")

    async def _body(self, scope: Message, receive: Receive) -> bytes:
        try:
            async with asyncio.timeout(self._body_seconds):
                return await self._whole(receive)
        except TimeoutError:
            raise _Refused(408, f"the body did not come within {self._body_seconds:.0f} seconds") from None

    async def _whole(self, receive: Receive) -> bytes:
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
        media = header(scope, b"content-type").partition(";")[0].strip().lower()
        if media not in ACCEPTED:
            raise _Refused(415, f"{media} is no HL7 v2; send {HL7} or text/plain")
        return 200, HL7, await self._receiver.answer(body)

    async def _feed(self, scope: Message, body: bytes) -> tuple[int, str, bytes]:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        name, wanted = query.get("name", [""])[0], query.get("adapter", [""])[0]
        try:
            arrivals = await self._engine.take(self._source, body, name, wanted)
        except NoAdapter as error:
            raise _Refused(415, str(error)) from None
        except JournalError as error:
            raise _Refused(503, f"{error}; send it again") from None
        adapter = arrivals[0].adapter.name
        if self._engine.sources[self._source].ack == "stored":
            results = [_kept(arrival) for arrival in arrivals]
            return 202, "application/json", to_json({"adapter": adapter, "messages": results}) + b"\n"
        outcomes = await self._engine.outcomes(arrivals, self._seconds)
        results = [_result(arrival, outcome) for arrival, outcome in zip(arrivals, outcomes, strict=True)]
        status = max(200, *(_STATUS[result["status"]] for result in results))
        return status, "application/json", to_json({"adapter": adapter, "messages": results}) + b"\n"


_STATUS = {"stored": 200, "not-converted": 422, "refused": 422, "again": 503}


def _kept(arrival: Arrival) -> dict[str, Any]:
    """One message in the journal: its number there, where it stands in the body, what is known of it."""
    taken = arrival.taken
    return {"id": taken.id, "line": arrival.parsed.line, "status": taken.state, "new": taken.fresh}


def _result(arrival: Arrival, outcome: Outcome) -> dict[str, Any]:
    """One message: its kind, where it stands, what became of it, its resources and problems."""
    conversion, delivery = outcome.conversion, outcome.delivery
    failed = conversion is not None and conversion.failed
    problems = [*(conversion.problems if conversion else []), *delivery.problems]
    return {
        "kind": conversion.kind if conversion else "",
        "line": arrival.parsed.line,
        "status": "not-converted" if failed and delivery.status == "stored" else delivery.status,
        "resources": [{"type": entry.type, "url": entry.url, "change": entry.change} for entry in delivery.written],
        "problems": [_problem(problem) for problem in problems],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    parts = {name: getattr(problem, name) for name in ("severity", "code", "text", "field", "line", "column")}
    return {name: value for name, value in parts.items() if value not in ("", None)}


def http_server(host: str, port: int, application: Intake, *, allow_open: bool = False) -> "uvicorn.Server":
    """A uvicorn server for the intake, not started yet (`await server.serve()`).

    There is no authentication here: a host that is not loopback raises ValueError unless `allow_open`.
    """
    if not allow_open and not is_loopback(host):
        raise ValueError(f"{host} is reachable from outside and the intake has no authentication; bind to 127.0.0.1")
    import uvicorn

    class Server(uvicorn.Server):
        """Whoever serves it listens to signals: there may be more than this one to end."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    settings = uvicorn.Config(
        application, host=host, port=port, log_level="warning", access_log=False,
        limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=STOP_SECONDS,
    )  # fmt: skip
    return Server(settings)
