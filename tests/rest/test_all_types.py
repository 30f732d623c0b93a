"""Every resource type of R4 lives through all interactions."""

from collections.abc import Iterable

from server.model import tables
from tests.client import Fhir, Resource, bundle, done, entry, put, refused
from tests.instances import minimal


async def test_there_are_146_types() -> None:
    assert len(tables.resource_types()) == 146


async def test_every_type_is_created_read_found_updated_and_deleted(face: Fhir) -> None:
    for type in sorted(tables.resource_types()):
        created = await face.create(minimal(type))
        address = f"{type}/{created['id']}"
        assert done(await face.get(address)) == created, type
        assert {**created, "id": 0, "meta": 0} == {**minimal(type), "id": 0, "meta": 0}, type
        assert await face.ids(f"{type}?_id={created['id']}") == [created["id"]], type
        changed = {**created, "language": "zh-CN"}
        assert done(await face.put(address, changed), 200)["meta"]["versionId"] == "2", type
        assert (await face.delete(address)).status_code == 204, type
        refused(await face.get(address), 410)


async def test_every_type_lives_through_bundles(fhir: Fhir, mark: str) -> None:
    resources = [{**minimal(type), "id": mark} for type in sorted(tables.resource_types())]

    async def ask(kind: str, entries: Iterable[Resource]) -> list[Resource]:
        return list(done(await fhir.post("", bundle(kind, *entries)))["entry"])

    assert {e["response"]["status"] for e in await ask("transaction", map(put, resources))} == {"201 Created"}
    reads = await ask("batch", [entry("GET", f"{resource['resourceType']}/{mark}") for resource in resources])
    assert [{**e["resource"], "meta": 0} for e in reads] == [{**resource, "meta": 0} for resource in resources]
    searches = await ask("batch", [entry("GET", f"{r['resourceType']}?_id={mark}") for r in resources])
    assert [[e["resource"] for e in found["resource"]["entry"]] for found in searches] == [
        [e["resource"]] for e in reads
    ]
    changed = [put({**resource, "language": "zh-CN"}) for resource in resources]
    assert {e["response"]["etag"] for e in await ask("transaction", changed)} == {'W/"2"'}
    deletions = [entry("DELETE", f"{resource['resourceType']}/{mark}") for resource in resources]
    assert {e["response"]["status"][:3] for e in await ask("transaction", deletions)} == {"204"}
    gone = await ask("batch", [entry("GET", f"{r['resourceType']}/{mark}") for r in resources])
    assert {e["response"]["status"][:3] for e in gone} == {"410"}


async def test_every_type_refuses_what_it_requires_to_be_left_out(face: Fhir) -> None:
    for type in sorted(tables.resource_types()):
        for element in tables.node(type):
            if element.min:
                name = next(iter(element.json_names))
                body = {key: value for key, value in minimal(type).items() if key != name}
                issue = refused(await face.post(type, body), 400)
                assert (issue["code"], issue["expression"]) == ("required", [f"{type}.{element.name}"]), type
