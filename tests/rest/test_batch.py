"""batch: each entry for itself (https://hl7.org/fhir/R4/http.html#transaction)."""

from pathlib import Path

import pytest

from tests import servers
from tests.client import Fhir, Resource, bundle, done, entry, included, post, put, refused, statuses

PATIENT = {"resourceType": "Patient"}


async def batch(fhir: Fhir, *entries: Resource) -> Resource:
    return done(await fhir.post("", bundle("batch", *entries)), 200)


async def test_every_interaction_of_a_batch_answers_as_it_would_alone(fhir: Fhir, mark: str) -> None:
    await fhir.store(PATIENT | {"id": f"{mark}a"}, PATIENT | {"id": f"{mark}b"})
    answer = await batch(
        fhir,
        entry("GET", f"Patient/{mark}a"),
        entry("GET", f"Patient/{mark}a/_history/1"),
        entry("GET", f"Patient/{mark}a/_history"),
        entry("GET", f"Patient?_id={mark}a,{mark}b&_sort=_id"),
        post(PATIENT),
        put(PATIENT | {"id": f"{mark}b", "gender": "male"}),
        entry("DELETE", f"Patient/{mark}a"),
        entry("GET", f"Patient/{mark}a"),
    )
    assert answer["type"] == "batch-response"
    assert statuses(answer) == ["200", "200", "200", "200", "201", "200", "204", "410"]
    read, vread, history, search, *_ = (e["resource"] for e in answer["entry"] if "resource" in e)
    assert read == vread
    assert (history["type"], search["type"]) == ("history", "searchset")
    assert [e["resource"]["id"] for e in search["entry"]] == [f"{mark}a", f"{mark}b"]


async def test_entries_that_fail_leave_the_others_alone(fhir: Fhir, mark: str) -> None:
    good = PATIENT | {"identifier": [{"value": mark}]}
    wrong = {
        "400": [
            post({**PATIENT, "colour": "red"}),
            entry("GET", "Patient?nope=1"),
            entry("POST", "Nope", PATIENT),
            entry("GET", "Patient/a_b"),
            entry("POST", "Patient"),
            entry("PUT", "Patient", PATIENT),
            entry("DELETE", "Patient"),
            entry("DELETE", "Patient?_count=1"),
            {"resource": PATIENT},
            post(PATIENT, ifNoneExist="nope=1"),
        ],
        "404": [
            entry("GET", f"Patient/{mark}"),
            entry("PATCH", f"Patient/{mark}", {"resourceType": "Parameters"}),
        ],
        "412": [entry("PUT", f"Patient/{mark}", PATIENT | {"id": mark}, ifMatch='W/"1"')],
        "501": [entry("HEAD", f"Patient/{mark}")],
    }
    flat = [(status, one) for status, entries in wrong.items() for one in entries]
    answer = await batch(fhir, post(good), *(one for _, one in flat), post(good))
    assert statuses(answer) == ["201", *(status for status, _ in flat), "201"]
    for number, failed in enumerate(answer["entry"][1:-1], 1):
        outcome = failed["response"]["outcome"]
        assert outcome["resourceType"] == "OperationOutcome"
        assert outcome["issue"][0]["expression"][0].startswith(f"Bundle.entry[{number}]"), outcome
    assert len(await fhir.ids(f"Patient?identifier={mark}")) == 2


async def test_a_batch_search_includes(fhir: Fhir, mark: str) -> None:
    await fhir.store(
        PATIENT | {"id": mark},
        {"resourceType": "Observation", "id": mark, "status": "final", "code": {"text": "x"},
         "subject": {"reference": f"Patient/{mark}"}},
    )  # fmt: skip
    answer = await batch(fhir, entry("GET", f"Observation?_id={mark}&_include=Observation:subject"))
    assert included(answer["entry"][0]["resource"]) == [f"Patient/{mark}"]


async def test_search_criteria_in_a_batch_may_be_percent_encoded(fhir: Fhir, mark: str) -> None:
    await fhir.store(PATIENT | {"id": mark, "name": [{"family": "王"}]})
    answer = await batch(fhir, entry("GET", f"Patient?family=%E7%8E%8B&_id={mark}"))
    assert answer["entry"][0]["resource"]["total"] == 1


async def test_criteria_in_a_batch_that_are_not_utf8_are_refused(face: Fhir) -> None:
    assert statuses(await batch(face, entry("GET", "Patient?family=%FF"))) == ["400"]


@pytest.mark.parametrize("type", ["batch", "transaction"])
async def test_too_many_entries_are_refused_with_the_limit(tmp_path: Path, type: str) -> None:
    async with servers.in_process(servers.app_on("", tmp_path, bundle_entries_max=3)) as http:
        fhir = Fhir(http, servers.BASE)
        assert statuses(done(await fhir.post("", bundle(type, *[post(PATIENT)] * 3)))) == ["201"] * 3
        issue = refused(await fhir.post("", bundle(type, *[post(PATIENT)] * 4)), 413)
        assert (issue["code"], issue["expression"]) == ("too-long", ["Bundle.entry"])
        assert "3" in issue["diagnostics"]
        assert len(await fhir.ids("Patient")) == 3
