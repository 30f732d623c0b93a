"""create, update and delete, with their conditions (https://hl7.org/fhir/R4/http.html#create, #update, #delete)."""

import asyncio

import pytest

from tests.client import Fhir, done, place, refused, version_of

PATIENT = {"resourceType": "Patient", "name": [{"family": "李"}]}


def patient(id: str, **more: object) -> dict[str, object]:
    return {**PATIENT, "id": id, **more}


# -------------------------------------------------------------------------------------------------------- create
async def test_create_gives_an_id_a_version_and_a_location(fhir: Fhir) -> None:
    response = await fhir.post("Patient", PATIENT | {"id": "mine", "meta": {"versionId": "7", "tag": [{"code": "x"}]}})
    created = done(response, 201)
    assert created["id"] != "mine", "a client's id counts only in an update"
    assert response.headers["location"] == f"{fhir.base}/Patient/{created['id']}/_history/1"
    assert created["meta"]["versionId"] == "1"
    assert created["meta"]["tag"] == [{"code": "x"}]
    assert done(await fhir.get(response.headers["location"])) == created


async def test_two_creates_of_one_body_make_two_resources(fhir: Fhir) -> None:
    assert (await fhir.create(PATIENT))["id"] != (await fhir.create(PATIENT))["id"]


@pytest.mark.parametrize(
    ("prefer", "type"),
    [
        ("", "Patient"),
        ("return=representation", "Patient"),
        ("return=OperationOutcome", "OperationOutcome"),
        ("return=minimal", ""),
        ("return=minimal; foo=bar", ""),
    ],
)
async def test_prefer_says_what_a_write_returns(fhir: Fhir, mark: str, prefer: str, type: str) -> None:
    for response in (
        await fhir.post("Patient", PATIENT, prefer=prefer),
        await fhir.put(f"Patient/{mark}", patient(mark), prefer=prefer),
        await fhir.put(f"Patient/{mark}", patient(mark, gender="male"), prefer=prefer),
        await fhir.put(f"Patient/{mark}", patient(mark, gender="male"), prefer=prefer),
    ):
        body = done(response, 200, 201)
        assert body.get("resourceType", "") == type
        assert "etag" in response.headers


# -------------------------------------------------------------------------------------------------------- update
async def test_update_makes_the_next_version(fhir: Fhir, mark: str) -> None:
    first = await fhir.put(f"Patient/{mark}", patient(mark))
    assert (first.status_code, version_of(first), place(first)) == (201, 1, f"Patient/{mark}")
    second = await fhir.put(f"Patient/{mark}", patient(mark, gender="male"))
    assert (second.status_code, version_of(second)) == (200, 2)
    assert "location" not in second.headers
    assert done(await fhir.get(f"Patient/{mark}")) == second.json()


async def test_an_update_that_changes_nothing_makes_no_version(fhir: Fhir, mark: str) -> None:
    stored = done(await fhir.put(f"Patient/{mark}", patient(mark)), 201)
    for body in (
        patient(mark),
        stored,  # as it was read, with its meta
        f'\n{{ "resourceType" : "Patient",\t"name":[ {{"family":"李"}} ], "id":"{mark}" }}'.encode(),
    ):
        again = await fhir.put(f"Patient/{mark}", body)
        assert (again.status_code, version_of(again)) == (200, 1), body
    assert [e["resource"] for e in done(await fhir.get(f"Patient/{mark}/_history"))["entry"]] == [stored]


@pytest.mark.parametrize(
    "change",
    [
        {"gender": "male"},
        {"name": [{"family": "李", "given": ["四"]}]},
        {"meta": {"tag": [{"code": "new"}]}},
        {"extension": [{"url": "urn:x", "valueDecimal": 1.0}]},
    ],
)
async def test_an_update_that_changes_anything_makes_a_version(
    fhir: Fhir, mark: str, change: dict[str, object]
) -> None:
    await fhir.store(patient(mark, extension=[{"url": "urn:x", "valueDecimal": 1}]))
    assert version_of(await fhir.put(f"Patient/{mark}", patient(mark, **change))) == 2


async def test_a_decimal_with_another_precision_is_a_change(fhir: Fhir, mark: str) -> None:
    body = '{"resourceType":"Basic","id":"%s","code":{"text":"x"},"extension":[{"url":"urn:x","valueDecimal":%s}]}'
    for version, number in enumerate(("1.0", "1.00", "1"), 1):
        assert version_of(await fhir.put(f"Basic/{mark}", (body % (mark, number)).encode())) == version


async def test_if_match_lets_only_the_writer_pass_who_saw_the_current_version(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    assert version_of(await fhir.put(f"Patient/{mark}", patient(mark, gender="male"), if_match='W/"1"')) == 2
    stale = refused(await fhir.put(f"Patient/{mark}", patient(mark, gender="other"), if_match='W/"1"'), 412)
    assert (stale["code"], stale["expression"]) == ("conflict", ["http.If-Match"])
    assert "version 2" in stale["diagnostics"]
    refused(await fhir.delete(f"Patient/{mark}", if_match='W/"1"'), 412)
    assert done(await fhir.get(f"Patient/{mark}"))["gender"] == "male"
    assert (await fhir.delete(f"Patient/{mark}", if_match='W/"2"')).status_code == 204


async def test_if_match_on_what_is_not_there_does_not_hold(fhir: Fhir, mark: str) -> None:
    refused(await fhir.put(f"Patient/{mark}", patient(mark), if_match='W/"1"'), 412)
    refused(await fhir.get(f"Patient/{mark}"), 404)


@pytest.mark.parametrize("tag", ["1", "W/1", 'W/"x"', "*", 'W/"1", W/"2"', 'W/"1e3"'])
async def test_an_if_match_that_is_no_etag_is_named(fhir: Fhir, mark: str, tag: str) -> None:
    issue = refused(await fhir.put(f"Patient/{mark}", patient(mark), if_match=tag), 400)
    assert issue["expression"] == ["http.If-Match"]


async def test_parallel_writers_with_if_match_all_but_one_are_stale(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    answers = await asyncio.gather(
        *(fhir.put(f"Patient/{mark}", patient(mark, language=f"x-{n}"), if_match='W/"1"') for n in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7


async def test_parallel_writers_without_if_match_each_get_a_version(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    answers = await asyncio.gather(*(fhir.put(f"Patient/{mark}", patient(mark, language=f"x-{n}")) for n in range(5)))
    assert sorted(version_of(answer) for answer in answers) == [2, 3, 4, 5, 6]


async def test_the_id_of_body_and_address_must_be_the_same(face: Fhir) -> None:
    for body in (patient("other"), PATIENT):
        issue = refused(await face.put("Patient/mine", body), 400)
        assert issue["expression"] == ["Patient.id"]


@pytest.mark.parametrize("id", ["a b", "a_b", "x" * 65, "王", "a%00b", "a%2Fb", "a%3Fb"])
async def test_an_id_outside_the_alphabet_is_refused(face: Fhir, id: str) -> None:
    from urllib.parse import unquote

    response = await face.put(f"Patient/{id}", patient(unquote(id)))
    assert response.status_code in (400, 404)
    assert response.json()["resourceType"] == "OperationOutcome"


async def test_ids_of_64_letters_dots_and_dashes_are_fine(fhir: Fhir, mark: str) -> None:
    id = f"{mark}.-A-.z".ljust(64, "0")
    done(await fhir.put(f"Patient/{id}", patient(id)), 201)
    assert await fhir.ids(f"Patient?_id={id}") == [id]


# -------------------------------------------------------------------------------------------------------- delete
async def test_delete_answers_without_a_body_and_hides_the_resource(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    response = await fhir.delete(f"Patient/{mark}")
    assert (response.status_code, response.content, response.headers["etag"]) == (204, b"", 'W/"2"')
    refused(await fhir.get(f"Patient/{mark}"), 410)
    assert await fhir.ids(f"Patient?_id={mark}") == []


async def test_delete_of_what_is_gone_or_never_was_changes_nothing(fhir: Fhir, mark: str) -> None:
    assert (await fhir.delete(f"Patient/{mark}")).status_code == 204
    await fhir.store(patient(mark))
    for _ in range(3):
        assert (await fhir.delete(f"Patient/{mark}")).status_code == 204
    assert done(await fhir.get(f"Patient/{mark}/_history"))["total"] == 2


async def test_a_resource_created_again_goes_on_counting_its_versions(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    await fhir.delete(f"Patient/{mark}")
    again = await fhir.put(f"Patient/{mark}", patient(mark))
    assert (again.status_code, version_of(again)) == (201, 3)
    assert await fhir.ids(f"Patient?_id={mark}") == [mark]


# --------------------------------------------------------------------------------------------------- conditional
def with_identifier(value: str, **more: object) -> dict[str, object]:
    return {**PATIENT, "identifier": [{"system": "urn:t", "value": value}], **more}


async def test_conditional_create_stores_once(fhir: Fhir, mark: str) -> None:
    first = await fhir.post("Patient", with_identifier(mark), if_none_exist=f"identifier=urn:t|{mark}")
    second = await fhir.post("Patient", with_identifier(mark), if_none_exist=f"identifier=urn:t|{mark}")
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert "location" not in second.headers or place(second) == place(first)
    assert len(await fhir.ids(f"Patient?identifier=urn:t|{mark}")) == 1


async def test_conditional_create_with_several_matches_is_refused(fhir: Fhir, mark: str) -> None:
    await fhir.create(with_identifier(mark))
    await fhir.create(with_identifier(mark))
    refused(await fhir.post("Patient", with_identifier(mark), if_none_exist=f"identifier={mark}"), 412)
    assert len(await fhir.ids(f"Patient?identifier={mark}")) == 2


async def test_parallel_conditional_creates_make_one_resource(fhir: Fhir, mark: str) -> None:
    answers = await asyncio.gather(
        *(fhir.post("Patient", with_identifier(mark), if_none_exist=f"identifier=urn:t|{mark}") for _ in range(12))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 11 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_deleted_match_does_not_count(fhir: Fhir, mark: str) -> None:
    query = f"identifier=urn:t|{mark}"
    first = done(await fhir.post("Patient", with_identifier(mark), if_none_exist=query), 201)
    await fhir.delete(f"Patient/{first['id']}")
    assert done(await fhir.post("Patient", with_identifier(mark), if_none_exist=query), 201)["id"] != first["id"]


async def test_a_match_that_changed_its_identifier_does_not_count(fhir: Fhir, mark: str) -> None:
    query = f"identifier=urn:t|{mark}"
    first = done(await fhir.post("Patient", with_identifier(mark), if_none_exist=query), 201)
    done(await fhir.put(f"Patient/{first['id']}", with_identifier(f"{mark}x", id=first["id"])))
    done(await fhir.post("Patient", with_identifier(mark), if_none_exist=query), 201)


@pytest.mark.parametrize("criteria", ["nope=1", "_count=1", "_sort=_id", "identifier:wrong=1", "birthdate=soon"])
async def test_conditional_criteria_that_are_none_are_refused(face: Fhir, criteria: str) -> None:
    assert refused(await face.post("Patient", PATIENT, if_none_exist=criteria), 400)["expression"]
    assert refused(await face.put(f"Patient?{criteria}", PATIENT), 400)["expression"]


async def test_conditional_update_creates_updates_and_refuses(fhir: Fhir, mark: str) -> None:
    query = f"Patient?identifier=urn:t|{mark}"
    created = done(await fhir.put(query, with_identifier(mark)), 201)
    updated = await fhir.put(query, with_identifier(mark, gender="male"))
    assert (updated.status_code, version_of(updated), updated.json()["id"]) == (200, 2, created["id"])
    assert version_of(await fhir.put(query, with_identifier(mark, gender="male"))) == 2
    issue = refused(await fhir.put(query, with_identifier(mark, id="another")), 400)
    assert issue["expression"] == ["Patient.id"]
    await fhir.create(with_identifier(mark))
    refused(await fhir.put(query, with_identifier(mark)), 412)


async def test_conditional_update_without_match_takes_the_id_of_the_body(fhir: Fhir, mark: str) -> None:
    created = done(await fhir.put(f"Patient?identifier=urn:t|{mark}", with_identifier(mark, id=mark)), 201)
    assert created["id"] == mark


async def test_parallel_conditional_updates_make_one_resource(fhir: Fhir, mark: str) -> None:
    query = f"Patient?identifier=urn:t|{mark}"
    answers = await asyncio.gather(*(fhir.put(query, with_identifier(mark, language=f"x-{n}")) for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len(await fhir.ids(query)) == 1
    assert max(version_of(answer) for answer in answers) == 8
