"""Operations as the specification calls them: addresses, parameters, definitions."""

from tests.client import Fhir, done


async def test_the_operations_named_by_metadata_have_definitions_that_can_be_read(fhir: Fhir) -> None:
    statement = done(await fhir.get("metadata"))
    rest = statement["rest"][0]
    named = {one["definition"] for one in rest.get("operation", [])}
    named |= {one["definition"] for resource in rest["resource"] for one in resource.get("operation", [])}
    assert named
    for url in named:
        assert done(await fhir.get(url))["url"] == url


async def test_meta_of_an_instance_is_what_the_resource_says(fhir: Fhir) -> None:
    tag = {"system": "http://example.org/tags", "code": "seen"}
    created = await fhir.create({"resourceType": "Basic", "code": {"text": "x"}, "meta": {"tag": [tag]}})
    answer = done(await fhir.get(f"Basic/{created['id']}/$meta"))
    assert answer["parameter"] == [{"name": "return", "valueMeta": created["meta"]}]
