"""`tiercare serve` and `check` as commands: what goes wrong is one plain sentence on stderr and a non-zero exit."""

import os
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest

from tests import servers

ROOT = Path(__file__).parents[2]
SECONDS = 60


def tiercare(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command run to its end, outside the project's folder."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TIERCARE_")}
    return subprocess.run(
        [sys.executable, "-m", "server", *arguments], capture_output=True, text=True, timeout=SECONDS,
        env={**inherited, **environment}, check=False,
    )  # fmt: skip


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a refused start leaves."""
    assert done.returncode != 0
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("tiercare: ")
    assert "Traceback" not in lines[0]
    return lines[0]


@pytest.fixture
def file_in_the_way(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("x")
    return path


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = sentence(tiercare("serve", "--port", port, "--data", str(tmp_path / "data")))
    assert f"127.0.0.1:{port}" in said
    assert "in use" in said


def test_a_data_folder_that_cannot_be_made_is_said(file_in_the_way: Path) -> None:
    said = sentence(tiercare("serve", "--port", "0", "--data", str(file_in_the_way / "data")))
    assert str(file_in_the_way) in said


def test_a_data_folder_that_is_a_file_is_said(file_in_the_way: Path) -> None:
    said = sentence(tiercare("serve", "--port", "0", "--data", str(file_in_the_way)))
    assert str(file_in_the_way) in said


def test_a_data_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "tiercare.sqlite").write_bytes(b"this is not a database, but long enough to be one" * 100)
    said = sentence(tiercare("serve", "--port", "0", "--data", str(tmp_path)))
    assert str(tmp_path) in said
    assert "not a database" in said


def test_a_page_key_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "page.key").mkdir()
    assert "page key" in sentence(tiercare("serve", "--port", "0", "--data", str(tmp_path)))


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ("postgres://localhost/x", ["postgres", "mongodb", "sqlite"]),
        ("nonsense", ["nonsense"]),
        ("mongodb://127.0.0.1:1/x", ["127.0.0.1:1"]),
    ],
)
def test_a_store_that_cannot_be_opened_is_said(tmp_path: Path, store: str, words: list[str]) -> None:
    said = sentence(tiercare("serve", "--port", "0", "--data", str(tmp_path), "--store", store))
    assert all(word in said for word in words), said


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.invalid"])
def test_a_host_beyond_loopback_is_refused_without_allow_open(tmp_path: Path, host: str) -> None:
    said = sentence(tiercare("serve", "--port", "0", "--data", str(tmp_path), "--host", host))
    assert "--allow-open" in said
    assert host in said


def test_allow_open_warns_on_every_start(tmp_path: Path) -> None:
    for _ in range(2):
        with servers.tiercare(tmp_path, "--host", "0.0.0.0", "--allow-open") as server:
            assert httpx.get(f"{server.base}/metadata").status_code == 200
        assert "WARNING: open to the network on 0.0.0.0 without authentication" in server.log.read_text()


def test_allow_open_on_an_address_that_is_not_ours_is_said(tmp_path: Path) -> None:
    done = tiercare("serve", "--port", "0", "--data", str(tmp_path), "--host", "192.0.2.1", "--allow-open")
    assert done.returncode != 0
    assert "cannot listen on 192.0.2.1" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TIERCARE_PROT", "1", "TIERCARE_PROT"),
        ("TIERCARE_PORT", "many", "TIERCARE_PORT"),
        ("TIERCARE_ALLOW_OPEN", "perhaps", "TIERCARE_ALLOW_OPEN"),
        ("TIERCARE_COUNT_MAX", "", "TIERCARE_COUNT_MAX"),
        ("TIERCARE_ZONE", "Asia/Nowhere", "Asia/Nowhere"),
        ("TIERCARE_ZONE", "../../etc/passwd", "zone"),
        ("TIERCARE_PORT", "70000", "70000"),
        ("TIERCARE_PORT", "-1", "-1"),
    ],
)
def test_a_setting_that_is_none_is_said(tmp_path: Path, name: str, value: str, words: str) -> None:
    options = [] if name == "TIERCARE_PORT" else ["--port", "0"]
    assert words in sentence(tiercare("serve", *options, "--data", str(tmp_path), **{name: value}))


def test_settings_come_from_the_environment_and_options_win(tmp_path: Path) -> None:
    port = servers.free_port()
    environment = {
        "TIERCARE_PORT": "1",
        "TIERCARE_COUNT_DEFAULT": "1",
        "TIERCARE_BASE_URL": "https://fhir.example.org/r4/",
    }
    with servers.tiercare(tmp_path, port=port, environment=environment) as server:
        assert server.base == f"http://127.0.0.1:{port}/fhir"
        for _ in range(2):
            created = httpx.post(f"{server.base}/Patient", json={"resourceType": "Patient"})
            assert created.headers["location"].startswith("https://fhir.example.org/r4/Patient/")
        page = httpx.get(f"{server.base}/Patient").json()
        assert len(page["entry"]) == 1
        assert page["link"][1]["url"].startswith("https://fhir.example.org/r4/Patient?")


def test_check_lists_what_is_installed() -> None:
    done = tiercare("check")
    assert (done.returncode, done.stderr) == (0, "")
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert set(groups) == {"tiercare.stores", "tiercare.adapters", "tiercare.commands"}
    for group, points in groups.items():
        assert f"{group}: {', '.join(sorted(points))}\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["nope"], "nope"), (["serve", "--nope"], "--nope"), (["serve", "--port", "x"], "--port")],
)
def test_a_command_that_is_none_is_a_usage_error(arguments: list[str], named: str) -> None:
    done = tiercare(*arguments)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_command() -> None:
    done = tiercare("--help")
    assert done.returncode == 0
    for command in ("serve", "check", "convert", "demo"):
        assert command in done.stdout


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_server_in_order(tmp_path: Path, stop: signal.Signals) -> None:
    with servers.tiercare(tmp_path) as server:
        httpx.post(f"{server.base}/Patient", json={"resourceType": "Patient"}).raise_for_status()
        server.process.send_signal(stop)
        server.process.wait(servers.STOP)
        said = server.log.read_text()
    assert f"serves FHIR R4 at {server.base}" in said
    assert "Traceback" not in said
    assert not (tmp_path / "tiercare.sqlite-wal").exists(), "everything is in the one file"
    with servers.tiercare(tmp_path) as server:
        assert httpx.get(f"{server.base}/Patient?_summary=count").json()["total"] == 1


def test_page_links_outlive_a_restart(tmp_path: Path) -> None:
    port = servers.free_port()
    with servers.tiercare(tmp_path, port=port) as server:
        for _ in range(3):
            httpx.post(f"{server.base}/Patient", json={"resourceType": "Patient"}).raise_for_status()
        onward = httpx.get(f"{server.base}/Patient?_count=2").json()["link"][1]["url"]
    with servers.tiercare(tmp_path, port=port):
        assert len(httpx.get(onward).json()["entry"]) == 1
    assert (tmp_path / "page.key").stat().st_mode & 0o077 == 0, "the key is for its owner only"
