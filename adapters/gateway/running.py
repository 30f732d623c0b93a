"""A running gateway: the journal, the engine and the listeners of a configuration, from start to stop."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from adapters.delivery import Target
from adapters.engine.engine import Engine
from adapters.engine.journal import Journal
from adapters.engine.journal_file import JournalError, JournalFile, lock
from adapters.engine.lanes import Destination
from adapters.gateway.configuration import Configuration, Input, tls
from adapters.listeners.folder import File, Folder, watch
from adapters.listeners.hl7v2_receiver import Receiver
from adapters.listeners.http_intake import Intake, http_server
from adapters.listeners.mllp import Limits, serve_mllp

Say = Callable[[str], None]


class NotStarted(Exception):
    """A gateway that cannot run as configured; one plain sentence."""


@asynccontextmanager
async def engine(configuration: Configuration) -> AsyncIterator[Engine]:
    """The engine of a configuration at work: it maps and delivers, and nothing comes in.

    Raises NotStarted when another process delivers from the same journal, JournalError when it cannot be opened.
    """
    path = configuration.journal
    try:
        right = lock(path)
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be opened: {error.strerror}") from None
    if right is None:
        raise NotStarted(f"another gateway delivers from the journal {path}")
    with right:
        file = JournalFile(path)
        targets = [
            Destination(one.name, Target(one.url, timeout=one.timeout), one.retry, one.parallel)
            for one in configuration.outputs
        ]
        made = Engine(
            Journal(file, configuration.budget_bytes),
            [input.source for input in configuration.inputs],
            targets,
            retention=configuration.retention,
        )
        try:
            await made.start()
            yield made
        finally:
            await made.stop()
            file.close()
            for target in targets:
                target.sender.close()


async def run(configuration: Configuration, say: Say) -> None:
    """Listens, maps and delivers until SIGINT or SIGTERM. Raises NotStarted, JournalError, ConfigurationError."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with engine(configuration) as made, AsyncExitStack() as stack:
        urls = {output.name: output.url for output in configuration.outputs}
        for input in configuration.inputs:
            to = ", ".join(urls[name] for name in input.source.destinations)
            await STARTERS[input.source.kind](made, input, stack, say, to)
        await stop.wait()


# ------------------------------------------------------------------------------------------------ kinds of source
async def _mllp(made: Engine, input: Input, stack: AsyncExitStack, say: Say, to: str) -> None:
    chosen = input.options
    receiver = Receiver(made, input.source.name, chosen["commit_time"], chosen["enhanced"])
    limits = Limits(
        frame_bytes=chosen["frame_bytes"],
        frame_seconds=chosen["frame_time"],
        idle_seconds=chosen["idle_time"],
        connections=chosen["connections"],
        connections_per_peer=chosen["connections_per_peer"],
        buffer_bytes=chosen["buffer_bytes"],
    )
    context = tls(chosen)
    try:
        server = await serve_mllp(
            chosen["host"], chosen["port"], receiver.handle, refuse=receiver.refuse, limits=limits,
            allow_open=chosen["allow_open"], allow=chosen["allow"], tls=context,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise _not_listening(chosen, error) from None
    stack.callback(server.close)
    secure = " with TLS" if context else ""
    say(f"HL7 v2 over MLLP{secure} on {chosen['host']}:{server.sockets[0].getsockname()[1]}, to {to}")


async def _http(made: Engine, input: Input, stack: AsyncExitStack, say: Say, to: str) -> None:
    chosen = input.options
    intake = Intake(made, input.source.name, chosen["body_bytes"], chosen["commit_time"], chosen["enhanced"])
    host = chosen["host"]
    try:
        server = http_server(host, chosen["port"], intake, allow_open=chosen["allow_open"])
        bound = socket.create_server((host, chosen["port"]), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, ValueError) as error:
        raise _not_listening(chosen, error) from None
    task = asyncio.create_task(server.serve(sockets=[bound]))

    async def end() -> None:
        server.should_exit = True
        await task

    stack.push_async_callback(end)
    at = f"http://{host}:{bound.getsockname()[1]}"
    say(f"POST {at}/hl7v2 (HL7 v2) and {at}/feed (all formats), to {to}")


async def _folder(made: Engine, input: Input, stack: AsyncExitStack, say: Say, to: str) -> None:
    chosen = input.options
    folder = Folder(made, input.source.name, chosen["path"], chosen["pattern"], chosen["settled"], chosen["file_bytes"])
    _watch(stack, folder, chosen["every"])
    say(f"files {chosen['path'] / chosen['pattern']}, to {to}")


async def _file(made: Engine, input: Input, stack: AsyncExitStack, say: Say, to: str) -> None:
    chosen = input.options
    _watch(
        stack, File(made, input.source.name, chosen["path"], chosen["settled"], chosen["file_bytes"]), chosen["every"]
    )
    say(f"file {chosen['path']}, to {to}")


STARTERS = {"mllp": _mllp, "http": _http, "folder": _folder, "file": _file}


def _watch(stack: AsyncExitStack, files: Folder | File, every: float) -> None:
    task = asyncio.create_task(watch(files, every))

    async def end() -> None:
        task.cancel()
        await asyncio.wait([task])

    stack.push_async_callback(end)


def _not_listening(chosen: dict[str, Any], error: Exception) -> NotStarted:
    if isinstance(error, OSError):
        return NotStarted(f"cannot listen on {chosen['host']}:{chosen['port']}: {error.strerror or error}")
    return NotStarted(str(error))
