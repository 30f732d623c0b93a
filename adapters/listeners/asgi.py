"""What the listeners that speak HTTP share: ASGI's types, its lifespan, a header, an answer sent whole."""

from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = await receive()
        await send({"type": event["type"] + ".complete"})
        if event["type"] == "lifespan.shutdown":
            return


def header(scope: Message, name: bytes, default: str = "") -> str:
    """`name` in lower case."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), default)


async def answer(send: Send, status: int, media: str, body: bytes, allow: bytes) -> None:
    """`allow`: the methods that a 405 names."""
    headers = [(b"content-type", media.encode()), (b"content-length", b"%d" % len(body))]
    if status == 405:
        headers.append((b"allow", allow))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
