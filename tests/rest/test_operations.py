"""Operations as the specification calls them: addresses, parameters, definitions."""

from typing import Any

import pytest

from server.interaction.operation import ANY
from server.operations.registry import OPERATIONS
from tests.client import Fhir, Resource, done, refused


def parameters(*given: Resource) -> Resource:
    return {"resourceType": "Parameters", "parameter": list(given)}


async def test_the_operations_named_by_metadata_have_definitions_that_can_be_read(fhir: Fhir) -> None:
    statement = done(await fhir.get("metadata"))
    rest = statement["rest"][0]
    named = {one["definition"] for one in rest.get("operation", [])}
    named |= {one["definition"] for resource in rest["resource"] for one in resource.get("operation", [])}
    assert named
    for url in named:
        assert done(await fhir.get(url))["url"] == url


async def test_openapi_describes_every_operation_at_each_of_its_levels(face: Fhir) -> None:
    paths = done(await face.get(f"{face.base.removesuffix('/fhir')}/openapi.json"))["paths"]
    for one in OPERATIONS:
        methods = {"post"} if one.affects_state else {"get", "post"}
        types = ["{type}"] if ANY in one.types else one.types
        places = {"system": [""], "type": types, "instance": [f"{type}/{{id}}" for type in types]}
        for level in one.levels:
            for place in places[level]:
                assert set(paths["/".join(part for part in ("/fhir", place, f"${one.code}") if part)]) == methods


@pytest.mark.parametrize(
    ("path", "body", "status", "names"),
    [
        ("Patient/$guess", None, 501, "$guess"),
        ("Patient/1/extra/$meta", None, 404, None),
        ("Nothing/$meta", None, 404, None),
        ("Patient/$validate?mode=create&mode=update", None, 400, "mode"),
        ("Patient/$validate?resource=x", None, 400, "resource"),
        ("Patient/$validate?mode=", None, 400, "mode"),
        ("Patient/$validate?_foo=x", None, 400, "_foo"),
        ("Patient/$validate", {"resourceType": "Parameters", "parameter": {}}, 400, "Parameters.parameter"),
        ("Patient/$validate", parameters({"valueCode": "create"}), 400, "Parameters.parameter[0].name"),
        ("Patient/$validate", parameters({"name": "mode"}), 400, "Parameters.parameter[0]"),
        (
            "Patient/$validate",
            parameters({"name": "mode", "valueInteger": 1}),
            400,
            "Parameters.parameter[0].valueInteger",
        ),
        (
            "Patient/$validate",
            parameters({"name": "mode", "part": [{"name": "x"}]}),
            400,
            "Parameters.parameter[0].part",
        ),
        ("Patient/$validate", parameters({"name": "resource", "valueString": "x"}), 400, None),
        ("Basic/$meta", {"resourceType": "Basic", "code": {"text": "x"}}, 400, "http.body"),
    ],
)
async def test_a_call_that_does_not_fit_the_definition_is_refused_by_name(
    face: Fhir, path: str, body: Any, status: int, names: str | None
) -> None:
    answer = await (face.get(path) if body is None else face.post(path, body))
    issue = refused(answer, status)
    assert names is None or issue["expression"] == [names]


async def test_an_operation_is_called_by_get_or_post_and_answers_head(face: Fhir) -> None:
    for method in ("PUT", "DELETE", "PATCH"):
        answer = await face.send(method, "Basic/$meta")
        refused(answer, 405)
        assert answer.headers["allow"] == "GET, POST"
    answer = await face.send("HEAD", "Basic/$meta")
    assert (answer.status_code, answer.content) == (200, b"")
    answer = await face.post("Patient/$validate", "x", content_type="text/plain")
    refused(answer, 415)


async def test_meta_of_an_instance_is_what_the_resource_says(fhir: Fhir) -> None:
    tag = {"system": "http://example.org/tags", "code": "seen"}
    created = await fhir.create({"resourceType": "Basic", "code": {"text": "x"}, "meta": {"tag": [tag]}})
    answer = done(await fhir.get(f"Basic/{created['id']}/$meta"))
    assert answer["parameter"] == [{"name": "return", "valueMeta": created["meta"]}]
