"""`tiercare copy`: a store moves to another kind and back with its history; a kill in the middle costs nothing."""

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from tests import servers
from tests.client import Fhir, Resource, bundle, done, entry, post, put

SECONDS = 120
MANY = 6000
SEARCHES = [
    "Patient?name=a&_sort=_id", "Patient?birthdate=lt1980&_sort=_id", "Patient?identifier=urn:x|7&_sort=_id",
    "Observation?subject=Patient/p1&_sort=_id", "Observation?code=http://loinc.org|8867-4&_sort=-date,_id",
    "Observation?subject:missing=true&_sort=_id", "Patient?_sort=-_lastUpdated",
    "Observation?_include=Observation:subject&_sort=_id", "Basic?_lastUpdated=gt2020&_sort=_id",
]  # fmt: skip


def command(source: str, target: str) -> list[str]:
    return [sys.executable, "-m", "server", "copy", "--from", source, "--to", target]


ENVIRONMENT = {**os.environ, "TIERCARE_BASE_URL": servers.BASE}


def run(source: str, target: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(source, target), capture_output=True, text=True, timeout=SECONDS, env=ENVIRONMENT, check=False
    )


def copied(source: str, target: str) -> str:
    finished = run(source, target)
    assert finished.returncode == 0, finished.stderr
    assert "Traceback" not in finished.stderr
    return finished.stdout


def refused(source: str, target: str) -> str:
    finished = run(source, target)
    assert finished.returncode != 0
    assert finished.stdout == ""
    assert "Traceback" not in finished.stderr
    last = finished.stderr.strip().splitlines()[-1]
    assert last.startswith("tiercare: "), finished.stderr
    return last


@asynccontextmanager
async def served(store: str, folder: Path) -> AsyncIterator[Fhir]:
    async with servers.in_process(servers.app_on(store, folder)) as http:
        yield Fhir(http, servers.BASE)


@pytest.fixture
def first(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path}/first"


@pytest.fixture
def second(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/second"


@pytest.fixture
def mongo(mongodb: str, tmp_path: Path) -> str:
    return servers.database(mongodb, f"copy_{tmp_path.name}")


def patient(n: int, **more: Any) -> Resource:
    found: Resource = {"resourceType": "Patient", "id": f"p{n}", "name": [{"family": f"甲A{n}"}, {"family": "b"}]}
    identifier = [{"system": "urn:x", "value": f"{n}"}]
    return {**found, "birthDate": f"19{50 + n}-02-03", "identifier": identifier, **more}


def observation(n: int, subject: str) -> bytes:
    """As bytes, so that the text of its number has to come along."""
    return (
        f'{{"resourceType":"Observation","id":"o{n}","status":"final","subject":{{"reference":"{subject}"}},'
        f'"code":{{"coding":[{{"system":"http://loinc.org","code":"8867-4"}}]}},"effectiveDateTime":"2024-05-0{1 + n}",'
        f'"valueQuantity":{{"value":{n}.1000000000000000000000}}}}'
    ).encode()


async def fill(fhir: Fhir) -> None:
    """Every method, deletions, a life after death, references forwards, to our own base and to elsewhere, claims."""
    for n, subject in enumerate(["Patient/p1", f"{servers.BASE}/Patient/p1", "http://other.example/Patient/p1"]):
        done(await fhir.put(f"Observation/o{n}", observation(n, subject)))
    await fhir.store(*(patient(n) for n in range(30)))
    done(await fhir.put("Patient/p3", patient(3, gender="female")))
    done(await fhir.put("Patient/p3", patient(3, birthDate="2001-01-01")))
    await fhir.delete("Patient/p4")
    await fhir.delete("Patient/p5")
    done(await fhir.put("Patient/p5", patient(5, gender="male")))
    change = b'[{"op":"replace","path":"/birthDate","value":"1999-09-09"}]'
    done(await fhir.send("PATCH", "Patient/p6", change, content_type="application/json-patch+json"))
    for value in "abc":
        basic = {"resourceType": "Basic", "code": {"text": "x"}, "identifier": [{"value": value}]}
        done(await fhir.post("Basic", basic, if_none_exist=f"identifier={value}"), 201)
    transaction = bundle("transaction", post({"resourceType": "Basic", "code": {"text": "y"}}), put(patient(40)))
    done(await fhir.post("", transaction))


async def everything(fhir: Fhir) -> dict[str, Any]:
    """All that a client can see, as text where bytes count."""
    found: dict[str, Any] = {query: await fhir.ids(f"{query}&_count=1000") for query in SEARCHES}
    history = done(await fhir.get("_history?_count=1000"))
    found["history"] = [(e["fullUrl"], e["request"], e["response"]) for e in history["entry"]]
    assert len(history["entry"]) > 40
    for e in history["entry"]:
        if "resource" in e:
            meta, place = e["resource"]["meta"], f"{e['resource']['resourceType']}/{e['resource']['id']}"
            one = await fhir.get(f"{place}/_history/{meta['versionId']}")
            found[f"{place}/{meta['versionId']}"] = (one.content, one.headers["etag"], one.headers["last-modified"])
    for gone in ("Patient/p4", "Patient/p5/_history/2"):
        found[gone] = (await fhir.get(gone)).status_code
    assert found["Patient/p4"] == 410
    return found


async def test_a_store_moves_to_another_kind_and_back_with_all_that_a_client_can_see(
    first: str, second: str, mongo: str, tmp_path: Path
) -> None:
    async with served(first, tmp_path / "app") as fhir:
        await fill(fhir)
        seen = await everything(fhir)
    said = copied(first, mongo)
    assert "Patient 30" in said and "Basic 4" in said and "Observation 3" in said and "3 claims" in said
    copied(mongo, second)
    async with served(mongo, tmp_path / "app") as fhir:
        assert await everything(fhir) == seen
    async with served(second, tmp_path / "app") as fhir:
        assert await everything(fhir) == seen
        newest = done(await fhir.get("_history?_count=1"))["entry"][0]["resource"]["meta"]["lastUpdated"]
        after = [
            done(await fhir.put("Patient/p3", patient(3, active=True))),
            done(await fhir.put("Patient/p4", patient(4)), 201),
        ]
        assert [r["meta"]["versionId"] for r in after] == ["4", "3"]
        assert newest < after[0]["meta"]["lastUpdated"] <= after[1]["meta"]["lastUpdated"]
        history = done(await fhir.get("_history?_count=2"))["entry"]
        assert [e["resource"]["id"] for e in history] == ["p4", "p3"]
        twice = await fhir.post("Basic", {"resourceType": "Basic", "code": {"text": "x"}}, if_none_exist="identifier=a")
        assert twice.status_code == 200


async def test_a_copy_made_again_brings_what_came_later(first: str, second: str, tmp_path: Path) -> None:
    async with served(first, tmp_path / "app") as fhir:
        await fhir.store(patient(1), patient(2))
    assert "(2 brought" in copied(first, second)
    assert "(0 brought" in copied(first, second)
    async with served(first, tmp_path / "app") as fhir:
        done(await fhir.put("Patient/p1", patient(1, name=[{"family": "neu"}])))
        await fhir.delete("Patient/p2")
    assert "(2 brought" in copied(first, second)
    async with served(second, tmp_path / "app") as fhir:
        assert await fhir.ids("Patient?name=neu") == ["p1"]
        assert await fhir.ids("Patient?name=甲A1") == []
        assert await fhir.ids("Patient") == ["p1"]


def _kept_in_sqlite(url: str) -> int:
    import sqlite3

    path = Path(url.removeprefix("sqlite://")) / "tiercare.sqlite"
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT count(*) FROM log").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        if "connection" in locals():
            connection.close()


@pytest.mark.parametrize("kind", ["sqlite", "mongodb"])
async def test_a_copy_that_is_killed_goes_on_where_it_was(
    kind: str, first: str, second: str, mongo: str, tmp_path: Path
) -> None:
    async with served(first, tmp_path / "app") as fhir:
        for start in range(0, MANY, 500):
            await fhir.store(*(patient(n % 50, id=f"n{n}") for n in range(start, start + 500)))
        done(await fhir.post("", bundle("transaction", *(entry("DELETE", f"Patient/n{n}") for n in range(40)))))
        newest = (await fhir.get("_history?_count=50")).json()["entry"]
    target = second if kind == "sqlite" else mongo
    with MongoClient[dict[str, Any]](mongo) as client:
        database = client.get_default_database()
        kept: Callable[[], int] = (
            (lambda: _kept_in_sqlite(target)) if kind == "sqlite" else database["hist"].estimated_document_count
        )
        reached = 0
        for _ in range(2):
            process = subprocess.Popen(command(first, target), env=ENVIRONMENT, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + SECONDS
            while kept() <= reached and time.monotonic() < deadline:
                assert process.poll() is None, "it ended before it could be killed"
                time.sleep(0.002)
            process.kill()
            process.wait()
            assert reached < kept() < MANY + 40
            reached = kept()
            # the killed process counts as a writer for 30 s: as if they were over
            database["writers"].update_many({}, {"$set": {"until": 0}})
    said = copied(first, target)
    assert f"holds {MANY + 40} versions" in said
    assert f"({MANY + 40 - reached} brought" in said
    assert f"Patient {MANY - 40}" in said
    async with served(target, tmp_path / "app") as fhir:
        assert (await fhir.get("_history?_count=50")).json()["entry"] == newest
        assert await fhir.ids("Patient?_id=n7,n39,n40,n5999") == ["n5999", "n40"]
        assert done(await fhir.get("Patient?birthdate=1950-02-03&_summary=count"))["total"] == MANY // 50 - 1


async def test_a_target_that_holds_other_data_is_refused_and_stays_as_it_is(
    first: str, second: str, tmp_path: Path
) -> None:
    async with served(first, tmp_path / "app") as fhir:
        await fhir.store(patient(1))
    async with served(second, tmp_path / "app") as fhir:
        await fhir.store(patient(2))
        before = (await fhir.get("_history")).json()["entry"]
    assert "other data: Patient/p2" in refused(first, second)
    async with served(second, tmp_path / "app") as fhir:
        assert (await fhir.get("_history")).json()["entry"] == before


async def test_a_target_that_was_written_after_the_copy_is_refused(first: str, second: str, tmp_path: Path) -> None:
    async with served(first, tmp_path / "app") as fhir:
        await fhir.store(patient(1))
    copied(first, second)
    async with served(second, tmp_path / "app") as fhir:
        await fhir.store(patient(2))
    assert "other data: Patient/p2" in refused(first, second)


async def test_source_and_target_that_are_one_store_are_refused(first: str, second: str, tmp_path: Path) -> None:
    async with served(first, tmp_path / "app") as fhir:
        await fhir.store(patient(1))
    assert "the same store" in refused(first, f"sqlite://{tmp_path}/second/../first")
    (tmp_path / "second").symlink_to(tmp_path / "first")
    assert "the same store" in refused(first, second)
    database = "mongodb://user:secret@127.0.0.1:1/x"
    said = refused(database, f"{database}?replicaSet=rs0")
    assert "the same store" in said
    assert "secret" not in said


async def test_a_source_that_is_not_there_is_refused_and_not_made(first: str, second: str, tmp_path: Path) -> None:
    assert "there is no" in refused(first, second)
    assert not (tmp_path / "first").exists()
    assert not (tmp_path / "second").exists()
    async with served(first, tmp_path / "app"):
        pass
    assert "holds nothing" in refused(first, second)


def test_a_sqlite_store_that_is_served_is_not_copied(second: str, tmp_path: Path) -> None:
    with servers.tiercare(tmp_path / "first"):
        for source, target in ((f"sqlite:{tmp_path}/first", second), (second, f"sqlite:{tmp_path}/first")):
            (tmp_path / "second").mkdir(exist_ok=True)
            (tmp_path / "second" / "tiercare.sqlite").touch()
            assert f"another process writes in {tmp_path}/first: stop it" in refused(source, target)
