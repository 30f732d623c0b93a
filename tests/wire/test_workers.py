"""`tiercare serve --workers`: several processes, one store; what each of them shows, and what happens when one dies."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests import servers
from tests.client import Fhir, Resource, done, links, refused

PATIENCE = 30.0


@pytest.fixture
def store(store_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> list[str]:
    """Options of `serve` for an empty store of each kind."""
    if store_kind == "mongodb":
        return ["--store", servers.database(request.getfixturevalue("mongodb"), f"workers_{tmp_path.name}")]
    return []


@pytest.fixture
def server(store: list[str], tmp_path: Path) -> Iterator[servers.Running]:
    with servers.several(tmp_path, *store) as running:
        yield running


def gone(process: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return True


def wait_until_gone(processes: list[int]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not all(gone(process) for process in processes):
        assert time.monotonic() < deadline, f"{processes} go on"
        time.sleep(0.01)


@asynccontextmanager
async def client_of(server: servers.Running, worker: int) -> AsyncIterator[Fhir]:
    """A client whose one connection is with this worker: the others are stopped while it connects."""
    others = [process for process in servers.workers_of(server) if process != worker]
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=1)) as http:
        for process in others:
            os.kill(process, signal.SIGSTOP)
        try:
            fhir = Fhir(http, server.base)
            done(await fhir.get("metadata"))
        finally:
            for process in others:
                os.kill(process, signal.SIGCONT)
        yield fhir


def patient(id: str, family: str, system: str = "urn:x") -> Resource:
    identifier = [{"system": system, "value": id}]
    return {"resourceType": "Patient", "id": id, "identifier": identifier, "name": [{"family": family}]}


async def test_what_any_worker_acknowledged_every_worker_sees_at_once(server: servers.Running) -> None:
    one, two = servers.workers_of(server)
    async with client_of(server, one) as first, client_of(server, two) as second:
        for n in range(40):
            writer, reader = (first, second) if n % 2 else (second, first)
            # a system and, each tenth time, a type that the store has never met
            system = f"urn:system:{n}"
            done(await writer.put(f"Patient/p{n}", patient(f"p{n}", f"Ng{n}", system)), 201)
            assert done(await reader.get(f"Patient/p{n}"))["name"][0]["family"] == f"Ng{n}"
            assert await reader.ids(f"Patient?identifier={system}|p{n}") == [f"p{n}"]
            assert await reader.ids(f"Patient?name=ng{n}&_count=1000&_id=p{n}") == [f"p{n}"]
            done(await reader.put(f"Patient/p{n}", patient(f"p{n}", f"Mo{n}", system)), 200)
            assert await writer.ids(f"Patient?family=mo{n}&_id=p{n}") == [f"p{n}"]
            assert await writer.ids(f"Patient?family=ng{n}&_id=p{n}") == []
        for n, type in enumerate(("Basic", "Goal", "Flag", "List")):
            writer, reader = (first, second) if n % 2 else (second, first)
            assert await reader.ids(type) == []
            created = await writer.post(type, _minimal(type))
            assert await reader.ids(type) == [done(created, 201)["id"]]


def _minimal(type: str) -> Resource:
    code, subject = {"text": "x"}, {"reference": "Patient/p1"}
    return {
        "Basic": {"resourceType": "Basic", "code": code},
        "Goal": {"resourceType": "Goal", "lifecycleStatus": "active", "description": code, "subject": subject},
        "Flag": {"resourceType": "Flag", "status": "active", "code": code, "subject": subject},
        "List": {"resourceType": "List", "status": "current", "mode": "working"},
    }[type]


async def test_a_refusal_of_the_writing_process_reaches_the_client_of_any_worker(server: servers.Running) -> None:
    for n, worker in enumerate(servers.workers_of(server)):
        async with client_of(server, worker) as fhir:
            done(await fhir.put(f"Patient/a{n}", patient(f"a{n}", "A")), 201)
            stale = await fhir.put(f"Patient/a{n}", patient(f"a{n}", "B"), if_match='W/"7"')
            assert refused(stale, 412)["code"] == "conflict"
            once = [
                await fhir.post("Patient", patient("other", "C"), if_none_exist=f"identifier=urn:x|a{n}")
                for _ in range(2)
            ]
            assert [answer.status_code for answer in once] == [200, 200]
            done(await fhir.delete(f"Patient/a{n}"), 204)
            refused(await fhir.get(f"Patient/a{n}"), 410)


async def test_page_links_of_one_worker_hold_in_every_other(server: servers.Running) -> None:
    one, two = servers.workers_of(server)
    async with client_of(server, one) as first, client_of(server, two) as second:
        await first.store(*(patient(f"p{n}", "X") for n in range(6)))
        seen: list[str] = []
        page, turn = done(await first.get("Patient?_count=2&_sort=_id")), 0
        while True:
            seen += [entry["resource"]["id"] for entry in page["entry"]]
            onward = links(page).get("next")
            if not onward:
                break
            turn += 1
            page = done(await (second if turn % 2 else first).get(onward))
    assert seen == [f"p{n}" for n in range(6)]


async def test_large_transactions_are_forwarded_whole(tmp_path: Path) -> None:
    with servers.several(tmp_path) as server:
        for worker in servers.workers_of(server):
            async with client_of(server, worker) as fhir:
                text = "长" * 400_000
                await fhir.store(*(patient(f"w{worker}-{n}", text) for n in range(8)))
                found = done(await fhir.get(f"Patient/w{worker}-7"))
                assert found["name"][0]["family"] == text


@pytest.mark.parametrize("which", [0, 1])
async def test_a_worker_that_is_killed_is_started_again(server: servers.Running, which: int) -> None:
    before = servers.workers_of(server)
    async with httpx.AsyncClient(timeout=60) as http:
        done(await Fhir(http, server.base).put("Patient/p", patient("p", "A")), 201)
    os.kill(before[which], signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while len(after := servers.workers_of(server)) < 2 or before[which] in after:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    for n, worker in enumerate(after):
        async with client_of(server, worker) as fhir:
            assert done(await fhir.get("Patient/p"))["name"][0]["family"] == "A"
            while (answer := await fhir.put(f"Patient/q{n}", patient(f"q{n}", "B"))).status_code == 503:
                assert answer.headers["retry-after"] == "1"
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            done(answer, 201)
    assert "a worker died and is started again" in server.log.read_text()


async def test_while_the_writing_process_is_away_reads_go_on_and_writes_are_told_to_come_again(tmp_path: Path) -> None:
    with servers.several(tmp_path) as server:
        writing, reading = servers.workers_of(server)
        async with client_of(server, reading) as fhir:
            done(await fhir.put("Patient/p", patient("p", "A")), 201)
            os.kill(server.process.pid, signal.SIGSTOP)  # nobody starts it again for now
            os.kill(writing, signal.SIGKILL)
            wait_until_gone([writing])
            for _ in range(3):
                away = await fhir.put("Patient/q", patient("q", "B"))
                assert refused(away, 503)["code"] == "transient"
                assert "try again" in away.text
                assert away.headers["retry-after"] == "1"
                assert done(await fhir.get("Patient/p"))["name"][0]["family"] == "A"
                assert await fhir.ids("Patient?name=a") == ["p"]
            os.kill(server.process.pid, signal.SIGCONT)
            deadline = time.monotonic() + PATIENCE
            while (answer := await fhir.put("Patient/q", patient("q", "B"))).status_code == 503:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            done(answer, 201)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_all_workers_in_order(store: list[str], tmp_path: Path, stop: signal.Signals) -> None:
    with servers.several(tmp_path, *store, workers=3) as server:
        workers = servers.workers_of(server)
        assert len(workers) == 3
        httpx.post(f"{server.base}/Patient", json={"resourceType": "Patient"}).raise_for_status()
        for process in [server.process.pid, *workers] if stop is signal.SIGINT else [server.process.pid]:
            os.kill(process, stop)  # Ctrl-C reaches every process of the terminal
        assert server.process.wait(PATIENCE) == 0
        assert all(gone(process) for process in workers)
        said = server.log.read_text()
    assert f"serves FHIR R4 at {server.base} with 3 workers" in said
    assert "Traceback" not in said and "died" not in said
    assert not (tmp_path / "tiercare.sqlite-wal").exists(), "everything is in the one file"
    with servers.tiercare(tmp_path, *store) as alone:
        assert httpx.get(f"{alone.base}/Patient?_summary=count").json()["total"] == 1


def test_no_worker_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    with servers.several(tmp_path) as server:
        workers = servers.workers_of(server)
        server.process.kill()
        server.process.wait()
        wait_until_gone(workers)
    with servers.tiercare(tmp_path) as alone:
        assert httpx.get(f"{alone.base}/metadata").status_code == 200


def test_workers_that_die_again_and_again_end_the_server_with_a_sentence(tmp_path: Path) -> None:
    with servers.several(tmp_path) as server:
        deadline = time.monotonic() + 2 * PATIENCE
        while server.process.poll() is None:
            assert time.monotonic() < deadline
            for worker in servers.workers_of(server)[-1:]:
                os.kill(worker, signal.SIGKILL)
            time.sleep(0.02)
        assert server.process.returncode == 1
        last = server.log.read_text().splitlines()[-1]
    assert last.startswith("tiercare: worker")


def test_a_writing_process_that_cannot_come_back_ends_the_server_with_its_sentence(tmp_path: Path) -> None:
    with servers.several(tmp_path) as server, (tmp_path / "tiercare.sqlite.lock").open("ab") as lock:
        workers = servers.workers_of(server)
        os.kill(server.process.pid, signal.SIGSTOP)
        os.kill(workers[0], signal.SIGKILL)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.kill(server.process.pid, signal.SIGCONT)
        assert server.process.wait(PATIENCE) == 1
        wait_until_gone(workers)
        assert server.log.read_text().splitlines()[-1].startswith(f"tiercare: another process writes in {tmp_path}")


def start(tmp_path: Path, *options: str) -> str:
    """The sentence of a start that is refused."""
    finished = subprocess.run(
        [sys.executable, "-m", "server", "serve", "--port", "0", "--data", str(tmp_path), *options],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert finished.returncode == 1
    (said,) = finished.stderr.strip().splitlines()
    assert said.startswith("tiercare: ")
    return said


@pytest.mark.parametrize("number", ["0", "-1", "65"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(tmp_path: Path, number: str) -> None:
    assert "workers" in start(tmp_path, "--workers", number)


def test_what_stops_one_process_from_starting_stops_several_with_the_same_sentence(tmp_path: Path) -> None:
    with servers.several(tmp_path):
        assert f"another process writes in {tmp_path}" in start(tmp_path, "--workers", "2")
        assert f"another process writes in {tmp_path}" in start(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "tiercare.sqlite").write_bytes(b"this is not a database, but long enough to be one" * 100)
    assert "not a database" in start(tmp_path / "other", "--workers", "2")
