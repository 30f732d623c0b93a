"""$meta, $meta-add, $meta-delete: profiles, tags and security labels, seen and changed."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests import servers
from tests.client import Fhir, Resource, done, refused

TAGS = "http://example.org/tags"
LABEL = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
PROFILE = "http://example.org/profile"


def tag(code: str, **more: Any) -> Resource:
    return {"system": TAGS, "code": code, **more}


def basic(**meta: Any) -> Resource:
    return {"resourceType": "Basic", "code": {"text": "x"}, **({"meta": meta} if meta else {})}


def parameters(**meta: Any) -> Resource:
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}


def meta_of(answer: Any) -> Resource:
    """The Meta that an operation returned."""
    sent = done(answer)
    assert [one["name"] for one in sent["parameter"]] == ["return"]
    meta: Resource = sent["parameter"][0]["valueMeta"]
    return meta


def labels(meta: Resource) -> Resource:
    return {name: value for name, value in meta.items() if name not in ("versionId", "lastUpdated")}


# ---------------------------------------------------------------------------------------------------------- $meta
async def test_meta_of_a_version_is_that_versions(fhir: Fhir) -> None:
    created = await fhir.create(basic(tag=[tag("old")]))
    path = f"Basic/{created['id']}"
    done(await fhir.put(path, {**created, "meta": {"tag": [tag("new")]}}))
    assert meta_of(await fhir.get(f"{path}/_history/1/$meta")) == created["meta"]
    assert labels(meta_of(await fhir.get(f"{path}/$meta"))) == {"tag": [tag("new")]}
    refused(await fhir.get(f"{path}/_history/3/$meta"), 404)
    refused(await fhir.get("Basic/nobody/$meta"), 404)
    await fhir.delete(path)
    refused(await fhir.get(f"{path}/$meta"), 410)


async def test_meta_of_a_type_and_of_the_system_is_what_is_in_use_each_once(empty: Fhir) -> None:
    await empty.create(basic(tag=[tag("b"), tag("a", display="first")], security=[LABEL]))
    await empty.create(basic(tag=[tag("a", display="second")], profile=[PROFILE]))
    await empty.create(basic())
    await empty.create({"resourceType": "Patient", "meta": {"tag": [tag("c")]}})
    gone = await empty.create(basic(tag=[tag("gone")]))
    await empty.delete(f"Basic/{gone['id']}")
    found = meta_of(await empty.get("Basic/$meta"))
    assert set(found) == {"tag", "security", "profile"}
    assert [one["code"] for one in found["tag"]] == ["a", "b"]
    assert found["security"] == [LABEL]
    assert found["profile"] == [PROFILE]
    assert [one["code"] for one in meta_of(await empty.get("$meta"))["tag"]] == ["a", "b", "c"]
    assert meta_of(await empty.post("$meta"))["profile"] == [PROFILE]


async def test_meta_where_nothing_is_in_use_has_no_return(empty: Fhir) -> None:
    await empty.create(basic())
    assert done(await empty.get("Basic/$meta")) == {"resourceType": "Parameters"}
    assert done(await empty.get("$meta")) == {"resourceType": "Parameters"}


async def test_meta_over_more_resources_than_the_limit_is_too_costly(
    store_kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = ""
    if store_kind == "mongodb":
        url = servers.database(request.getfixturevalue("mongodb"), f"meta_{uuid4().hex}")
    async with servers.in_process(servers.app_on(url, tmp_path, meta_max=3)) as http:
        few = Fhir(http, servers.BASE)
        for number in range(3):
            await few.create(basic(tag=[tag(f"t{number}")]))
            await few.create(basic())
        assert len(meta_of(await few.get("$meta"))["tag"]) == 3
        await few.create({"resourceType": "Patient", "meta": {"tag": [tag("more")]}})
        assert len(meta_of(await few.get("Basic/$meta"))["tag"]) == 3
        issue = refused(await few.get("$meta"), 422)
        assert issue["code"] == "too-costly"
        assert "meta_max" in issue["diagnostics"]


# ------------------------------------------------------------------------------------------------ add and delete
async def test_meta_add_adds_what_is_not_there_yet(fhir: Fhir) -> None:
    created = await fhir.create(basic(tag=[tag("a", display="mine")]))
    path = f"Basic/{created['id']}"
    given = parameters(
        tag=[tag("a", display="other"), tag("b"), tag("b")], security=[LABEL], profile=[PROFILE], versionId="77"
    )
    added = meta_of(await fhir.post(f"{path}/$meta-add", given))
    assert labels(added) == {"tag": [tag("a", display="mine"), tag("b")], "security": [LABEL], "profile": [PROFILE]}
    assert added["versionId"] == "2"
    assert done(await fhir.get(path))["meta"] == added
    assert (await fhir.get(f"Basic?_id={created['id']}&_tag={TAGS}|b")).json()["total"] == 1


async def test_a_meta_operation_that_changes_nothing_makes_no_version(fhir: Fhir) -> None:
    created = await fhir.create(basic(tag=[tag("a")]))
    path = f"Basic/{created['id']}"
    assert meta_of(await fhir.post(f"{path}/$meta-add", parameters(tag=[tag("a")]))) == created["meta"]
    assert meta_of(await fhir.post(f"{path}/$meta-delete", parameters(tag=[tag("z")]))) == created["meta"]
    assert done(await fhir.get(f"{path}/_history"))["total"] == 1


async def test_meta_delete_takes_off_what_is_named_and_nothing_else(fhir: Fhir) -> None:
    created = await fhir.create(
        basic(
            tag=[tag("a", display="x"), tag("b"), {"system": "http://example.org/other", "code": "a"}],
            profile=[PROFILE],
        )
    )
    path = f"Basic/{created['id']}"
    left = meta_of(await fhir.post(f"{path}/$meta-delete", parameters(tag=[tag("a")], profile=[PROFILE])))
    assert labels(left) == {"tag": [tag("b"), {"system": "http://example.org/other", "code": "a"}]}
    assert (await fhir.get(f"Basic?_id={created['id']}&_profile={PROFILE}")).json()["total"] == 0
    assert labels(meta_of(await fhir.get(f"{path}/_history/1/$meta")))["profile"] == [PROFILE]


async def test_the_bytes_of_the_rest_of_the_resource_stay(fhir: Fhir) -> None:
    body = (
        b'{"resourceType":"Observation","status":"final","code":{"text":"x"},'
        b'"valueQuantity":{"value":1.00,"unit":"\\u00b5g"},"extension":[{"url":"http://example.org/n","valueDecimal":0.10000000000000000001}]}'
    )
    id = done(await fhir.post("Observation", body), 201)["id"]
    done(await fhir.post(f"Observation/{id}/$meta-add", parameters(tag=[tag("a")])))
    done(await fhir.post(f"Observation/{id}/$meta-delete", parameters(tag=[tag("a")])))
    stored = (await fhir.get(f"Observation/{id}")).content
    assert b'"valueQuantity":{"value":1.00,"unit":"\\u00b5g"}' in stored
    assert b'"valueDecimal":0.10000000000000000001' in stored
    assert done(await fhir.get(f"Observation/{id}/_history"))["total"] == 3


async def test_extensions_of_a_profiles_url_stay_beside_it(fhir: Fhir) -> None:
    note = {"extension": [{"url": "http://example.org/note", "valueString": "n"}]}
    created = await fhir.create(basic(profile=["http://example.org/a", PROFILE], _profile=[None, note]))
    path = f"Basic/{created['id']}"
    added = meta_of(await fhir.post(f"{path}/$meta-add", parameters(profile=["http://example.org/c"])))
    assert added["_profile"] == [None, note, None]
    less = meta_of(await fhir.post(f"{path}/$meta-delete", parameters(profile=["http://example.org/a"])))
    assert (less["profile"], less["_profile"]) == ([PROFILE, "http://example.org/c"], [note, None])
    assert "_profile" not in meta_of(await fhir.post(f"{path}/$meta-delete", parameters(profile=[PROFILE])))


@pytest.mark.parametrize("code", ["meta-add", "meta-delete"])
async def test_a_meta_operation_that_cannot_be_done_says_why_and_changes_nothing(fhir: Fhir, code: str) -> None:
    path = f"Basic/{(await fhir.create(basic(tag=[tag('a')])))['id']}"
    given = parameters(tag=[tag("b")])
    refused(await fhir.get(f"{path}/${code}"), 405)
    refused(await fhir.post(f"Basic/nobody/${code}", given), 404)
    refused(await fhir.post(f"{path}/_history/1/${code}", given), 501)
    refused(await fhir.post(f"Basic/${code}", given), 501)
    assert refused(await fhir.post(f"{path}/${code}"), 400)["expression"] == ["meta"]
    bad = refused(await fhir.post(f"{path}/${code}", parameters(tag=[{"code": 5}])), 400)
    assert bad["expression"] == ["Parameters.parameter[0].value.tag[0].code"]
    refused(
        await fhir.post(
            f"{path}/${code}", {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": 5}]}
        ),
        400,
    )
    refused(await fhir.post("OperationDefinition/Resource-meta/$" + code, given), 403)
    assert done(await fhir.get(f"{path}/_history"))["total"] == 1
    await fhir.delete(path)
    refused(await fhir.post(f"{path}/${code}", given), 410)


async def test_a_whole_resource_cannot_be_tagged_as_a_part(fhir: Fhir) -> None:
    path = f"Basic/{(await fhir.create(basic()))['id']}"
    part = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
    refused(await fhir.post(f"{path}/$meta-add", parameters(tag=[part])), 422)
