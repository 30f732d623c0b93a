"""$expunge: guarded, certified, and what is left when versions have gone for good."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests import servers
from tests.client import Fhir, Resource, bundle, done, entry, refused, statuses

Serving = Callable[..., AbstractAsyncContextManager[Fhir]]


@pytest.fixture
def serving(store_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Serving:
    """An app on an empty store of each kind, with settings."""
    url = ""
    if store_kind == "mongodb":
        url = servers.database(request.getfixturevalue("mongodb"), f"expunge_{uuid4().hex}")

    @asynccontextmanager
    async def serve(**settings: Any) -> AsyncIterator[Fhir]:
        async with servers.in_process(servers.app_on(url, tmp_path, **settings)) as http:
            yield Fhir(http, servers.BASE)

    return serve


@pytest.fixture
async def able(serving: Serving) -> AsyncIterator[Fhir]:
    """With $expunge switched on, at most five versions a call."""
    async with serving(expunge=True, expunge_max=5) as fhir:
        yield fhir


def sent(
    versions: int | None, scope: str = "everything", reason: str | None = "asked by the patient", **more: Any
) -> Resource:
    given: list[Resource] = [{"name": "scope", "valueCode": scope}] if scope else []
    if versions is not None:
        given.append({"name": "versions", "valueUnsignedInt": versions})
    if reason is not None:
        given.append({"name": "reason", "valueString": reason})
    given += [{"name": n, "valueBoolean" if isinstance(v, bool) else "valuePositiveInt": v} for n, v in more.items()]
    return {"resourceType": "Parameters", "parameter": given}


async def patient(fhir: Fhir, id: str, versions: int = 3, **more: Any) -> list[bytes]:
    """The bodies of its versions, oldest first."""
    bodies = []
    for number in range(versions):
        body = {"resourceType": "Patient", "id": id, "identifier": [{"value": f"{id}-{number}"}], **more}
        done(await fhir.put(f"Patient/{id}", body))
        bodies.append((await fhir.get(f"Patient/{id}")).content)
    return bodies


def sums(event: Resource) -> dict[str, str]:
    """The SHA-256 that a certificate has for each version."""
    return {
        one["what"]["reference"]: detail["valueString"]
        for one in event["entity"]
        for detail in one["detail"]
        if detail["type"] == "SHA-256"
    }


# ---------------------------------------------------------------------------------------------------- what it does
async def test_previous_versions_go_and_the_current_one_stays(able: Fhir) -> None:
    bodies = await patient(able, "p")
    done(await able.post("Patient/p/$expunge", sent(2, "previous-versions")))
    assert (await able.get("Patient/p")).content == bodies[2]
    for version in (1, 2):
        refused(await able.get(f"Patient/p/_history/{version}"), 404)
    history = done(await able.get("Patient/p/_history"))
    assert [one["resource"]["meta"]["versionId"] for one in history["entry"]] == ["3"]
    assert await able.ids("Patient?identifier=p-2") == ["p"]
    refused(await able.post("Patient/p/$expunge", sent(0, "previous-versions")), 422)


async def test_everything_of_a_resource_goes_and_only_its_deletion_is_left(able: Fhir) -> None:
    await patient(able, "p")
    done(await able.post("Patient/p/$expunge", sent(3)))
    refused(await able.get("Patient/p"), 410)
    for version in (1, 2, 3):
        refused(await able.get(f"Patient/p/_history/{version}"), 404)
    for path in ("Patient/p/_history", "Patient/_history"):
        assert [one["request"]["method"] for one in done(await able.get(path))["entry"]] == ["DELETE"]
    assert await able.ids("Patient") == []
    assert await able.ids("Patient?identifier=p-2") == []
    refused(await able.post("Patient/p/$expunge", sent(0)), 422)
    back = await able.put("Patient/p", {"resourceType": "Patient", "id": "p"})
    assert (back.status_code, back.headers["etag"]) == (201, 'W/"5"')


async def test_what_came_before_a_deletion_goes(able: Fhir) -> None:
    await patient(able, "p")
    await able.delete("Patient/p")
    event = done(await able.post("Patient/p/$expunge", sent(3)))
    assert len(sums(event)) == 3
    refused(await able.get("Patient/p"), 410)
    assert len(done(await able.get("Patient/p/_history"))["entry"]) == 1


async def test_of_a_type_only_what_is_deleted_goes_the_oldest_deletion_first(able: Fhir) -> None:
    for id in ("a", "b", "c", "living", "back"):
        await patient(able, id, 1)
    for id in ("b", "a", "back", "c"):
        await able.delete(f"Patient/{id}")
    await patient(able, "back", 1)
    refused(await able.post("Patient/$expunge", sent(4, "")), 412)
    first = done(await able.post("Patient/$expunge", sent(2, "", limit=2)))
    assert list(sums(first)) == ["Patient/b/_history/1", "Patient/a/_history/1"]
    second = done(await able.post("Patient/$expunge", sent(1, "everything")))
    assert list(sums(second)) == ["Patient/c/_history/1"]
    refused(await able.post("Patient/$expunge", sent(0, "")), 422)
    assert sorted(await able.ids("Patient")) == ["back", "living"]
    assert len(done(await able.get("Patient/back/_history"))["entry"]) == 3


# --------------------------------------------------------------------------------------------------- the certificate
async def test_the_certificate_names_each_version_with_its_sum_and_is_stored(able: Fhir) -> None:
    bodies = await patient(able, "p")
    answer = await able.post("Patient/p/$expunge", sent(3))
    event = done(answer)
    assert sums(event) == {
        f"Patient/p/_history/{number}": hashlib.sha256(body).hexdigest() for number, body in enumerate(bodies, 1)
    }
    assert event["resourceType"] == "AuditEvent"
    assert (event["action"], event["outcome"]) == ("D", "0")
    assert event["purposeOfEvent"] == [{"text": "asked by the patient"}]
    assert event["recorded"]
    assert event["agent"][0]["who"]["display"]
    assert {one["lifecycle"]["code"] for one in event["entity"]} == {"15"}
    assert done(await able.get(answer.headers["location"])) == event
    assert await able.ids("AuditEvent?entity=Patient/p") == [event["id"]]
    issues = done(await able.post("AuditEvent/$validate", event))["issue"]
    assert [issue["severity"] for issue in issues] == ["information"]


async def test_another_number_of_versions_removes_nothing_and_the_right_one_is_named(able: Fhir) -> None:
    await patient(able, "p")
    for scope, wrong, right in (("everything", 0, 3), ("everything", 4, 3), ("previous-versions", 3, 2)):
        issue = refused(await able.post("Patient/p/$expunge", sent(wrong, scope)), 412)
        assert f"but {right} would be removed" in issue["diagnostics"]
        assert issue["expression"] == ["versions"]
    assert await able.ids("AuditEvent") == []
    assert len(done(await able.get("Patient/p/_history"))["entry"]) == 3


async def test_of_many_calls_for_the_same_versions_one_gets_the_certificate(able: Fhir) -> None:
    await patient(able, "p")
    answers = await asyncio.gather(*(able.post("Patient/p/$expunge", sent(3)) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [422] * 7
    assert len(await able.ids("AuditEvent")) == 1


# -------------------------------------------------------------------------------------------------------- guards
async def test_it_is_off_by_default_and_says_how_to_switch_it_on(fhir: Fhir) -> None:
    created = await fhir.create({"resourceType": "Patient"})
    for path in (f"Patient/{created['id']}/$expunge", "Patient/$expunge"):
        assert "TIERCARE_EXPUNGE" in refused(await fhir.post(path, sent(1)), 403)["diagnostics"]
    done(await fhir.get(f"Patient/{created['id']}"))


async def test_a_resource_that_others_refer_to_goes_only_by_force(able: Fhir) -> None:
    await patient(able, "p", 1)
    await able.store(
        {
            "resourceType": "Encounter",
            "id": "e",
            "status": "planned",
            "class": {"code": "AMB"},
            "subject": {"reference": "Patient/p"},
        }
    )
    issue = refused(await able.post("Patient/p/$expunge", sent(1)), 422)
    assert "Encounter/e" in issue["diagnostics"]
    done(await able.get("Patient/p"))
    done(await able.post("Patient/p/$expunge", sent(1, force=True)))
    refused(await able.get("Patient/p"), 410)


async def test_references_that_are_gone_or_audits_or_its_own_do_not_hold_a_resource(able: Fhir) -> None:
    await patient(able, "p", 2, link=[{"other": {"reference": "Patient/p"}, "type": "seealso"}])
    await able.store({"resourceType": "Basic", "id": "b", "code": {"text": "x"}, "subject": {"reference": "Patient/p"}})
    await able.delete("Basic/b")
    done(await able.post("Patient/p/$expunge", sent(1, "previous-versions")))  # its certificate refers to it
    done(await able.post("Patient/p/$expunge", sent(1)))


async def test_more_versions_than_the_limit_are_too_costly_and_stay(able: Fhir) -> None:
    await patient(able, "p", 6)
    assert refused(await able.post("Patient/p/$expunge", sent(6)), 422)["code"] == "too-costly"
    done(await able.delete("Patient/p"), 204)
    assert refused(await able.post("Patient/$expunge", sent(6, "")), 422)["code"] == "too-costly"
    assert len(done(await able.get("Patient/p/_history"))["entry"]) == 7


@pytest.mark.parametrize(
    ("path", "body", "status", "names"),
    [
        ("Patient/p/$expunge", sent(1, ""), 400, "scope"),
        ("Patient/p/$expunge", sent(1, "all"), 400, "scope"),
        ("Patient/p/$expunge", sent(1, limit=1), 400, "limit"),
        ("Patient/p/$expunge", sent(None), 400, "versions"),
        ("Patient/p/$expunge", sent(1, reason=None), 400, "reason"),
        ("Patient/p/$expunge", sent(1, reason=" "), 400, None),
        ("Patient/p/$expunge", None, 400, "versions"),
        ("Patient/p/_history/1/$expunge", sent(1), 501, None),
        ("Patient/nobody/$expunge", sent(1), 404, None),
        ("Patient/$expunge", sent(1, "previous-versions"), 400, "scope"),
        ("AuditEvent/x/$expunge", sent(1), 403, None),
        ("AuditEvent/$expunge", sent(1, ""), 403, None),
        ("OperationDefinition/expunge/$expunge", sent(1), 403, None),
        ("$expunge", sent(1), 501, None),
    ],
)
async def test_a_call_that_may_not_be_or_makes_no_sense_removes_nothing(
    able: Fhir, path: str, body: Resource, status: int, names: str | None
) -> None:
    await patient(able, "p", 1)
    issue = refused(await able.post(path, body), status)
    assert names is None or issue["expression"] == [names]
    refused(await able.get("Patient/p/$expunge"), 405)
    done(await able.get("Patient/p"))
    assert await able.ids("AuditEvent") == []


async def test_it_works_in_a_batch_and_not_in_a_transaction(able: Fhir) -> None:
    await patient(able, "p", 2)
    call = entry("POST", "Patient/p/$expunge", sent(1, "previous-versions"))
    refused(await able.post("", bundle("transaction", call)), 501)
    assert len(done(await able.get("Patient/p/_history"))["entry"]) == 2
    answer = done(await able.post("", bundle("batch", call)))
    assert statuses(answer) == ["200"]
    assert answer["entry"][0]["resource"]["resourceType"] == "AuditEvent"
    assert len(done(await able.get("Patient/p/_history"))["entry"]) == 1
