"""The servers that a measurement starts, and what the system says of them: CPU time, memory, disk."""

import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.wire import Address

BARE = "bare ASGI"
START = 60.0  # seconds a server may take to answer
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Server:
    """A server under load. pid 0: not started here, so nothing is known of its CPU time and memory."""

    name: str
    address: Address
    pid: int = 0

    def cpu(self) -> float:
        """Seconds of CPU that the process has used, all threads, user and system."""
        if not self.pid:
            return 0.0
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def memory(self) -> int:
        """Bytes in memory that are the process's own (the file's pages that SQLite maps are the system's cache)."""
        return sum(_status(self.pid, name) for name in ("RssAnon", "RssShmem")) if self.pid else 0

    def resident(self) -> int:
        """Bytes in memory, mapped pages of files included."""
        return _status(self.pid, "VmRSS") if self.pid else 0


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


@contextmanager
def tiercare(folder: Path) -> Iterator[tuple[Server, float]]:
    """`tiercare serve` on an empty SQLite store, all settings at their defaults: and seconds to the first /metadata."""
    port = _free_port()
    own = {name: value for name, value in os.environ.items() if not name.startswith("TIERCARE_")}
    environment = {**own, "TIERCARE_DATA": str(folder), "TIERCARE_PORT": str(port)}
    with _process([sys.executable, "-m", "server", "serve"], port, "/fhir/metadata", environment) as (pid, seconds):
        yield Server("tiercare", Address("127.0.0.1", port, "/fhir"), pid), seconds


@contextmanager
def bare() -> Iterator[Server]:
    port = _free_port()
    with _process([sys.executable, "-m", "bench.bare", str(port)], port, "/", dict(os.environ)) as (pid, _):
        yield Server(BARE, Address("127.0.0.1", port, ""), pid)


@contextmanager
def _process(command: list[str], port: int, path: str, environment: dict[str, str]) -> Iterator[tuple[int, float]]:
    """The process's id, and the seconds until it answered 200 at the path."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment)
    try:
        while not _answers(port, path):
            if process.poll() is not None or time.perf_counter() - start > START:
                raise RuntimeError(f"{' '.join(command)} did not start")
            time.sleep(0.005)
        yield process.pid, time.perf_counter() - start
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int, path: str) -> bool:
    try:
        with closing(socket.create_connection(("127.0.0.1", port), 1)) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(12).endswith(b" 200")
    except OSError:
        return False


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def disk(folder: Path) -> int:
    """Bytes of the SQLite file as it is once its write-ahead log is moved into it."""
    with closing(sqlite3.connect(f"file:{folder / 'tiercare.sqlite'}?mode=ro", uri=True)) as store:
        pages: int = store.execute("PRAGMA page_count").fetchone()[0]
        free: int = store.execute("PRAGMA freelist_count").fetchone()[0]
        size: int = store.execute("PRAGMA page_size").fetchone()[0]
    return (pages - free) * size
