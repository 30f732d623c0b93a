"""`tiercare listen` as a process, between a real sender and the real server."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import adapters

ROOT = Path(__file__).parents[2]
SAMPLES = Path(adapters.__path__[0]) / "samples"
LISTEN = [sys.executable, "-c", "import typer; from adapters.commands import listen; typer.run(listen)"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(command: list[str], ready: str, output: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A child that has said `ready`; it is stopped on the way out."""
    with output.open("wb") as sink:
        child = subprocess.Popen(command, cwd=ROOT, stdout=sink, stderr=subprocess.STDOUT)
        try:
            until = time.monotonic() + 30
            while ready not in output.read_text("utf-8"):
                assert child.poll() is None and time.monotonic() < until, output.read_text("utf-8")
                time.sleep(0.05)
            yield child
        finally:
            child.terminate()
            child.wait(20)


def mllp(port: int, message: bytes) -> bytes:
    """The answer to one framed message."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"\x0b" + message + b"\x1c\r")
        answer = b""
        while not answer.endswith(b"\x1c\r"):
            piece = connection.recv(1 << 16)
            assert piece, answer
            answer += piece
    return answer.strip(b"\x0b\x1c\r")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_listen_answers_by_mllp_and_http_after_the_server_has_stored(tmp_path: Path, number: int) -> None:
    fhir, by_mllp, by_http = free_port(), free_port(), free_port()
    base = f"http://127.0.0.1:{fhir}/fhir"
    serve = [sys.executable, "-m", "server", "serve", "--port", str(fhir), "--data", str(tmp_path / "data")]
    listen = [*LISTEN, "--send", base, "--mllp", str(by_mllp), "--http", str(by_http)]
    with process(serve, "serves FHIR", tmp_path / "serve.txt"):
        with process(listen, "/feed", tmp_path / "listen.txt") as listener:
            answer = mllp(by_mllp, (SAMPLES / "hl7v2" / "ADT_A01.hl7").read_bytes())
            assert b"MSA|AA|" in answer
            row = (SAMPLES / "regional" / "bsoft_up_referral.json").read_bytes()
            fed = httpx.post(f"http://127.0.0.1:{by_http}/feed", content=row, timeout=20)
            assert (fed.status_code, fed.json()["messages"][0]["status"]) == (200, "stored")
            posted = httpx.post(
                f"http://127.0.0.1:{by_http}/hl7v2",
                content=(SAMPLES / "hl7v2" / "ADT_A03.hl7").read_bytes(),
                headers={"content-type": "x-application/hl7-v2+er7"},
                timeout=20,
            )
            assert b"MSA|AA|" in posted.content
            listener.send_signal(number)
            assert listener.wait(20) == 0, (tmp_path / "listen.txt").read_text("utf-8")
        counts = httpx.get(f"{base}/ServiceRequest", params={"_summary": "count"}).json()
        assert counts["total"] == 1


def test_listen_on_a_port_in_use_is_one_plain_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for option in ("--mllp", "--http"):
            command = [*LISTEN, "--send", "http://127.0.0.1:9/fhir", option, port]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
            assert done.returncode == 1 and done.stdout == ""
            assert done.stderr.startswith("cannot listen on 127.0.0.1") and done.stderr.count("\n") == 1
