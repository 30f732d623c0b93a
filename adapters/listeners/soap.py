"""SOAP over HTTP: POST / takes a V3 message or a referral and acknowledges after the server's commit; GET ?wsdl.

HTTP 200 for every message that was read, whatever became of it: that stands in the acknowledgement (AA, AE, AR). A
content that is no message gets a SOAP fault: 500 in SOAP 1.1 and 400 in SOAP 1.2, as their HTTP bindings say. What
could be read at all is sent to the FHIR server as raw bytes, also when it could not be converted.
"""

import asyncio
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from adapters.delivery import Delivery
from adapters.listeners.asgi import Message, Receive, Send, answer, header, lifespan
from adapters.listeners.mllp import is_loopback
from adapters.regional_soap import ADAPTER
from adapters.regional_soap.answer import acknowledgement, enveloped, fault, wsdl
from adapters.regional_soap.envelope import BYTES, SOAP_11, SOAP_12, NotRead, read
from adapters.runner import Conversion, convert, now

if TYPE_CHECKING:
    import uvicorn

Deliver = Callable[[Conversion], Delivery]
Answer = tuple[int, str, bytes]

_CHINA = timezone(timedelta(hours=8))
_MEDIA = {SOAP_12: "application/soap+xml; charset=utf-8"}
_XML = "text/xml; charset=utf-8"


class SoapService:
    """The ASGI application. `deliver` sends a conversion to the FHIR server (Target.deliver)."""

    def __init__(self, deliver: Deliver, body_bytes: int = BYTES) -> None:
        self._deliver, self._max = deliver, body_bytes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        status, media, body = await self._answer(scope, receive)
        await answer(send, status, media, body, allow=b"GET, POST")

    async def _answer(self, scope: Message, receive: Receive) -> Answer:
        if scope["method"] == "GET":
            if "wsdl" not in scope.get("query_string", b"").decode("latin-1").lower():
                return 404, "text/plain", b"messages are sent by POST; the description is at ?wsdl\n"
            return 200, _XML, wsdl(_address(scope))
        if scope["method"] != "POST":
            return 405, "text/plain", b"messages are sent by POST\n"
        body = await _body(receive, self._max)
        if body is None:
            return 413, _XML, fault(f"the message is longer than {self._max} bytes", SOAP_11)
        return await asyncio.to_thread(self._handle, body)

    def _handle(self, body: bytes) -> Answer:
        soap = SOAP_12 if SOAP_12.encode() in body[:4096] else SOAP_11
        try:
            envelope = read(body)
        except NotRead as error:
            for conversion in convert(body, "", ADAPTER, now()) if body.strip() else []:
                self._deliver(conversion)  # the raw bytes are kept
            where = f" (line {error.line}, column {error.column})" if error.column else ""
            return (400 if soap == SOAP_12 else 500), _MEDIA.get(soap, _XML), fault(f"{error}{where}", soap)
        (conversion,) = convert(body, "", ADAPTER, now())
        delivery = self._deliver(conversion)
        code = "AR" if delivery.status == "again" else "AE" if _at_fault(conversion, delivery) else "AA"
        problems = [*conversion.problems, *delivery.problems]
        at = f"{datetime.now(_CHINA):%Y%m%d%H%M%S}"
        acknowledged = acknowledgement(envelope, problems, code, at, str(uuid.uuid4()))
        return 200, _MEDIA.get(envelope.soap, _XML), enveloped(acknowledged, envelope)


def _at_fault(conversion: Conversion, delivery: Delivery) -> bool:
    return conversion.failed or delivery.status == "refused"


async def _body(receive: Receive, most: int) -> bytes | None:
    """The body; None when it is too long."""
    body = bytearray()
    while True:
        event = await receive()
        body += event.get("body", b"")
        if len(body) > most:
            return None
        if event["type"] == "http.disconnect" or not event.get("more_body"):
            return bytes(body)


def _address(scope: Message) -> str:
    host = header(scope, b"host", "127.0.0.1")
    return f"{scope.get('scheme', 'http')}://{host}{scope['path']}"


def soap_server(host: str, port: int, service: SoapService, *, allow_open: bool = False) -> "uvicorn.Server":
    """A uvicorn server for the service, not started yet. There is no authentication: a host that is not loopback raises
    ValueError unless `allow_open`."""
    if not allow_open and not is_loopback(host):
        raise ValueError(f"{host} is reachable from outside and the service has no authentication; bind to 127.0.0.1")
    import uvicorn

    settings = uvicorn.Config(service, host=host, port=port, log_level="warning", access_log=False)
    return uvicorn.Server(settings)
