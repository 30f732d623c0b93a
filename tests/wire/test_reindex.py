"""Reindexing by processes of their own: several that agree, one that is killed, and the command."""

import asyncio
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests import servers
from tests.client import Fhir, Resource, done, refused

BLOOD = "urn:example:blood"
PARAMETER: Resource = {
    "resourceType": "SearchParameter",
    "id": "blood",
    "url": "https://example.org/fhir/SearchParameter/blood",
    "name": "Blood",
    "status": "active",
    "description": "Invented for a test",
    "code": "blood",
    "base": ["Patient"],
    "type": "token",
    "expression": f"Patient.extension('{BLOOD}').value.ofType(code)",
}


@pytest.fixture
def store(store_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> list[str]:
    """Options for an empty store of each kind."""
    if store_kind == "mongodb":
        return ["--store", servers.database(request.getfixturevalue("mongodb"), f"reindex_{tmp_path.name}")]
    return []


def patient(id: str, blood: str) -> Resource:
    return {"resourceType": "Patient", "id": id, "extension": [{"url": BLOOD, "valueCode": blood}]}


def place(task: Resource) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(task["input"][0]["valueString"])
    return found


async def state(fhir: Fhir) -> Resource:
    answer = await fhir.get("Task/reindex-blood")
    return done(answer) if answer.status_code == 200 else {}


async def finished(fhir: Fhir) -> Resource:
    for _ in range(600):
        task = await state(fhir)
        if task and task["status"] == "completed":
            return task
        await asyncio.sleep(0.1)
    raise AssertionError(f"the reindex does not end: {task}")


async def test_a_reindex_that_was_killed_goes_on_where_it_was(store: list[str], tmp_path: Path) -> None:
    many = 800 if store else 3000  # some seconds of work on each
    async with httpx.AsyncClient(timeout=60) as http:
        with servers.tiercare(tmp_path, *store) as server:
            fhir = Fhir(http, server.base)
            await fhir.store(*(patient(f"p{n}", "AB"[n % 2]) for n in range(many)))
            done(await fhir.put("SearchParameter/blood", PARAMETER), 201)
            while not ((task := await state(fhir)) and 0 < place(task)["seen"] < many):
                assert not task or place(task)["phase"] == "walk", "it was too fast to be killed in the middle"
                await asyncio.sleep(0.01)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
        killed = place(task)
        with servers.tiercare(tmp_path, *store) as server:
            fhir = Fhir(http, server.base)
            refused(await fhir.get("Patient?blood=A"), 503)
            last = await finished(fhir)
            versions = done(await fhir.get(f"Task/{last['id']}/_history?_count=1000"))["entry"]
            places = [place(entry["resource"]) for entry in versions]
            later = [one for one in places if one["runner"] not in ("", killed["runner"]) and one["phase"] == "walk"]
            assert later and min(one["seen"] for one in later) >= killed["seen"]
            assert place(last)["begun"] == killed["begun"] and place(last)["checked"] == many
            await asyncio.sleep(1)
            for letter in "AB":
                page = done(await fhir.get(f"Patient?blood={letter}&_summary=count"))
                assert page["total"] == many // 2


async def test_workers_agree_on_a_parameter_and_none_writes_without_it(store: list[str], tmp_path: Path) -> None:
    with servers.several(tmp_path, *store) as server:
        async with AsyncExitStack() as stack:
            clients = [
                Fhir(await stack.enter_async_context(httpx.AsyncClient(timeout=60)), server.base) for _ in "abcd"
            ]
            await clients[0].store(*(patient(f"p{n}", "A") for n in range(200)))
            done(await clients[0].put("SearchParameter/blood", PARAMETER), 201)
            true = {f"p{n}": "A" for n in range(200)}
            number = 0
            while not ((task := await state(clients[0])) and task["status"] == "completed"):
                id, blood = f"p{number % 200}", "BCD"[number % 3]
                answer = await clients[number % 4].put(f"Patient/{id}", patient(id, blood))
                assert answer.status_code in (200, 201), answer.text
                true[id], number = blood, number + 1
                assert number < 100_000
            await asyncio.sleep(1)
            assert place(task)["repaired"] == 0 and number > 20
            for fhir in clients * 2:
                for letter in "ABCD":
                    expected = {id for id, blood in true.items() if blood == letter}
                    assert set(await fhir.ids(f"Patient?blood={letter}&_count=1000")) == expected, letter
            done(await clients[1].delete("SearchParameter/blood"), 204)
            await asyncio.sleep(1)
            for fhir in clients * 2:
                refused(await fhir.get("Patient?blood=A"), 400)


async def test_the_command_indexes_what_an_older_server_did_not(store: list[str], tmp_path: Path) -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'
    async with httpx.AsyncClient(timeout=60) as http:
        with servers.tiercare(tmp_path, *store, environment={"TIERCARE_TEXT_SEARCH": "off"}) as server:
            for n in range(30):
                text = {"status": "generated", "div": div.format(f"patient number{n}")}
                one = {"resourceType": "Patient", "id": f"p{n}", "text": text}
                done(await Fhir(http, server.base).put(f"Patient/p{n}", one), 201)
        command = [sys.executable, "-m", "server", "reindex", *(store or ["--data", str(tmp_path)])]
        for _ in range(2):  # doing it twice changes nothing
            ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=120)
            assert ended.returncode == 0, ended.stderr
            assert "31 resources indexed anew" in ended.stdout or "30 resources indexed anew" in ended.stdout
        with servers.tiercare(tmp_path, *store) as server:
            fhir = Fhir(http, server.base)
            assert await fhir.ids("Patient?_text=number7") == ["p7"]
            assert done(await fhir.get("Task/reindex.everything"))["status"] == "completed"
