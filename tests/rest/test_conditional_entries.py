"""If-None-Match of writes, conditional reads in Bundles, and GETs that fail in a transaction
(https://hl7.org/fhir/R4/http.html#cread, #transaction)."""

import asyncio

import pytest

from tests.client import Fhir, Resource, bundle, done, entry, put, refused, statuses, version_of

PATIENT = {"resourceType": "Patient"}


def patient(id: str, **more: object) -> Resource:
    return {**PATIENT, "id": id, "identifier": [{"value": id}], **more}


# ----------------------------------------------------------------------------------------------- If-None-Match: *
async def test_an_update_that_wants_nothing_there_creates_and_does_not_overwrite(fhir: Fhir, mark: str) -> None:
    done(await fhir.put(f"Patient/{mark}", patient(mark), if_none_match="*"), 201)
    for body in (patient(mark), patient(mark, active=True)):
        issue = refused(await fhir.put(f"Patient/{mark}", body, if_none_match="*"), 412)
        assert issue["expression"] == ["http.If-None-Match"]
    assert version_of(await fhir.get(f"Patient/{mark}")) == 1
    await fhir.delete(f"Patient/{mark}")
    done(await fhir.put(f"Patient/{mark}", patient(mark), if_none_match="*"), 201)


async def test_a_conditional_update_that_wants_nothing_there_creates_once(fhir: Fhir, mark: str) -> None:
    body = {name: value for name, value in patient(mark).items() if name != "id"}
    done(await fhir.put(f"Patient?identifier={mark}", body, if_none_match="*"), 201)
    refused(await fhir.put(f"Patient?identifier={mark}", {**body, "active": True}, if_none_match="*"), 412)


async def test_of_updates_at_once_that_want_nothing_there_one_wins(fhir: Fhir, mark: str) -> None:
    answers = await asyncio.gather(
        *(fhir.put(f"Patient/{mark}", patient(mark, language=f"x-{n}"), if_none_match="*") for n in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [412] * 7
    assert version_of(await fhir.get(f"Patient/{mark}")) == 1


@pytest.mark.parametrize("tag", ['W/"1"', '"*"', "x", "*, *"])
async def test_another_if_none_match_of_an_update_is_refused(fhir: Fhir, mark: str, tag: str) -> None:
    issue = refused(await fhir.put(f"Patient/{mark}", patient(mark), if_none_match=tag), 400)
    assert issue["expression"] == ["http.If-None-Match"]
    refused(await fhir.get(f"Patient/{mark}"), 404)


async def test_it_holds_in_bundles(fhir: Fhir, mark: str) -> None:
    def one(tag: str) -> Resource:
        return entry("PUT", f"Patient/{mark}", patient(mark), ifNoneMatch=tag)

    for type in ("batch", "transaction"):
        response = await fhir.post("", bundle(type, one('W/"1"')))
        assert response.status_code == 400 or statuses(response.json()) == ["400"]
    assert statuses(done(await fhir.post("", bundle("transaction", one("*"))))) == ["201"]
    assert statuses(done(await fhir.post("", bundle("batch", one("*"))))) == ["412"]
    issue = refused(await fhir.post("", bundle("transaction", put(patient(f"{mark}b")), one("*"))), 412)
    assert issue["expression"] == ["Bundle.entry[1]"]
    refused(await fhir.get(f"Patient/{mark}b"), 404)


# -------------------------------------------------------------------------------------------------- conditional reads
@pytest.mark.parametrize("type", ["batch", "transaction"])
async def test_a_get_entry_of_what_has_not_changed_is_304_without_the_resource(
    fhir: Fhir, mark: str, type: str
) -> None:
    await fhir.store(patient(mark))
    url = f"Patient/{mark}"
    rows = [
        ({"ifNoneMatch": 'W/"1"'}, "304"), ({"ifNoneMatch": 'W/"7", "1"'}, "304"), ({"ifNoneMatch": "*"}, "304"),
        ({"ifNoneMatch": 'W/"2"'}, "200"), ({"ifNoneMatch": "x"}, "200"),
        ({"ifModifiedSince": "2038-01-01T00:00:00Z"}, "304"), ({"ifModifiedSince": "2000-01-01T00:00:00+08:00"}, "200"),
        ({"ifNoneMatch": 'W/"2"', "ifModifiedSince": "2038-01-01T00:00:00Z"}, "200"),
    ]  # fmt: skip
    answer = done(await fhir.post("", bundle(type, *(entry("GET", url, **request) for request, _ in rows))))
    assert statuses(answer) == [status for _, status in rows]
    for found in answer["entry"]:
        assert found["response"]["etag"] == 'W/"1"'
        assert ("resource" in found) == (found["response"]["status"] == "200 OK")


async def test_a_time_of_a_get_entry_that_is_none_is_refused(face: Fhir, mark: str) -> None:
    await face.store(patient(mark))
    for time in ("yesterday", "2024-02-30T00:00:00Z", "Sat, 29 Oct 1994 19:43:31 GMT"):
        whole = bundle("transaction", entry("GET", f"Patient/{mark}", ifModifiedSince=time))
        assert refused(await face.post("", whole), 400)["expression"] == ["Bundle.entry[0].request.ifModifiedSince"]


# -------------------------------------------------------------------------------------- GETs that fail in a transaction
FAILING = {
    "what is not there": ("Patient/{}nobody", 404),
    "what is deleted": ("Patient/{}gone", 410),
    "what this transaction deletes": ("Patient/{}goes", 410),
    "a version that is not there": ("Patient/{}old/_history/9", 404),
    "a version that this transaction does not make": ("Patient/{}new/_history/2", 404),
    "a history of what is not there": ("Patient/{}nobody/_history", 404),
    "a parameter that is none": ("Patient?nope={}", 400),
    "a parameter of a history that is none": ("Patient/{}old/_history?nope=1", 400),
    "a summary that is none": ("Patient/{}new?_summary=x", 400),
}


@pytest.mark.parametrize("what", FAILING)
async def test_a_get_that_fails_refuses_the_transaction(fhir: Fhir, mark: str, what: str) -> None:
    url, status = FAILING[what]
    await fhir.store(*(patient(mark + name) for name in ("old", "goes", "gone")))
    await fhir.delete(f"Patient/{mark}gone")
    whole = bundle(
        "transaction",
        put(patient(f"{mark}new")),
        entry("DELETE", f"Patient/{mark}goes"),
        entry("GET", url.format(mark)),
    )
    issue = refused(await fhir.post("", whole), status)
    assert issue["expression"][0].startswith("Bundle.entry[2]")
    refused(await fhir.get(f"Patient/{mark}new"), 404)
    done(await fhir.get(f"Patient/{mark}goes"))


async def test_gets_of_a_transaction_see_what_it_writes(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(f"{mark}old"), patient(f"{mark}goes"))
    urls = [
        "Patient/{}new",
        "Patient/{}new/_history/1",
        "Patient/{}new/_history",
        "Patient/{}old",
        "Patient/{}old/_history/2",
        "Patient/{}old/_history/1",
        "Patient/{}goes/_history",
        "Patient?active=true&_id={}old",
    ]
    writes = [
        put(patient(f"{mark}new")),
        put(patient(f"{mark}old", active=True)),
        entry("DELETE", f"Patient/{mark}goes"),
    ]
    gets = [entry("GET", url.format(mark)) for url in urls]
    answer = done(await fhir.post("", bundle("transaction", *gets, *writes)))
    assert statuses(answer) == ["200"] * len(urls) + ["201", "200", "204"]
    assert answer["entry"][3]["resource"]["active"] is True
    assert answer["entry"][7]["resource"]["total"] == 1
