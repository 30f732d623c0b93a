"""`tiercare gateway` and `tiercare journal` as commands, beside a FHIR server that is there or not."""

import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner, Result

from adapters.gateway.commands import gateway
from adapters.gateway.journal_commands import journal
from tests import servers

GATEWAY = [sys.executable, "-c", "import typer; from adapters.gateway.commands import gateway; typer.run(gateway)"]


def adt(number: str, birth: str = "19800101") -> bytes:
    return (
        f"MSH|^~\\&|HIS|H|||20260301||ADT^A01|{number}|P|2.4\rPID|1||P{number}^^^H||Zhang^San||{birth}|F\r"
    ).encode()


class Site:
    """A folder with a configuration, and commands run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fhir, self.port = folder, servers.free_port(), servers.free_port()
        self.base = f"http://127.0.0.1:{self.fhir}/fhir"
        self.config = folder / "gateway.toml"
        self.journal = folder / "journal.sqlite"
        self.config.write_text(
            f"""
            [journal]
            path = "{self.journal}"
            [destination.region]
            url = "{self.base}"
            retry_first = "100ms"
            retry_pause = "200ms"
            [source.web]
            kind = "http"
            port = {self.port}
            destination = "region"
            silence_after = "30d"
            """
        )

    def run(self, *words: object) -> Result:
        app = typer.Typer(pretty_exceptions_enable=False)
        app.command()(gateway)
        app.add_typer(journal, name="journal")
        command, *rest = [str(word) for word in words]
        if command == "gateway":
            return CliRunner().invoke(app, ["gateway", "--config", str(self.config), *rest])
        return CliRunner().invoke(app, ["journal", command, "--config", str(self.config), *rest])

    def told(self, *words: object) -> Any:
        done = self.run(*words, "--json")
        return json.loads(done.stdout)

    def states(self) -> dict[int, str]:
        return {row["id"]: row["state"] for row in self.told("list")}

    def send(self, *contents: bytes) -> None:
        for content in contents:
            answer = httpx.post(f"http://127.0.0.1:{self.port}/feed", content=content, timeout=20)
            assert answer.status_code == 202, answer.text

    def until(self, *states: str) -> None:
        deadline = time.monotonic() + 30
        while sorted(self.states().values()) != sorted(states):
            assert time.monotonic() < deadline, self.states()
            time.sleep(0.1)

    def running(self) -> Any:
        return servers.running([*GATEWAY, "--config", str(self.config)], self.port, self.folder / "gateway.log")

    def server(self) -> Any:
        return servers.tiercare(self.folder / "server", port=self.fhir)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield Site(tmp_path)


def test_a_gateway_delivers_and_its_journal_tells_what_became_of_messages(site: Site) -> None:
    with site.server(), site.running():
        site.send(adt("1"), adt("2"), adt("3", birth="20230230"))
        site.until("delivered", "delivered", "dead")
        shown = site.told("show", 1)
        assert (shown["state"], shown["kind"], shown["identity"]) == ("delivered", "ADT^A01", "HIS|H|1")
        urls = [url for type, url, _ in shown["deliveries"][0]["written"] if type == "Patient"]
        assert httpx.get(urls[0]).json()["birthDate"] == "1980-01-01"
        (dead,) = site.told("list", "--state", "dead")
        assert (dead["id"], dead["field"], dead["line"]) == (3, "PID-7", 2)
        assert "PID-7, line 2: 20230230" in site.run("list").stdout
        assert site.run("show", 3, "--raw").stdout_bytes == adt("3", birth="20230230")
        found = site.told("status")
        assert found["sources"][0]["messages"] == {"dead": 1, "delivered": 2}
        assert (found["destinations"][0]["waiting"], found["destinations"][0]["failures"]) == (0, 0)
        assert site.run("status").exit_code == 0
        again = site.run("replay", 1, 2)
        assert (again.exit_code, "2 messages: 2 delivered" in again.stdout) == (0, True), again.stdout
        assert httpx.get(urls[0]).json()["meta"]["versionId"] == "1", "a success writes nothing"
        assert site.run("gateway").stderr == f"another gateway delivers from the journal {site.journal}\n"


def test_a_destination_that_is_away_is_an_alarm_and_replay_without_a_gateway_delivers(site: Site) -> None:
    with site.running():
        site.send(adt("1"), adt("2"))
        site.until("mapped", "mapped")
        deadline = time.monotonic() + 20
        while (done := site.run("status")).exit_code == 0 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert done.exit_code == 1 and "OUT OF REACH" in done.stdout
    away = site.run("replay", "--state", "mapped")
    assert away.exit_code == 1 and "a destination is out of reach" in away.stderr
    with site.server():
        done = site.run("replay", "--source", "web")
        assert (done.exit_code, "2 messages: 2 delivered" in done.stdout) == (0, True), done.output
        assert "2/2" in done.stderr, "the progress bar"
        assert httpx.get(f"{site.base}/Patient", params={"_summary": "count"}).json()["total"] == 2
    assert site.states() == {1: "delivered", 2: "delivered"}


def test_purge_drops_what_is_finished_and_nothing_else(site: Site) -> None:
    with site.running():
        site.send(adt("1"), adt("2"))
        site.until("mapped", "mapped")
    with closing(sqlite3.connect(site.journal)) as db, db:
        db.execute("UPDATE message SET state = 'delivered' WHERE id = 1")
        db.execute("UPDATE delivery SET state = 'stored' WHERE message = 1")
    assert site.run("purge", "--state", "delivered", "--older-than", "1h").stdout == "0 messages dropped\n"
    assert site.run("purge", "--state", "delivered", "--older-than", "0s").stdout == "1 messages dropped\n"
    assert site.states() == {2: "mapped"}
    assert "only delivered, dead, replaced" in site.run("purge", "--state", "mapped", "--older-than", "0s").stderr
    assert "is a time such as" in site.run("purge", "--state", "dead", "--older-than", "soon").stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("list",), "there is no journal"),
        (("replay",), "say which messages"),
        (("list", "--state", "lost"), "there is no state lost; there are received, mapped, delivered, dead, replaced"),
        (("gateway",), "cannot listen on 127.0.0.1"),
    ],
)
def test_what_cannot_be_done_is_one_plain_sentence(site: Site, words: tuple[str, ...], said: str) -> None:
    import socket

    if "--state" in words:
        sqlite3.connect(site.journal).close()
        site.journal.touch()
    with socket.create_server(("127.0.0.1", site.port)):
        done = site.run(*words)
    assert done.exit_code == 1 and said in done.stderr and done.stderr.count("\n") == 1, done.output


def test_a_configuration_can_be_looked_at_without_running(site: Site) -> None:
    assert site.run("gateway", "--check").stdout == f"{site.config} is in order: web (http)\n"
    site.config.write_text("[journal]\n")
    done = site.run("gateway")
    assert (done.exit_code, done.stderr) == (1, f"{site.config}: journal.path is missing\n")
