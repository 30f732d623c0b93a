"""A request as the handlers see it: cut out of the ASGI scope, nothing parsed that nobody asks for."""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from server.errors import Invalid, Late, TooLarge
from server.rest import formats
from server.rest.coding import inflate
from server.search.query import check_percent, parameters

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


LONGEST_QUERY = 32 * 1024
_BROKEN = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Request:
    """`parts` is the path below the FHIR base: `Patient/1` -> ["Patient", "1"]. `body_timeout`: in seconds."""

    __slots__ = ("_headers", "_receive", "_scope", "body_timeout", "method", "parts", "query")

    def __init__(self, scope: Scope, receive: Receive, path: str) -> None:
        self.method: str = scope["method"]
        self.parts = [part for part in path.split("/") if part]  # ASGI has decoded it
        self.query: str = scope["query_string"].decode("ascii", "replace")
        self._scope, self._receive = scope, receive
        self.body_timeout: float | None = None
        self._headers: dict[bytes, bytes] = dict(scope["headers"])

    def check_address(self) -> None:
        """Raises Invalid for a percent sign without two hexadecimal digits, TooLarge for a query past LONGEST_QUERY."""
        path: bytes = self._scope.get("raw_path") or b""
        if b"%" in path and _BROKEN.search(path):
            raise Invalid("the address has a % that is not followed by two hexadecimal digits", "http.path")
        check_percent(self.query)
        if len(self.query) > LONGEST_QUERY:
            raise TooLarge(
                f"the query has {len(self.query)} characters, {LONGEST_QUERY} is the limit: use POST _search",
                "http.query",
            )

    def header(self, name: str) -> str:
        """A header's value, '' when it is missing. `name` in lower case."""
        value = self._headers.get(name.encode())
        return value.decode("latin-1") if value else ""

    def parameters(self) -> list[tuple[str, str]]:
        """Raises Invalid for bytes that are not UTF-8."""
        return parameters(self.query)

    def base(self, configured: str, root: str) -> str:
        """The base URL for links: as configured, else as the client addressed us."""
        if configured:
            return configured
        host = self.header("host") or "{}:{}".format(*(self._scope.get("server") or ("localhost", 80)))
        return f"{self._scope.get('scheme', 'http')}://{host}{root}"

    def sends_body(self) -> bool:
        """Whether the request announces a body (RFC 9110 section 8.6, RFC 9112 section 6)."""
        return self.header("content-length") not in ("", "0") or bool(self.header("transfer-encoding"))

    async def body(self, limit: int) -> bytes:
        """Without its Content-Encoding. Raises TooLarge past `limit` bytes, sent or inflated; MediaType; Late."""
        try:
            async with asyncio.timeout(self.body_timeout):
                sent = await self._sent(limit)
        except TimeoutError as late:
            raise Late(f"the body was not whole after {self.body_timeout} seconds", "http.body") from late
        coding = self.header("content-encoding")
        return await inflate(sent, coding, limit) if coding else sent

    async def _sent(self, limit: int) -> bytes:
        declared = self.header("content-length")
        if declared.isdigit() and int(declared) > limit:
            raise TooLarge(f"the body has {declared} bytes, {limit} is the limit", "http.Content-Length")
        chunks, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Invalid("the client went away before its body was whole")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"the body has more than {limit} bytes, the limit", "http.body")
            chunks.append(chunk)
            if not message.get("more_body"):
                return b"".join(chunks) if len(chunks) > 1 else chunks[0]

    async def content(self, limit: int) -> bytes:
        """The body as JSON bytes, whatever format it came in. Raises MediaType, TooLarge."""
        format = formats.sent(self.header("content-type"))
        return format.read(await self.body(limit))
