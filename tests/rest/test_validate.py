"""$validate: what is wrong with a resource, or what would stop a create, an update, a deletion."""

from typing import Any

import pytest

from tests.client import FHIR_JSON, Fhir, Resource, codes, done, refused

GOOD: Resource = {"resourceType": "Patient", "active": True, "birthDate": "1980-02-29"}
BAD: Resource = {"resourceType": "Patient", "birthDate": "1980-02-30", "gender": "girl", "nmae": []}
BASE = "http://hl7.org/fhir/StructureDefinition"


def parameters(**given: Any) -> Resource:
    """`resource` as a resource, else a code or uri."""
    keys = {"resource": "resource", "mode": "valueCode", "profile": "valueUri"}
    sent = [{"name": name, keys[name]: value} for name, value in given.items()]
    return {"resourceType": "Parameters", **({"parameter": sent} if sent else {})}


async def issues(fhir: Fhir, path: str, body: Any = None) -> list[Resource]:
    outcome = done(await (fhir.get(path) if body is None else fhir.post(path, body)))
    assert outcome["resourceType"] == "OperationOutcome"
    found: list[Resource] = outcome["issue"]
    return found


def severities(found: list[Resource]) -> set[str]:
    return {issue["severity"] for issue in found}


async def test_a_valid_resource_is_answered_with_an_information(fhir: Fhir) -> None:
    for body in (GOOD, parameters(resource=GOOD), parameters(resource=GOOD, mode="create")):
        assert severities(await issues(fhir, "Patient/$validate", body)) == {"information"}


async def test_every_issue_of_an_invalid_resource_is_listed_and_the_status_is_200(fhir: Fhir) -> None:
    for body in (BAD, parameters(resource=BAD), parameters(resource=BAD, mode="create")):
        found = await issues(fhir, "Patient/$validate", body)
        assert [(issue["severity"], issue["code"], issue["expression"]) for issue in found] == [
            ("error", "value", ["Patient.birthDate"]),
            ("error", "code-invalid", ["Patient.gender"]),
            ("error", "structure", ["Patient.nmae"]),
        ]


async def test_nothing_is_stored_by_validating(empty: Fhir) -> None:
    await issues(empty, "Patient/$validate", parameters(resource=GOOD, mode="create"))
    await issues(empty, "Patient/new/$validate", parameters(resource={**GOOD, "id": "new"}, mode="update"))
    assert await empty.ids("Patient") == []


async def test_a_resource_of_another_type_or_of_no_type_is_an_issue(face: Fhir) -> None:
    other = {"resourceType": "Basic", "code": {"text": "x"}}
    assert "Basic" in (await issues(face, "Patient/$validate", other))[0]["diagnostics"]
    unknown = await issues(face, "Patient/$validate", {"resourceType": "Patientt"})
    assert (unknown[0]["severity"], unknown[0]["expression"]) == ("error", ["resourceType"])
    nameless = await issues(face, "Patient/$validate", parameters(resource={"active": True}))
    assert codes(nameless) == ["required"]


@pytest.mark.parametrize(
    "body", [b"{", b'{"resourceType":"Patient",}', b'{"resourceType":"Patient","id":"\xff"}', b"[]"]
)
async def test_what_is_not_json_is_refused(face: Fhir, body: bytes) -> None:
    refused(await face.post("Patient/$validate", body), 400)


async def test_xml_that_is_not_well_formed_is_refused(face: Fhir) -> None:
    answer = await face.post("Patient/$validate", b"<Patient xmlns='http://hl7.org/fhir'>", content_type="text/xml")
    refused(answer, 400)


async def test_xml_is_validated_alike(face: Fhir) -> None:
    body = b'<Patient xmlns="http://hl7.org/fhir"><gender value="girl"/></Patient>'
    answer = await face.post("Patient/$validate", body, content_type="application/fhir+xml")
    assert codes(done(answer)["issue"]) == ["code-invalid"]
    answer = await face.post("Patient/$validate", GOOD, accept="application/fhir+xml")
    assert answer.status_code == 200
    assert '<severity value="information"/>' in answer.text


async def test_a_stored_resource_and_each_of_its_versions_can_be_validated(fhir: Fhir) -> None:
    id = (await fhir.create(GOOD))["id"]
    for path in (f"Patient/{id}/$validate", f"Patient/{id}/_history/1/$validate"):
        assert severities(await issues(fhir, path)) == {"information"}
    profile = parameters(mode="profile", profile=f"{BASE}/Patient")
    assert severities(await issues(fhir, f"Patient/{id}/$validate", profile)) == {"information"}
    refused(await fhir.get("Patient/nobody/$validate"), 404)
    refused(await fhir.get(f"Patient/{id}/_history/9/$validate"), 404)
    await fhir.delete(f"Patient/{id}")
    refused(await fhir.get(f"Patient/{id}/$validate"), 410)


async def test_mode_update_says_what_would_stop_the_update(fhir: Fhir) -> None:
    created = await fhir.create(GOOD)
    id = created["id"]
    path, changed = f"Patient/{id}/$validate", {**GOOD, "id": id, "active": False}
    assert codes(await issues(fhir, path, parameters(resource=changed, mode="update"))) == ["informational"]
    same = await issues(fhir, path, parameters(resource=created, mode="update"))
    assert "change nothing" in same[0]["diagnostics"]
    for other in (GOOD, {**GOOD, "id": "another"}):
        found = await issues(fhir, path, parameters(resource=other, mode="update"))
        assert [(issue["severity"], issue["expression"]) for issue in found] == [("error", ["Patient.id"])]
    part = {
        **changed,
        "meta": {"tag": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}]},
    }
    assert severities(await issues(fhir, path, parameters(resource=part, mode="update"))) == {"error"}
    assert severities(await issues(fhir, path, parameters(resource={**BAD, "id": id}, mode="update"))) == {"error"}


async def test_mode_delete_says_whether_it_could_be_deleted(fhir: Fhir) -> None:
    id = (await fhir.create(GOOD))["id"]
    assert "could be deleted" in (await issues(fhir, f"Patient/{id}/$validate?mode=delete"))[0]["diagnostics"]
    done(await fhir.get(f"Patient/{id}"))
    refused(await fhir.get("Patient/nobody/$validate?mode=delete"), 404)
    await fhir.delete(f"Patient/{id}")
    refused(await fhir.get(f"Patient/{id}/$validate?mode=delete"), 410)
    found = await issues(fhir, "OperationDefinition/Resource-validate/$validate?mode=delete")
    assert codes(found) == ["forbidden"]


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("Patient/$validate", parameters(mode="update", resource=GOOD), "mode"),
        ("Patient/$validate", parameters(mode="delete"), "mode"),
        ("Patient/$validate", parameters(mode="guess", resource=GOOD), "mode"),
        ("Patient/$validate", parameters(mode="create"), "resource"),
        ("Patient/$validate", parameters(), "resource"),
        ("Patient/x/$validate", parameters(mode="update"), "resource"),
        ("Patient/x/$validate", parameters(mode="delete", resource=GOOD), "resource"),
        ("Patient/x/$validate", parameters(mode="profile"), "profile"),
        ("Patient/$validate", parameters(mode=5), "Parameters.parameter[0].value"),
        ("Patient/$validate?mood=x", GOOD, "mood"),
    ],
)  # fmt: skip
async def test_a_call_that_makes_no_sense_names_its_parameter(
    face: Fhir, path: str, body: Resource, names: str
) -> None:
    assert refused(await face.post(path, body), 400)["expression"] == [names]


async def test_base_definitions_are_profiles_and_others_are_not_loaded(face: Fhir) -> None:
    for url in (f"{BASE}/Patient", f"{BASE}/Patient|4.0.1", f"{BASE}/DomainResource"):
        found = await issues(face, "Patient/$validate", parameters(resource=GOOD, profile=url))
        assert severities(found) == {"information"}
    wrong = await issues(face, "Patient/$validate", parameters(resource=GOOD, profile=f"{BASE}/Basic"))
    assert severities(wrong) == {"error"}
    for url in ("http://example.org/profile", f"{BASE}/bmi", f"{BASE}/Patient|5.0.0"):
        answer = await face.post("Patient/$validate", parameters(resource=GOOD, profile=url))
        assert "not loaded" in refused(answer, 501)["diagnostics"]


async def test_a_profile_that_the_resource_claims_and_nobody_checked_is_a_warning(face: Fhir) -> None:
    claims = {**GOOD, "meta": {"profile": [f"{BASE}/Patient", "http://example.org/profile"]}}
    found = await issues(face, "Patient/$validate", claims)
    assert [(issue["severity"], issue.get("expression")) for issue in found] == [
        ("warning", ["Patient.meta.profile[1]"]),
        ("information", None),
    ]


async def test_a_resource_nested_too_deeply_is_no_server_error(face: Fhir) -> None:
    deep = b'{"resourceType":"Patient","x":' + b"[" * 3000 + b"]" * 3000 + b"}"
    refused(await face.post("Patient/$validate", deep, content_type=FHIR_JSON), 400)


async def test_the_definitions_of_all_operations_are_valid(face: Fhir) -> None:
    statement = done(await face.get("metadata"))["rest"][0]
    named = {one["definition"] for one in statement.get("operation", [])}
    named |= {one["definition"] for resource in statement["resource"] for one in resource.get("operation", [])}
    for url in named:
        assert severities(await issues(face, "OperationDefinition/$validate", done(await face.get(url)))) == {
            "information"
        }
