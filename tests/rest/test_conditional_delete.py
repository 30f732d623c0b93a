"""conditional delete, by one and by many (https://hl7.org/fhir/R4/http.html#3.1.0.7.1)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests import servers
from tests.client import Fhir, Resource, bundle, done, entry, post, put, refused, statuses

MOST = 5


def patient(id: str, value: str, **more: object) -> Resource:
    return {"resourceType": "Patient", "id": id, "identifier": [{"system": "urn:t", "value": value}], **more}


@pytest.fixture
async def many(store_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Fhir]:
    """A client of an app on an empty store where a conditional delete may delete up to MOST resources."""
    url = ""
    if store_kind == "mongodb":
        url = servers.database(request.getfixturevalue("mongodb"), f"many_{uuid4().hex}")
    app = servers.app_on(url, tmp_path, conditional_delete="multiple", delete_max=MOST)
    async with servers.in_process(app) as http:
        yield Fhir(http, servers.BASE)


async def test_the_one_match_is_deleted(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark, mark), patient(f"{mark}b", f"{mark}b"))
    response = await fhir.delete(f"Patient?identifier=urn:t|{mark}")
    assert (response.status_code, response.content, response.headers["etag"]) == (204, b"", 'W/"2"')
    refused(await fhir.get(f"Patient/{mark}"), 410)
    done(await fhir.get(f"Patient/{mark}b"))


async def test_no_match_is_a_delete_of_nothing(fhir: Fhir, mark: str) -> None:
    response = await fhir.delete(f"Patient?identifier=urn:t|{mark}")
    assert (response.status_code, response.content) == (204, b"")
    assert "etag" not in response.headers


async def test_several_matches_are_refused_and_stay(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(f"{mark}a", mark), patient(f"{mark}b", mark))
    assert refused(await fhir.delete(f"Patient?identifier={mark}"), 412)["code"] == "conflict"
    assert len(await fhir.ids(f"Patient?identifier={mark}")) == 2


@pytest.mark.parametrize("criteria", ["nope=1", "_count=1", "_sort=_id", "identifier:wrong=1", "birthdate=soon"])
async def test_criteria_that_are_none_are_refused(face: Fhir, criteria: str) -> None:
    assert refused(await face.delete(f"Patient?{criteria}"), 400)["expression"]


async def test_if_match_holds_for_what_is_found(fhir: Fhir, mark: str) -> None:
    query = f"Patient?identifier=urn:t|{mark}"
    refused(await fhir.delete(query, if_match='W/"1"'), 412)
    await fhir.store(patient(mark, mark))
    refused(await fhir.delete(query, if_match='W/"2"'), 412)
    assert (await fhir.delete(query, if_match='W/"1"')).status_code == 204


async def test_parallel_conditional_deletes_make_one_deletion(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark, mark))
    answers = await asyncio.gather(*(fhir.delete(f"Patient?identifier=urn:t|{mark}") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {204}
    assert done(await fhir.get(f"Patient/{mark}/_history"))["total"] == 2


async def test_what_no_longer_matches_when_the_delete_comes_stays(fhir: Fhir, mark: str) -> None:
    for n in range(10):
        await fhir.store(patient(f"{mark}-{n}", f"{mark}-{n}"))
        removed, moved = await asyncio.gather(
            fhir.delete(f"Patient?identifier=urn:t|{mark}-{n}"),
            fhir.put(f"Patient/{mark}-{n}", patient(f"{mark}-{n}", f"{mark}-moved")),
        )
        assert (removed.status_code, moved.status_code) in ((204, 200), (204, 201))
        done(await fhir.get(f"Patient/{mark}-{n}"))


# --------------------------------------------------------------------------------------------- many, and switched off
async def test_all_matches_are_deleted_where_that_is_the_setting(many: Fhir) -> None:
    await many.store(*(patient(f"a{n}", "x") for n in range(MOST)), patient("other", "y"))
    response = await many.delete("Patient?identifier=urn:t|x")
    assert (response.status_code, response.content) == (204, b"")
    assert await many.ids("Patient") == ["other"]
    statement = done(await many.get("metadata"))
    assert {one["conditionalDelete"] for one in statement["rest"][0]["resource"]} == {"multiple"}


async def test_more_matches_than_the_limit_are_refused_and_stay(many: Fhir) -> None:
    await many.store(*(patient(f"a{n}", "x") for n in range(MOST + 1)))
    issue = refused(await many.delete("Patient?identifier=urn:t|x"), 422)
    assert issue["code"] == "too-costly"
    assert str(MOST) in issue["diagnostics"]
    assert len(await many.ids("Patient")) == MOST + 1


@pytest.mark.parametrize("type", ["batch", "transaction"])
async def test_all_matches_are_deleted_in_a_bundle(many: Fhir, type: str) -> None:
    await many.store(*(patient(f"a{n}", "x") for n in range(3)))
    entries = [
        post({"resourceType": "Patient"}),
        entry("DELETE", "Patient?identifier=urn:t%7Cx"),
        put(patient("b", "b")),
    ]
    answer = done(await many.post("", bundle(type, *entries)))
    assert statuses(answer) == ["201", "204", "201"]
    assert await many.ids("Patient?identifier=urn:t|x") == []


@pytest.mark.parametrize(
    "other",
    [
        put(patient("a1", "changed")),
        put(patient("a1", "x")),
        entry("DELETE", "Patient/a1"),
        entry("DELETE", "Patient?_id=a1"),
        entry("PUT", "Patient?_id=a1", patient("a1", "x")),
        post(patient("new", "x"), ifNoneExist="_id=a1"),
    ],
)
async def test_a_transaction_that_means_one_resource_twice_is_refused(many: Fhir, other: Resource) -> None:
    await many.store(*(patient(f"a{n}", "x") for n in range(3)))
    refused(await many.post("", bundle("transaction", entry("DELETE", "Patient?identifier=x"), other)), 400)
    assert len(await many.ids("Patient?identifier=x")) == 3


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    async with servers.in_process(servers.app_on("", tmp_path, conditional_delete="not-supported")) as http:
        fhir = Fhir(http, servers.BASE)
        assert refused(await fhir.delete("Patient?_id=x"), 501)["code"] == "not-supported"
        answer = done(await fhir.post("", bundle("batch", entry("DELETE", "Patient?_id=x"))))
        assert statuses(answer) == ["501"]


async def test_a_setting_that_is_none_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        async with servers.in_process(servers.app_on("", tmp_path, conditional_delete="some")):
            pass


# ----------------------------------------------------------------------------------------------------- in Bundles
@pytest.mark.parametrize("type", ["batch", "transaction"])
async def test_one_match_and_no_match_in_a_bundle(fhir: Fhir, mark: str, type: str) -> None:
    await fhir.store(patient(mark, mark))
    entries = [entry("DELETE", f"Patient?identifier={mark}"), entry("DELETE", f"Patient?identifier={mark}no")]
    answer = done(await fhir.post("", bundle(type, *entries)))
    assert statuses(answer) == ["204", "204"]
    assert answer["entry"][0]["response"]["etag"] == 'W/"2"'
    refused(await fhir.get(f"Patient/{mark}"), 410)


async def test_several_matches_refuse_the_transaction(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(f"{mark}a", mark), patient(f"{mark}b", mark))
    whole = bundle("transaction", post(patient("x", f"{mark}new")), entry("DELETE", f"Patient?identifier={mark}"))
    assert refused(await fhir.post("", whole), 412)["expression"] == ["Bundle.entry[1]"]
    assert await fhir.ids(f"Patient?identifier={mark}new") == []
