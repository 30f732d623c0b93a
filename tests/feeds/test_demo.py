"""`tiercare demo` against the real server, as a process: what a newcomer types first."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from adapters import demo as demo_module
from adapters.demo import EXPECTED, SAMPLES, demo, expected

RUN = [sys.executable, "-c", "import typer; from adapters.demo import demo; typer.run(demo)"]
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_demo(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", int, Path]]:
    """A demo that stays in the foreground, ready; its port and the file that takes its output."""
    port, output = free_port(), tmp_path / "output.txt"
    with output.open("w") as sink:
        command = [*RUN, "--port", str(port), "--data", str(tmp_path / "data")]
        process = subprocess.Popen(command, cwd=ROOT, stdout=sink, stderr=subprocess.STDOUT, text=True)
        try:
            until = time.monotonic() + 60
            while "Ctrl-C stops the server" not in output.read_text("utf-8"):
                assert process.poll() is None, output.read_text("utf-8")
                assert time.monotonic() < until, output.read_text("utf-8")
                time.sleep(0.1)
            yield process, port, output
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(20)


def test_demo_check_feeds_twice_and_ends_with_one_line_and_zero() -> None:
    done = subprocess.run([*RUN, "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = done.stdout.strip().splitlines()
    assert line.startswith("demo check ok: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_shows_its_table_and_urls_and_a_signal_stops_it_and_its_server(tmp_path: Path, number: int) -> None:
    with running_demo(tmp_path) as (process, port, output):
        base = f"http://127.0.0.1:{port}/fhir"
        text = output.read_text("utf-8")
        assert f"resources, at {base}/" in text and "created   ServiceRequest/" in text
        assert "NOT CONVERTED" in text and "zxjgdm, zxjgmc" in text
        shown = [line.split("'")[1] for line in text.splitlines() if line.strip().startswith("curl '")]
        assert len(shown) >= 5
        for url in shown:
            answer = httpx.get(url)
            assert answer.status_code == 200, answer.text
            assert answer.json().get("entry") or answer.json()["resourceType"] == "CapabilityStatement", url
        process.send_signal(number)
        assert process.wait(20) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{base}/metadata")


def test_demo_on_a_port_in_use_is_one_plain_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*RUN, "--port", str(port)], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert str(port) in line and "--port" in line


def test_demo_check_with_another_count_than_expected_fails_and_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, patients = tmp_path / "expected.csv", expected()["Patient"]
    rows = [f"{type},{count + (type == 'Patient')}" for type, count in expected().items() if type != "Task"]
    wrong.write_text("\n".join(["type,count", *rows]) + "\n")
    monkeypatch.setattr(demo_module, "EXPECTED", wrong)
    monkeypatch.chdir(ROOT)
    app = typer.Typer()
    app.command()(demo)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        result = CliRunner().invoke(app, ["--check"])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert result.exit_code == 1
    assert f"Patient {patients} instead of {patients + 1}" in result.stdout
    assert "Task is not in expected.csv" in result.stdout


def test_demo_check_leaves_no_folder_behind(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([*RUN, "--check"], cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False)
    assert list(tmp_path.iterdir()) == []


def test_every_adapter_has_samples_for_the_demo() -> None:
    assert EXPECTED.parent == SAMPLES
    for folder in ("hl7v2", "cda", "regional"):
        assert len(list((SAMPLES / folder).iterdir())) >= 3
