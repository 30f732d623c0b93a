"""search: what takes too long is told, what is not asked for is not built, and a plan says nothing of a patient
(https://hl7.org/fhir/R4/search.html#total, #summary, #count)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from server.errors import Invalid
from server.store.mongo.store import MongoStore
from server.store.sqlite.store import SqliteStore
from tests import servers
from tests.client import Fhir, bundle, done, post, refused

MANY = {"sqlite": 600, "mongodb": 3}  # so many that the store looks at its clock: SQLite every 2000 steps
NO_TIME = 1e-9  # seconds


def patients(count: int) -> list[dict[str, Any]]:
    return [
        {"resourceType": "Patient", "name": [{"family": f"Secret{n}"}], "birthDate": f"19{n % 90 + 10}-01-01"}
        for n in range(count)
    ]


async def filled(fhir: Fhir, count: int) -> None:
    done(await fhir.post("", bundle("transaction", *(post(patient) for patient in patients(count)))))


@pytest.fixture
async def hurried(store_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Fhir]:
    """An app whose searches have no time at all."""
    url = ""
    if store_kind == "mongodb":
        url = servers.database(request.getfixturevalue("mongodb"), f"hurried_{uuid4().hex}")
    async with servers.in_process(servers.app_on(url, tmp_path, query_timeout=NO_TIME)) as http:
        yield Fhir(http, servers.BASE)


@pytest.fixture
async def explaining(store_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Fhir]:
    url = ""
    if store_kind == "mongodb":
        url = servers.database(request.getfixturevalue("mongodb"), f"explaining_{uuid4().hex}")
    async with servers.in_process(servers.app_on(url, tmp_path, explain=True)) as http:
        yield Fhir(http, servers.BASE)


SLOW = ("Patient?name:contains=none", "Patient?name:contains=none&_summary=count", "Patient?_sort=family&_count=1")


@pytest.mark.parametrize("query", SLOW)
async def test_a_search_out_of_time_is_answered_so(hurried: Fhir, store_kind: str, query: str) -> None:
    await filled(hurried, MANY[store_kind])
    issue = refused(await hurried.get(query), 422)
    assert issue["code"] == "timeout"
    assert "query_timeout" in issue["diagnostics"]


async def test_what_a_key_answers_has_no_clock(hurried: Fhir) -> None:
    stored = await hurried.create({"resourceType": "Patient"})
    assert done(await hurried.get(f"Patient/{stored['id']}"))["id"] == stored["id"]


async def test_a_time_limit_of_nothing_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises((Invalid, RuntimeError), match="query_timeout"):
        async with servers.in_process(servers.app_on("", tmp_path, query_timeout=0)):
            pass


# ---------------------------------------------------------------------------------------------------- totals
async def test_a_total_is_counted_only_when_it_is_asked_for(empty: Fhir) -> None:
    await filled(empty, 5)
    for asked, total in (("", None), ("&_total=none", None), ("&_total=estimate", 5), ("&_total=accurate", 5)):
        assert done(await empty.get(f"Patient?_count=2{asked}")).get("total") == total, asked


async def test_an_estimate_that_takes_too_long_is_left_out(empty: Fhir, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(empty, 3)
    for store in (SqliteStore, MongoStore):
        monkeypatch.setattr(store, "count", _out_of_time)
    assert "total" not in done(await empty.get("Patient?_count=2&_total=estimate"))
    assert refused(await empty.get("Patient?_count=2&_total=accurate"), 422)["code"] == "timeout"


async def _out_of_time(*_: object) -> int:
    from server.store.port import out_of_time

    raise out_of_time(1)


@pytest.mark.parametrize("asked", ["_count=0", "_summary=count"])
async def test_a_count_builds_no_list(empty: Fhir, monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    await filled(empty, 5)

    async def select(*_: object) -> None:
        raise AssertionError("a list was asked for")

    for store in (SqliteStore, MongoStore):
        monkeypatch.setattr(store, "select", select)
    page = done(await empty.get(f"Patient?name=secret&{asked}"))
    assert page["total"] == 5
    assert "entry" not in page


# ----------------------------------------------------------------------------------------------------- plans
QUERIES = (
    "Patient?identifier=urn:x|Secret1",
    "Patient?name=Secret1&gender=male",
    "Patient?birthdate=ge1950-01-01&_sort=birthdate",
    "Observation?subject:Patient.name=Secret1",
    "Patient?_has:Observation:subject:code=Secret1",
    "Patient?name:contains=Secret1,Secret2",
    "Patient?_id=Secret1&_lastUpdated=gt1950-01-01",
    "Observation?component-code-value-quantity=Secret1$1950",
    "Patient?_text=Secret1",
)


@pytest.mark.parametrize("query", QUERIES)
async def test_a_plan_is_shown_without_any_value(explaining: Fhir, query: str) -> None:
    await filled(explaining, 3)
    outcome = done(await explaining.get(f"{query}&_explain=true"))
    assert outcome["resourceType"] == "OperationOutcome"
    said = [issue["diagnostics"] for issue in outcome["issue"]]
    assert said[0] in ("store: sqlite", "store: mongodb")
    assert "leads" in said[1] or "leading criterion: " in said[1]
    assert said[2].startswith("statement: ")
    assert not [line for line in said if "secret" in line.lower() or "1950" in line]


async def test_a_plan_names_what_leads_and_how_many_rows_it_has(explaining: Fhir) -> None:
    await explaining.create({"resourceType": "Patient", "identifier": [{"value": "x"}], "active": True})
    outcome = done(await explaining.get("Patient?active=true&identifier=x&_explain=true"))
    leading = outcome["issue"][1]["diagnostics"]
    assert leading.startswith("leading criterion: ")
    assert leading.endswith(", 1 rows")


async def test_explain_false_is_an_ordinary_search(explaining: Fhir) -> None:
    assert done(await explaining.get("Patient?_explain=false"))["resourceType"] == "Bundle"


async def test_a_plan_is_shown_in_a_batch_too(explaining: Fhir) -> None:
    asked = {"request": {"method": "GET", "url": "Patient?_explain=true"}}
    answer = done(await explaining.post("", bundle("batch", asked)))
    assert answer["entry"][0]["resource"]["resourceType"] == "OperationOutcome"


async def test_plans_are_not_shown_unless_the_server_is_told_to(face: Fhir) -> None:
    issue = refused(await face.get("Patient?_explain=true"), 501)
    assert "setting explain" in issue["diagnostics"]


async def test_a_plan_is_of_one_type(explaining: Fhir) -> None:
    assert refused(await explaining.get("?_type=Patient,Observation&_explain=true"), 501)["expression"] == ["_explain"]


async def test_explain_takes_true_or_false(face: Fhir) -> None:
    assert refused(await face.get("Patient?_explain=maybe"), 400)["expression"] == ["_explain"]
