"""Servers that tests start as processes of their own, and how they are stopped."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import httpx

from server.rest.app import App
from server.settings import Settings
from server.wiring import build_app

START = 30.0  # seconds a server may take to answer
STOP = 15.0


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(
    command: list[str], port: int, log: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The process, from when its port takes connections until the block ends; its output goes to `log`."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
    try:
        _wait(process, port, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')[-4000:]}")


@contextmanager
def secantusdb(folder: Path, *options: str, port: int | None = None) -> Iterator[str]:
    """A MongoDB stand-in with its data in `folder`: the base URL. Its licence (GPL) stays in its process."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(Path(sys.executable).with_name("secantusd-py")), "--port", str(port)]
    command += ["--storage-path", str(folder / "data"), "--sync-on-commit", "--cache-size", "256M", *options]
    with running(command, port, folder / "server.log"):
        yield f"mongodb://127.0.0.1:{port}/"


@contextmanager
def mongodb(folder: Path) -> Iterator[str]:
    """The base URL of the server that MONGODB_URL names, else of a stand-in."""
    named = os.environ.get("MONGODB_URL")
    if named:
        yield named
    else:
        with secantusdb(folder) as url:
            yield url


def database(base: str, name: str) -> str:
    """The URL of a database on a server."""
    return urlunsplit(urlsplit(base)._replace(path=f"/{name}"))


# ------------------------------------------------------------------------------------------------- our own server
@contextmanager
def tiercare(
    folder: Path, *options: str, port: int | None = None, environment: dict[str, str] | None = None
) -> Iterator["Running"]:
    """`tiercare serve` as a process, its data in `folder`; killed hard if it does not stop by itself."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "server", "serve", "--port", str(port), "--data", str(folder), *options]
    with running(command, port, folder / "process.log", environment) as process:
        yield Running(f"http://127.0.0.1:{port}/fhir", process, folder / "process.log")


class Running(NamedTuple):
    """A server process: its FHIR base, the process, and the file with its output."""

    base: str
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def several(folder: Path, *options: str, workers: int = 2) -> Iterator[Running]:
    """`tiercare serve --workers`, from when all of them serve."""
    with tiercare(folder, "--workers", str(workers), *options) as server:
        deadline = time.monotonic() + START
        while f"with {workers} workers" not in server.log.read_text():
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the workers did not start:\n{server.log.read_text()[-4000:]}")
            time.sleep(0.02)
        yield server


def workers_of(server: Running) -> list[int]:
    """The processes of the workers, the one that started last at the end; at first the writing one is in front."""
    process = server.process.pid
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


BASE = "http://tiercare.test/fhir"
"""The FHIR base of servers inside the test process."""


@asynccontextmanager
async def in_process(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app in this process, its lifespan carried out as a server does: no socket, no second process."""
    sent: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    received: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    life = asyncio.create_task(app({"type": "lifespan"}, received.get, sent.put))
    await received.put({"type": "lifespan.startup"})
    started = await sent.get()
    if started["type"] != "lifespan.startup.complete":
        raise RuntimeError(f"the app did not start: {started}")
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            yield client
    finally:
        await received.put({"type": "lifespan.shutdown"})
        await life


def app_on(store: str, folder: Path, **settings: object) -> App:
    """The app as `serve` builds it, on the store of this URL ('': SQLite in the folder)."""
    return build_app(Settings({}, store=store, data=str(folder), base_url=BASE, **settings))
