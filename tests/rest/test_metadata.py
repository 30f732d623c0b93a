"""The CapabilityStatement says what the server does, and no more; the face beside FHIR
(https://hl7.org/fhir/R4/http.html#capabilities)."""

import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from server.model import tables
from server.validation.structure import check
from tests import servers
from tests.client import Fhir, Resource, done, refused
from tests.instances import minimal


@pytest.fixture(scope="module")
async def statement(face: Fhir) -> Resource:
    return done(await face.get("metadata"))


async def test_the_statement_is_a_valid_resource(statement: Resource) -> None:
    assert check(statement) == []
    CapabilityStatement.model_validate(statement)
    assert (statement["fhirVersion"], statement["kind"]) == ("4.0.1", "instance")
    assert statement["implementation"]["url"] == servers.BASE


async def test_it_lists_every_resource_type_once(statement: Resource) -> None:
    assert [resource["type"] for resource in statement["rest"][0]["resource"]] == sorted(tables.resource_types())


async def test_every_format_that_it_lists_is_written_and_read(face: Fhir, statement: Resource) -> None:
    for format in statement["format"]:
        answered = await face.get(f"metadata?_format={format.replace('+', '%2B')}")
        assert answered.status_code == 200
        assert format.split("+")[-1] in answered.headers["content-type"]
        body = '<Patient xmlns="http://hl7.org/fhir"/>' if "xml" in format else '{"resourceType":"Patient"}'
        if "/" in format:
            assert (await face.post("Patient", body, content_type=format, accept=format)).status_code == 201


VALUES = {
    "token": "x",
    "string": "x",
    "reference": "x",
    "date": "2024",
    "uri": "http://example.org/x",
    "number": "1",
    "quantity": "1",
    "special": "1|1",
}


def value_of(type: str, code: str) -> str:
    """A value to search by; of a composite one for each component."""
    parameters = tables.search_parameters(type)
    components = [component.code for component in parameters[code].components] or [code]
    return "$".join(VALUES[parameters[one].kind] for one in components)


async def test_every_parameter_that_it_lists_works_and_no_other(face: Fhir, statement: Resource) -> None:
    for resource in statement["rest"][0]["resource"]:
        type = resource["type"]
        listed = {parameter["name"] for parameter in resource["searchParam"]}
        assert {"_id", "_lastUpdated", "_tag"} <= listed
        query = "&".join(f"{name}={value_of(type, name)}" for name in sorted(listed))
        assert await face.ids(f"{type}?{query}") == [], type
        for name in set(tables.search_parameters(type)) - listed:
            assert refused(await face.get(f"{type}?{name}=1"), 501)["expression"] == [name]


async def test_every_inclusion_that_it_lists_works(face: Fhir, statement: Resource) -> None:
    for resource in statement["rest"][0]["resource"]:
        words = "&".join(f"_include={one}" for one in resource.get("searchInclude", ()))
        assert await face.ids(f"{resource['type']}?_id=nobody&{words}") == []


async def test_every_reverse_inclusion_that_it_lists_works(face: Fhir, statement: Resource) -> None:
    for resource in statement["rest"][0]["resource"]:
        listed = resource["searchRevInclude"]
        assert "Provenance:target" in listed
        words = "&".join(f"_revinclude={one}" for one in listed)
        assert await face.ids(f"{resource['type']}?_id=nobody&{words}") == []


async def test_every_interaction_that_it_lists_is_there_and_no_other(face: Fhir, statement: Resource) -> None:
    resource = next(one for one in statement["rest"][0]["resource"] if one["type"] == "Basic")
    body = minimal("Basic")
    id = (await face.create(body))["id"]
    probes = {
        "create": ("POST", "Basic", body),
        "read": ("GET", f"Basic/{id}", None),
        "vread": ("GET", f"Basic/{id}/_history/1", None),
        "update": ("PUT", f"Basic/{id}", {**body, "id": id, "language": "zh"}),
        "history-instance": ("GET", f"Basic/{id}/_history", None),
        "history-type": ("GET", "Basic/_history", None),
        "search-type": ("GET", "Basic", None),
        "patch": ("PATCH", f"Basic/{id}", b"[]"),
        "delete": ("DELETE", f"Basic/{id}", None),
    }
    listed = {interaction["code"] for interaction in resource["interaction"]}
    for code, (method, path, content) in probes.items():
        mime = {"content-type": "application/json-patch+json"} if method == "PATCH" else {}
        answered = (await face.send(method, path, content, **mime)).status_code
        assert (answered < 300) == (code in listed), code
    system = {interaction["code"] for interaction in statement["rest"][0]["interaction"]}
    assert system == {"transaction", "batch", "history-system", "search-system"}
    assert (await face.get("?_type=Basic&_count=1")).status_code == 200
    assert (await face.get("_history?_count=1")).status_code == 200
    assert resource["conditionalDelete"] == "single"
    assert (await face.delete("Basic?_id=x")).status_code == 204


async def test_health_root_and_api_description_answer_beside_fhir(face: Fhir) -> None:
    outside = servers.BASE.removesuffix("/fhir")
    health = done(await face.get(f"{outside}/health"))
    assert (health["status"], health["store"]) == ("ok", "sqlite")
    root = await face.get(f"{outside}/")
    assert (root.status_code, root.headers["location"]) == (307, "/fhir/metadata")
    assert (await face.get(f"{outside}/nope")).status_code == 404
    assert (await face.get(f"{outside}/fhirx")).status_code == 404
    description = done(await face.get(f"{outside}/openapi.json"))
    assert description["openapi"].startswith("3.")
    assert "post" in description["paths"]["/fhir"]
    for path in ("/fhir/{type}/{id}", "/fhir/{type}", "/fhir/metadata", "/health"):
        assert "get" in description["paths"][path]
    operations = [one["operationId"] for path in description["paths"].values() for one in path.values()]
    assert len(operations) == len(set(operations))
