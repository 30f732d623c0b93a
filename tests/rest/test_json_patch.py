"""patch by JSON Patch: RFC 6902, RFC 6901 and https://hl7.org/fhir/R4/http.html#patch."""

import asyncio
import base64
import json
from pathlib import Path

import httpx
import pytest

from tests import servers
from tests.client import Fhir, Resource, bundle, done, entry, post, put, refused, statuses, version_of

MIME = "application/json-patch+json"
Operations = list[Resource]


async def patch(fhir: Fhir, path: str, operations: object, **headers: str) -> httpx.Response:
    body = operations if isinstance(operations, bytes) else json.dumps(operations).encode()
    return await fhir.send("PATCH", path, body, **{"content-type": MIME, **headers})


def binary(operations: Operations) -> Resource:
    data = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"resourceType": "Binary", "contentType": MIME, "data": data}


def patient(id: str, **more: object) -> Resource:
    return {
        "resourceType": "Patient",
        "id": id,
        "identifier": [{"value": id}],
        "name": [{"family": "李", "given": ["秀", "英"]}],
        "gender": "female",
        **more,
    }


def op(name: str, path: str, *value: object, **more: object) -> Resource:
    return {"op": name, "path": path, **({"value": value[0]} if value else {}), **more}


# ------------------------------------------------------------------------------------------------ the six operations
NAME = {"family": "李", "given": ["秀", "英"]}
APPLIED: dict[str, tuple[Operations, Resource]] = {
    "add a member": ([op("add", "/birthDate", "1949-12-31")], {"birthDate": "1949-12-31"}),
    "add over a member": ([op("add", "/gender", "male")], {"gender": "male"}),
    "add in an array": ([op("add", "/name/0/given/1", "x")], {"name": [{**NAME, "given": ["秀", "x", "英"]}]}),
    "add at the end": ([op("add", "/name/0/given/-", "x")], {"name": [{**NAME, "given": ["秀", "英", "x"]}]}),
    "add at the length": ([op("add", "/name/0/given/2", "x")], {"name": [{**NAME, "given": ["秀", "英", "x"]}]}),
    "remove": ([op("remove", "/name/0/given/0")], {"name": [{**NAME, "given": ["英"]}]}),
    "remove and add": ([op("remove", "/gender"), op("add", "/gender", "other")], {"gender": "other"}),
    "replace": ([op("replace", "/name/0/family", "王")], {"name": [{**NAME, "family": "王"}]}),
    "move": (
        [op("move", "/name/0/text", **{"from": "/name/0/family"})],
        {"name": [{"given": ["秀", "英"], "text": "李"}]},
    ),
    "move in an array": (
        [op("move", "/name/0/given/1", **{"from": "/name/0/given/0"})], {"name": [{**NAME, "given": ["英", "秀"]}]},
    ),
    "copy is a copy": (
        [op("copy", "/name/1", **{"from": "/name/0"}), op("replace", "/name/1/family", "王")],
        {"name": [NAME, {**NAME, "family": "王"}]},
    ),
    "test that holds": ([op("test", "/name/0", NAME), op("replace", "/gender", "male")], {"gender": "male"}),
    "members nobody knows": ([op("replace", "/gender", "male", comment="why")], {"gender": "male"}),
    "a value used by two operations": (
        [op("add", "/name/-", {"given": ["a"]}), op("add", "/name/1/given/-", "b")],
        {"name": [NAME, {"given": ["a", "b"]}]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", APPLIED)
async def test_operations_are_applied_in_their_order(fhir: Fhir, mark: str, what: str) -> None:
    operations, changed = APPLIED[what]
    await fhir.store(patient(mark))
    response = await patch(fhir, f"Patient/{mark}", operations)
    body = done(response, 200)
    assert version_of(response) == 2
    assert {k: v for k, v in body.items() if k != "meta"} == patient(mark, **changed)
    assert done(await fhir.get(f"Patient/{mark}")) == body


UNPROCESSABLE: dict[str, Operations] = {
    "test of another value": [op("test", "/gender", "male")],
    "test of another type": [op("test", "/name/0/given", "秀")],
    "test of what is not there": [op("test", "/birthDate", None)],
    "remove of nothing": [op("remove", "/birthDate")],
    "replace of nothing": [op("replace", "/birthDate", "1949")],
    "an index past the end": [op("add", "/name/0/given/3", "x")],
    "an index with a leading zero": [op("replace", "/name/00", NAME)],
    "a replace at the end": [op("replace", "/name/-", NAME)],
    "a negative index": [op("remove", "/name/-1")],
    "a member of a text": [op("add", "/gender/x", "y")],
    "a copy of nothing": [op("copy", "/birthDate", **{"from": "/nothing"})],
    "no resource left": [op("remove", "")],
    "an array for a resource": [op("replace", "", [])],
    "another id": [op("replace", "/id", "another")],
    "no id": [op("remove", "/id")],
    "another type": [op("replace", "/resourceType", "Person")],
    "a code that is none": [op("replace", "/gender", "woman")],
    "an element that is none": [op("add", "/colour", "red")],
    "an empty array": [op("replace", "/name", [])],
    "a null": [op("replace", "/gender", None)],
    "the first good, the second not": [op("replace", "/gender", "male"), op("remove", "/nothing")],
}


@pytest.mark.parametrize("what", UNPROCESSABLE)
async def test_a_patch_that_cannot_be_applied_changes_nothing(fhir: Fhir, mark: str, what: str) -> None:
    await fhir.store(patient(mark))
    issue = refused(await patch(fhir, f"Patient/{mark}", UNPROCESSABLE[what]), 422)
    assert issue["expression"][0]
    assert version_of(await fhir.get(f"Patient/{mark}")) == 1


INVALID: dict[str, object] = {
    "no JSON": b"[{",
    "nothing": b"",
    "NaN": b'[{"op":"add","path":"/multipleBirthInteger","value":NaN}]',
    "a lone surrogate": b'[{"op":"add","path":"/gender","value":"\\ud800"}]',
    "no UTF-8": b'[{"op":"add","path":"/gender","value":"\xff"}]',
    "an object": op("remove", "/gender"),
    "no operation": ["remove"],
    "an op that is none": [op("delete", "/gender")],
    "an op that is no text": [{"op": ["add"], "path": "/gender", "value": 1}],
    "no op": [{"path": "/gender"}],
    "no path": [{"op": "remove"}],
    "a path that is no pointer": [op("remove", "gender")],
    "a path with a wrong escape": [op("remove", "/gender~2")],
    "no value": [op("add", "/gender")],
    "no from": [op("move", "/gender")],
    "a move into itself": [op("move", "/name/0/x", **{"from": "/name"})],
}


@pytest.mark.parametrize("what", INVALID)
async def test_a_document_that_is_no_patch_is_refused(fhir: Fhir, mark: str, what: str) -> None:
    await fhir.store(patient(mark))
    issue = refused(await patch(fhir, f"Patient/{mark}", INVALID[what]), 400)
    assert issue["expression"][0].startswith("http.body")


async def test_pointers_are_unescaped_once(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    issue = refused(await patch(fhir, f"Patient/{mark}", [op("add", "/~01~1", 1)]), 422)
    assert "~1/" in issue["diagnostics"]


async def test_other_content_types_are_refused(face: Fhir) -> None:
    for type, status in ((MIME + "; charset=utf-8", 404), ("application/fhir+json", 400), ("application/json", 415),
                         ("application/xml-patch+xml", 415), ("", 415)):  # fmt: skip
        for path in ("Patient/nobody", "Patient?_id=nobody"):
            refused(await face.send("PATCH", path, b"[]", **{"content-type": type}), status)


# ---------------------------------------------------------------------------------------------------------- bytes
BASIC = (
    '{"resourceType":"Basic","id":"%s", "code" : {"text":"\\u738b", "extension":[{"url":"urn:x","valueDecimal":1.00}]},'
    '"extension":[{"url":"urn:a","valueDecimal":1.00},{"url":"urn:b","valueDecimal":-0.0},'
    '{"url":"urn:c","valueDecimal":12345678901234567890.10},{"url":"urn:d","valueDecimal":1E+2}]}'
)


async def test_members_that_stay_keep_their_bytes_and_numbers_their_text(fhir: Fhir, mark: str) -> None:
    done(await fhir.put(f"Basic/{mark}", (BASIC % mark).encode()), 201)
    change = b'[{"op":"replace","path":"/extension/1/valueDecimal","value":2.500}]'
    done(await patch(fhir, f"Basic/{mark}", change), 200)
    text = (await fhir.get(f"Basic/{mark}")).text
    assert '{"text":"\\u738b", "extension":[{"url":"urn:x","valueDecimal":1.00}]}' in text
    for number in ("1.00", "2.500", "12345678901234567890.10", "1E+2"):
        assert f'"valueDecimal":{number}' in text
    assert text.count('"valueDecimal":1.00') == 2
    assert "-0.0" not in text


async def test_numbers_are_tested_by_value_and_changed_by_text(fhir: Fhir, mark: str) -> None:
    done(await fhir.put(f"Basic/{mark}", (BASIC % mark).encode()), 201)
    place = "/extension/0/valueDecimal"
    assert version_of(await patch(fhir, f"Basic/{mark}", [op("test", place, 1), op("test", place, 1.0)])) == 1
    refused(await patch(fhir, f"Basic/{mark}", [op("test", place, True)]), 422)
    refused(
        await patch(
            fhir, f"Basic/{mark}", b'[{"op":"test","path":"%b","value":1e-99999999999999999999}]' % place.encode()
        ),
        422,
    )
    assert version_of(await patch(fhir, f"Basic/{mark}", [op("replace", place, 1)])) == 2


# ------------------------------------------------------------------------------------------- versions and conditions
@pytest.mark.parametrize(
    "operations",
    [[], [op("test", "/gender", "female")], [op("replace", "/gender", "female")],
     [op("add", "/name/-", NAME), op("remove", "/name/1")], [op("replace", "/meta/versionId", "9")]],
)  # fmt: skip
async def test_a_patch_that_changes_nothing_makes_no_version(fhir: Fhir, mark: str, operations: Operations) -> None:
    await fhir.store(patient(mark))
    response = await patch(fhir, f"Patient/{mark}", operations)
    assert (response.status_code, version_of(response)) == (200, 1)
    assert done(await fhir.get(f"Patient/{mark}/_history"))["total"] == 1


async def test_the_version_says_that_a_patch_made_it_and_is_found_by_what_it_says(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    done(await patch(fhir, f"Patient/{mark}", [op("replace", "/identifier/0/value", f"{mark}new")]))
    newest = done(await fhir.get(f"Patient/{mark}/_history"))["entry"][0]
    assert newest["request"] == {"method": "PATCH", "url": f"Patient/{mark}"}
    assert newest["response"]["status"].startswith("200")
    assert await fhir.ids(f"Patient?identifier={mark}new") == [mark]
    assert await fhir.ids(f"Patient?identifier={mark}") == []


async def test_if_match_lets_only_the_current_version_be_patched(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    change = [op("replace", "/gender", "male")]
    refused(await patch(fhir, f"Patient/{mark}", change, if_match='W/"2"'), 412)
    assert version_of(await patch(fhir, f"Patient/{mark}", change, if_match='W/"1"')) == 2


async def test_what_is_not_there_or_deleted_cannot_be_patched(fhir: Fhir, mark: str) -> None:
    refused(await patch(fhir, f"Patient/{mark}", []), 404)
    await fhir.store(patient(mark))
    await fhir.delete(f"Patient/{mark}")
    refused(await patch(fhir, f"Patient/{mark}", []), 410)


async def test_prefer_rules_what_a_patch_answers(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    response = await patch(fhir, f"Patient/{mark}", [op("replace", "/gender", "male")], prefer="return=minimal")
    assert (response.status_code, response.content) == (200, b"")


async def test_conditional_patch_takes_the_one_match(fhir: Fhir, mark: str) -> None:
    change, query = [op("replace", "/gender", "male")], f"Patient?identifier={mark}"
    refused(await patch(fhir, query, change), 404)
    await fhir.store(patient(mark))
    assert done(await patch(fhir, query, change))["gender"] == "male"
    await fhir.store(patient(f"{mark}b", identifier=[{"value": mark}]))
    refused(await patch(fhir, query, change), 412)
    refused(await patch(fhir, "Patient?_count=1", change), 400)


async def test_patches_at_once_are_all_applied(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    answers = await asyncio.gather(
        *(patch(fhir, f"Patient/{mark}", [op("add", "/name/0/given/-", f"n{n}")]) for n in range(6))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert set(done(await fhir.get(f"Patient/{mark}"))["name"][0]["given"]) == {
        "秀",
        "英",
        *(f"n{n}" for n in range(6)),
    }


async def test_patches_at_once_with_if_match_all_but_one_are_stale(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    answers = await asyncio.gather(
        *(patch(fhir, f"Patient/{mark}", [op("add", "/language", f"x-{n}")], if_match='W/"1"') for n in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 5


# ---------------------------------------------------------------------------------------------------------- limits
async def test_a_patch_past_the_limit_is_refused_by_its_name(tmp_path: Path) -> None:
    async with servers.in_process(servers.app_on("", tmp_path, patch_max=50)) as http:
        fhir = Fhir(http, servers.BASE)
        await fhir.store(patient("a"))
        assert (
            refused(await patch(fhir, "Patient/a", [op("test", "/gender", "female")] * 51), 422)["code"] == "too-costly"
        )
        double = [op("copy", "/name/0/x", **{"from": "/name"})] * 20
        assert "patch_max" in refused(await patch(fhir, "Patient/a", double), 422)["diagnostics"]


async def test_a_patch_that_nests_without_end_is_refused(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    deep = b"[" * 100_000
    refused(await patch(fhir, f"Patient/{mark}", b'[{"op":"add","path":"/x","value":' + deep), 400)
    closed = b"[" * 900 + b"]" * 900
    assert (await patch(fhir, f"Patient/{mark}", b'[{"op":"add","path":"/x","value":%b}]' % closed)).status_code in (
        400,
        422,
    )


# --------------------------------------------------------------------------------------------------------- Bundles
@pytest.mark.parametrize("type", ["batch", "transaction"])
async def test_a_patch_stands_in_a_bundle_as_a_binary(fhir: Fhir, mark: str, type: str) -> None:
    await fhir.store(patient(mark), patient(f"{mark}b"))
    answer = done(
        await fhir.post(
            "",
            bundle(
                type,
                entry("PATCH", f"Patient/{mark}", binary([op("replace", "/gender", "male")]), ifMatch='W/"1"'),
                entry("PATCH", f"Patient?identifier={mark}b", binary([op("replace", "/gender", "other")])),
            ),
        )
    )
    assert statuses(answer) == ["200", "200"]
    assert answer["entry"][0]["response"]["etag"] == 'W/"2"'
    assert done(await fhir.get(f"Patient/{mark}"))["gender"] == "male"
    assert done(await fhir.get(f"Patient/{mark}b"))["gender"] == "other"


async def test_references_in_a_patch_of_a_transaction_are_resolved(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark), patient(f"{mark}b", generalPractitioner=[{"reference": "Practitioner/x"}]))
    new = {"resourceType": "Organization", "name": mark}
    whole = bundle(
        "transaction",
        post(new, "urn:uuid:5f3b2c1e-0000-4000-8000-000000000001"),
        entry("PATCH", f"Patient/{mark}", binary([
            op("add", "/managingOrganization", {"reference": "urn:uuid:5f3b2c1e-0000-4000-8000-000000000001"})])),
        entry("PATCH", f"Patient/{mark}b", binary([
            op("replace", "/generalPractitioner/0/reference", "urn:uuid:5f3b2c1e-0000-4000-8000-000000000001")])),
    )  # fmt: skip
    location = done(await fhir.post("", whole))["entry"][0]["response"]["location"]
    made = "/".join(location.split("/")[:2])
    assert done(await fhir.get(f"Patient/{mark}"))["managingOrganization"]["reference"] == made
    assert done(await fhir.get(f"Patient/{mark}b"))["generalPractitioner"][0]["reference"] == made


WRONG: dict[str, tuple[Resource | None, int]] = {
    "no resource": (None, 400),
    "no Binary": ({"resourceType": "Patient"}, 400),
    "another content type": ({"resourceType": "Binary", "contentType": "text/plain", "data": "W10="}, 415),
    "no base64": ({"resourceType": "Binary", "contentType": MIME, "data": "[]"}, 400),
    "no patch": ({"resourceType": "Binary", "contentType": MIME, "data": "e30="}, 400),
    "a test that fails": (binary([op("test", "/gender", "male")]), 422),
    "a result that is invalid": (binary([op("add", "/colour", "red")]), 422),
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_wrong_patch_refuses_the_transaction_and_is_named(fhir: Fhir, mark: str, what: str) -> None:
    resource, status = WRONG[what]
    await fhir.store(patient(mark))
    entries = [put(patient(f"{mark}b")), entry("PATCH", f"Patient/{mark}", resource)]
    issue = refused(await fhir.post("", bundle("transaction", *entries)), status)
    assert issue["expression"][0].startswith("Bundle.entry[1]")
    refused(await fhir.get(f"Patient/{mark}b"), 404)
    assert statuses(done(await fhir.post("", bundle("batch", *entries)))) == ["201", str(status)]


@pytest.mark.parametrize("second", ["Patient/{}", "Patient?identifier={}"])
async def test_a_patch_and_another_write_of_one_resource_are_refused(fhir: Fhir, mark: str, second: str) -> None:
    await fhir.store(patient(mark))
    whole = bundle("transaction", put(patient(mark)), entry("PATCH", second.format(mark), binary([])))
    refused(await fhir.post("", whole), 400)
