"""Operations called by entries of a batch or transaction, and the requests that ask not to be waited for."""

from typing import Any

import pytest

from tests.client import Fhir, Resource, bundle, done, entry, post, refused, statuses

TAG = {"system": "http://example.org/tags", "code": "in-bundle"}
ADD_TAG = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [TAG]}}]}
BAD = {"resourceType": "Patient", "gender": "girl"}


def resources(answer: Resource) -> list[Any]:
    return [one.get("resource") for one in answer["entry"]]


async def patient(fhir: Fhir) -> str:
    return f"Patient/{(await fhir.create({'resourceType': 'Patient'}))['id']}"


async def test_a_batch_calls_operations_by_get_and_by_post(fhir: Fhir) -> None:
    path = await patient(fhir)
    sent = bundle(
        "batch",
        entry("GET", f"{path}/$meta"),
        entry("GET", f"{path}/$validate?mode=delete"),
        entry("POST", "Patient/$validate", BAD),
        entry("POST", f"{path}/$meta-add", ADD_TAG),
        entry("GET", f"{path}/_history/1/$meta"),
    )
    answer = done(await fhir.post("", sent))
    assert statuses(answer) == ["200"] * 5
    found = resources(answer)
    assert [one["resourceType"] for one in found] == [
        "Parameters", "OperationOutcome", "OperationOutcome", "Parameters", "Parameters",
    ]  # fmt: skip
    assert found[2]["issue"][0]["code"] == "code-invalid"
    assert done(await fhir.get(path))["meta"]["tag"] == [TAG]


async def test_a_failing_operation_of_a_batch_leaves_the_others_alone(fhir: Fhir) -> None:
    path = await patient(fhir)
    sent = bundle(
        "batch",
        entry("GET", f"{path}/$guess"),
        entry("GET", "Patient/nobody/$meta"),
        entry("GET", f"{path}/$meta-add"),
        entry("PUT", f"{path}/$meta", BAD),
        entry("GET", f"{path}/$meta", BAD),
        entry("GET", f"{path}/$meta/more"),
        entry("GET", "Nothing/$meta"),
        entry("GET", "Patient/a%20b/$meta"),
        entry("POST", "Patient/$validate"),
        entry("GET", f"{path}/$meta?x=1"),
        entry("GET", f"{path}/$meta"),
    )
    answer = done(await fhir.post("", sent))
    assert statuses(answer) == ["501", "404", "405", "405", "400", "400", "400", "400", "400", "400", "200"]
    for number, one in enumerate(answer["entry"][:-1]):
        assert one["response"]["outcome"]["issue"][0]["expression"][0].startswith(f"Bundle.entry[{number}]")


async def test_operations_that_only_read_see_the_writes_of_their_transaction(fhir: Fhir, mark: str) -> None:
    sent = bundle(
        "transaction",
        entry("GET", f"Basic/{mark}/$meta"),
        entry("POST", "Patient/$validate", BAD),
        entry(
            "PUT", f"Basic/{mark}", {"resourceType": "Basic", "id": mark, "code": {"text": "x"}, "meta": {"tag": [TAG]}}
        ),
    )
    answer = done(await fhir.post("", sent))
    assert statuses(answer) == ["200", "200", "201"]
    assert resources(answer)[0]["parameter"][0]["valueMeta"]["tag"] == [TAG]
    assert resources(answer)[1]["issue"][0]["code"] == "code-invalid"


async def test_an_operation_that_writes_is_refused_in_a_transaction_and_nothing_is_written(
    fhir: Fhir, mark: str
) -> None:
    path = await patient(fhir)
    sent = bundle(
        "transaction",
        post({"resourceType": "Basic", "code": {"text": "x"}, "identifier": [{"value": mark}]}),
        entry("POST", f"{path}/$meta-add", ADD_TAG),
    )
    issue = refused(await fhir.post("", sent), 501)
    assert issue["expression"] == ["Bundle.entry[1].request.url"]
    assert "meta-add" in issue["diagnostics"]
    assert await fhir.ids(f"Basic?identifier={mark}") == []
    assert "tag" not in done(await fhir.get(path))["meta"]


@pytest.mark.parametrize("prefer", ["respond-async", "return=minimal, respond-async", "Respond-Async; wait=10"])
async def test_respond_async_is_refused_on_bundles_and_operations(fhir: Fhir, mark: str, prefer: str) -> None:
    sent = bundle("batch", post({"resourceType": "Basic", "code": {"text": "x"}, "identifier": [{"value": mark}]}))
    for answer in (
        await fhir.post("", sent, prefer=prefer),
        await fhir.post("", {**sent, "type": "transaction"}, prefer=prefer),
        await fhir.get("Basic/$meta", prefer=prefer),
        await fhir.post("Patient/$validate", BAD, prefer=prefer),
    ):
        issue = refused(answer, 501)
        assert issue["expression"] == ["http.Prefer"]
        assert "without it" in issue["diagnostics"]
    assert await fhir.ids(f"Basic?identifier={mark}") == []
