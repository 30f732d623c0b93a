"""One process that serves an app on a socket: uvicorn, its options, and how it stops."""

import contextlib
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from server.errors import Unavailable
from server.rest.app import App

GRACE = 5  # seconds that requests under way have to finish when the server stops


def serve(app: App, listener: socket.socket, started: Callable[[], None], *, worker: bool = False) -> None:
    """Until SIGTERM or, unless it is one of several workers, SIGINT. Raises why it could not start.

    `started` is called when requests are taken.
    """
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="critical",  # what goes wrong at start is said below, what goes wrong later by the app's own log
        backlog=1024,
        timeout_graceful_shutdown=GRACE,
    )
    server = _Server(config, started, (signal.SIGTERM,) if worker else (signal.SIGTERM, signal.SIGINT))
    with contextlib.suppress(SystemExit):  # uvicorn leaves with a bare code when the store cannot be opened
        server.run(sockets=[listener])
    if app.failure is not None:
        raise app.failure
    if not server.started:
        raise Unavailable("the server did not start")


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[], None], stops: tuple[int, ...]) -> None:
        super().__init__(config)
        self._say, self._stops = started, stops

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._say()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig in self._stops:  # Ctrl-C reaches every process of the terminal; a worker waits for its turn
            super().handle_exit(sig, frame)
