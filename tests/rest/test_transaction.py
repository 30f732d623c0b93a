"""transaction (https://hl7.org/fhir/R4/http.html#transaction, bundle.html#bundle-unique, #references)."""

import asyncio

import pytest

from tests.client import Fhir, Resource, bundle, done, entry, place, post, put, refused, statuses

PATIENT = {"resourceType": "Patient"}


def patient(mark: str, **more: object) -> Resource:
    return {**PATIENT, "identifier": [{"system": "urn:t", "value": mark}], **more}


def observation(subject: str, **more: object) -> Resource:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "体温"},
        "subject": {"reference": subject},
        **more,
    }


async def transact(fhir: Fhir, *entries: Resource, **headers: str) -> Resource:
    return done(await fhir.post("", bundle("transaction", *entries), **headers), 200)


async def read(fhir: Fhir, response: Resource, number: int) -> Resource:
    """The resource that an entry's `location` names."""
    return done(await fhir.get(response["entry"][number]["response"]["location"]))


async def test_a_transaction_answers_in_the_order_of_its_entries(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark, id=f"{mark}d"), patient(mark, id=f"{mark}u"), patient(mark, id=f"{mark}r"))
    answer = await transact(
        fhir,
        entry("GET", f"Patient/{mark}r"),
        put(patient(mark, id=f"{mark}u", gender="male")),
        post(patient(f"{mark}new")),
        entry("DELETE", f"Patient/{mark}d"),
    )
    assert answer["type"] == "transaction-response"
    assert statuses(answer) == ["200", "200", "201", "204"]
    assert answer["entry"][0]["resource"]["id"] == f"{mark}r"
    assert [e["response"].get("etag") for e in answer["entry"]] == ['W/"1"', 'W/"2"', 'W/"1"', 'W/"2"']
    refused(await fhir.get(f"Patient/{mark}d"), 410)


async def test_reads_of_a_transaction_see_its_writes(fhir: Fhir, mark: str) -> None:
    answer = await transact(fhir, entry("GET", f"Patient?identifier={mark}"), post(patient(mark)))
    assert answer["entry"][0]["resource"]["total"] == 1


async def test_the_response_carries_bodies_only_when_asked(fhir: Fhir, mark: str) -> None:
    plain = await transact(fhir, post(patient(mark)))
    assert "resource" not in plain["entry"][0]
    whole = await transact(fhir, post(patient(mark)), prefer="return=representation")
    assert whole["entry"][0]["resource"] == await read(fhir, whole, 0)


async def test_an_empty_transaction_is_answered_with_an_empty_one(fhir: Fhir) -> None:
    assert await transact(fhir) == {"resourceType": "Bundle", "type": "transaction-response"}


# ---------------------------------------------------------------------------------------------------- references
@pytest.mark.parametrize(
    ("full_url", "reference"),
    [
        ("urn:uuid:8d2ae2a4-4d5c-4a3c-9fd3-4e6a3a1b9f10", "urn:uuid:8d2ae2a4-4d5c-4a3c-9fd3-4e6a3a1b9f10"),
        ("urn:oid:1.2.156.112605.1", "urn:oid:1.2.156.112605.1"),
        ("http://his.example.org/fhir/Patient/77", "http://his.example.org/fhir/Patient/77"),
        ("http://his.example.org/fhir/Patient/77", "Patient/77"),
    ],
)
async def test_references_to_a_full_url_become_the_new_id(fhir: Fhir, mark: str, full_url: str, reference: str) -> None:
    for subject_first in (True, False):
        base = "http://his.example.org/fhir/Observation/1" if full_url.startswith("http") else "urn:uuid:" + "1" * 32
        entries = [post(patient(mark), full_url), post(observation(reference), base)]
        answer = await transact(fhir, *(entries if subject_first else entries[::-1]))
        subject, stored = (0, 1) if subject_first else (1, 0)
        expected = "/".join(answer["entry"][subject]["response"]["location"].split("/")[:2])
        assert (await read(fhir, answer, stored))["subject"] == {"reference": expected}
        found = await fhir.ids(f"Observation?subject={expected}")
        assert [f"Observation/{id}" for id in found] == [
            "/".join(answer["entry"][stored]["response"]["location"].split("/")[:2])
        ]


async def test_two_resources_may_point_at_each_other_and_at_themselves(fhir: Fhir, mark: str) -> None:
    one, two = "urn:uuid:" + "a" * 32, "urn:uuid:" + "b" * 32
    answer = await transact(
        fhir,
        post(patient(mark, link=[{"other": {"reference": two}, "type": "seealso"}]), one),
        post(patient(mark, link=[{"other": {"reference": two}, "type": "seealso"}]), two),
    )
    second = answer["entry"][1]["response"]["location"].split("/")[1]
    for number in (0, 1):
        assert (await read(fhir, answer, number))["link"][0]["other"]["reference"] == f"Patient/{second}"


async def test_references_in_extensions_contained_resources_and_lists_are_replaced_too(fhir: Fhir, mark: str) -> None:
    urn = "urn:uuid:" + "c" * 32
    resource = observation(
        urn,
        contained=[{"resourceType": "Provenance", "id": "p", "target": [{"reference": urn}],
                    "recorded": "2024-01-01T00:00:00Z", "agent": [{"who": {"reference": urn}}]}],
        extension=[{"url": "urn:x", "valueReference": {"reference": urn, "display": urn}}],
        performer=[{"reference": urn}, {"reference": "Practitioner/1"}],
    )  # fmt: skip
    answer = await transact(fhir, post(patient(mark), urn), post(resource))
    id = answer["entry"][0]["response"]["location"].split("/")[1]
    stored = await read(fhir, answer, 1)
    assert stored["contained"][0]["target"] == [{"reference": f"Patient/{id}"}]
    assert stored["extension"][0]["valueReference"] == {"reference": f"Patient/{id}", "display": urn}
    assert stored["performer"] == [{"reference": f"Patient/{id}"}, {"reference": "Practitioner/1"}]


async def test_text_that_looks_like_a_reference_is_left_alone(fhir: Fhir, mark: str) -> None:
    urn = "urn:uuid:" + "d" * 32
    text = f'{{"reference":"{urn}"}}'
    answer = await transact(fhir, post(patient(mark), urn), post(observation(urn, note=[{"text": text}])))
    assert (await read(fhir, answer, 1))["note"][0]["text"] == text


async def test_references_to_what_is_not_in_the_bundle_stay(fhir: Fhir, mark: str) -> None:
    answer = await transact(fhir, post(observation(f"Patient/{mark}nobody"), "urn:uuid:" + "e" * 32))
    assert (await read(fhir, answer, 0))["subject"]["reference"] == f"Patient/{mark}nobody"


async def test_references_to_an_updated_entry_become_its_address(fhir: Fhir, mark: str) -> None:
    urn = "urn:uuid:" + "f" * 32
    answer = await transact(fhir, put(patient(mark, id=mark)) | {"fullUrl": urn}, post(observation(urn)))
    assert (await read(fhir, answer, 1))["subject"]["reference"] == f"Patient/{mark}"


# -------------------------------------------------------------------------------------------------- conditionals
async def test_if_none_exist_keeps_what_is_there_and_references_point_at_it(fhir: Fhir, mark: str) -> None:
    there = await fhir.create(patient(mark))
    urn = "urn:uuid:" + "1" * 32
    answer = await transact(
        fhir, post(patient(mark), urn, ifNoneExist=f"identifier=urn:t|{mark}"), post(observation(urn))
    )
    assert statuses(answer) == ["200", "201"]
    assert (await read(fhir, answer, 1))["subject"]["reference"] == f"Patient/{there['id']}"
    assert (await read(fhir, answer, 0)) == there


async def test_a_transaction_sent_twice_changes_nothing_the_second_time(fhir: Fhir, mark: str) -> None:
    urn = "urn:uuid:" + "2" * 32
    entries = [
        post(patient(mark), urn, ifNoneExist=f"identifier=urn:t|{mark}"),
        put(observation(urn, id=f"{mark}o")),
        entry("PUT", f"Organization?identifier={mark}", {
            "resourceType": "Organization", "identifier": [{"value": mark}], "name": "医院",
        }),
    ]  # fmt: skip
    first = await transact(fhir, *entries)
    assert statuses(first) == ["201"] * 3
    second = await transact(fhir, *entries)
    assert statuses(second) == ["200"] * 3
    assert [e["response"]["location"] for e in second["entry"]] == [e["response"]["location"] for e in first["entry"]]
    assert all("nothing changed" in e["response"]["outcome"]["issue"][0]["diagnostics"] for e in second["entry"])


async def test_parallel_transactions_with_one_identity_store_it_once(fhir: Fhir, mark: str) -> None:
    urn = "urn:uuid:" + "3" * 32

    async def one() -> Resource:
        return await transact(
            fhir, post(patient(mark), urn, ifNoneExist=f"identifier=urn:t|{mark}"), post(observation(urn))
        )

    answers = await asyncio.gather(*(one() for _ in range(6)))
    assert sorted(statuses(answer)[0] for answer in answers) == ["200"] * 5 + ["201"]
    assert len(await fhir.ids(f"Patient?identifier={mark}")) == 1
    subjects = {(await read(fhir, answer, 1))["subject"]["reference"] for answer in answers}
    assert len(subjects) == 1


# ------------------------------------------------------------------------------------------------- all or nothing
async def nothing_stored(fhir: Fhir, mark: str) -> None:
    assert await fhir.ids(f"Patient?identifier={mark}") == []
    assert (await fhir.get(f"Patient/{mark}")).status_code == 404


def good(mark: str) -> list[Resource]:
    return [post(patient(mark)), put(patient(mark, id=mark))]


WRONG = {
    "an element that R4 does not have": (
        post({**PATIENT, "colour": "red"}), 400, "structure", "Bundle.entry[2].resource.colour",
    ),
    "a wrong value deep inside": (
        post({**PATIENT, "name": [{"family": "x"}, {"given": ["a", 5]}]}), 400, "value",
        "Bundle.entry[2].resource.name[1].given[1]",
    ),
    "another type than its url": (
        entry("POST", "Organization", PATIENT), 400, "invalid", "Bundle.entry[2].resource.resourceType",
    ),
    "an id that is not that of its url": (
        entry("PUT", "Patient/a", {**PATIENT, "id": "b"}), 400, "invalid", "Bundle.entry[2].resource.id",
    ),
    "a resource missing": (entry("POST", "Patient"), 400, "required", "Bundle.entry[2].resource"),
    "a resource too many": (entry("GET", "Patient/x", PATIENT), 400, "invalid", "Bundle.entry[2].resource"),
    "no request": ({"resource": PATIENT}, 400, "required", "Bundle.entry[2].request"),
    "a request without url": (
        {"resource": PATIENT, "request": {"method": "POST"}}, 400, "structure", "Bundle.entry[2].request",
    ),
    "a url that is a number": (
        {"resource": PATIENT, "request": {"method": "POST", "url": 1}}, 400, "structure",
        "Bundle.entry[2].request.url",
    ),
    "a type that R4 does not have": (
        entry("POST", "Person1", PATIENT), 400, "invalid", "Bundle.entry[2].request.url",
    ),
    "an id that is none": (entry("GET", "Patient/a_b"), 400, "invalid", "Bundle.entry[2].request.url"),
    "a method that is not supported": (
        entry("HEAD", "Patient/x"), 501, "not-supported", "Bundle.entry[2].request.method",
    ),
    "a method that is none": (entry("FETCH", "Patient/x"), 400, "invalid", "Bundle.entry[2].request.method"),
    "a delete without id or criteria": (entry("DELETE", "Patient"), 400, "invalid", "Bundle.entry[2].request.url"),
    "a delete with id and criteria": (
        entry("DELETE", "Patient/a?name=x"), 400, "invalid", "Bundle.entry[2].request.url",
    ),
    "a put without id": (entry("PUT", "Patient", PATIENT), 400, "invalid", "Bundle.entry[2].request.url"),
    "an If-Match that is no etag": (
        entry("PUT", "Patient/x", {**PATIENT, "id": "x"}, ifMatch="now"), 400, "invalid",
        "Bundle.entry[2].request.ifMatch",
    ),
    "an If-Match that does not hold": (
        entry("PUT", "Patient/x", {**PATIENT, "id": "x"}, ifMatch='W/"9"'), 412, "conflict", "Bundle.entry[2]",
    ),
    "criteria with an unknown parameter": (
        post(PATIENT, ifNoneExist="nope=1"), 400, "not-supported", "Bundle.entry[2]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
async def test_one_wrong_entry_stores_nothing_and_is_named(fhir: Fhir, mark: str, what: str) -> None:
    wrong, status, code, expression = WRONG[what]
    issue = refused(await fhir.post("", bundle("transaction", *good(mark), wrong)), status)
    assert (issue["code"], issue["expression"]) == (code, [expression]), issue
    await nothing_stored(fhir, mark)


async def test_several_matches_of_if_none_exist_refuse_the_whole(fhir: Fhir, mark: str) -> None:
    await fhir.create(patient(f"{mark}two"))
    await fhir.create(patient(f"{mark}two"))
    wrong = post(patient(mark), ifNoneExist=f"identifier={mark}two")
    issue = refused(await fhir.post("", bundle("transaction", *good(mark), wrong)), 412)
    assert issue["expression"] == ["Bundle.entry[2]"]
    await nothing_stored(fhir, mark)


@pytest.mark.parametrize(
    "double",
    [
        [put({**PATIENT, "id": "x"}), put({**PATIENT, "id": "x", "gender": "male"})],
        [put({**PATIENT, "id": "x"}), entry("DELETE", "Patient/x")],
        [post(PATIENT, "urn:uuid:1"), post(PATIENT, "urn:uuid:1")],
        [post(PATIENT, ifNoneExist="identifier=urn:t|z"), post(PATIENT, ifNoneExist="identifier=urn:t|z")],
        [
            post(PATIENT, ifNoneExist="identifier=urn:t|z&gender=male"),
            post(PATIENT, ifNoneExist="gender=male&identifier=urn:t|z"),
        ],
        [post(PATIENT, ifNoneExist="identifier=urn:t|z"), post(PATIENT, ifNoneExist="identifier=urn:t%7Cz")],
    ],
    ids=["two updates", "update and delete", "full url", "criteria", "criteria in another order", "criteria encoded"],
)
async def test_one_identity_twice_in_a_transaction_is_refused(fhir: Fhir, mark: str, double: list[Resource]) -> None:
    issue = refused(await fhir.post("", bundle("transaction", *good(mark), *double)), 400)
    assert issue["expression"][0].startswith("Bundle.entry")
    await nothing_stored(fhir, mark)


async def test_an_update_and_a_conditional_update_of_one_resource_are_refused(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(f"{mark}there", id=f"{mark}there"))
    double = [
        put(patient(f"{mark}there", id=f"{mark}there", gender="male")),
        entry("PUT", f"Patient?identifier={mark}there", patient(f"{mark}there", gender="female")),
    ]
    refused(await fhir.post("", bundle("transaction", *good(mark), *double)), 400)
    await nothing_stored(fhir, mark)


async def test_what_a_transaction_deletes_cannot_be_what_if_none_exist_keeps(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(f"{mark}there", id=f"{mark}there"))
    double = [
        entry("DELETE", f"Patient/{mark}there"),
        post(patient(f"{mark}there"), ifNoneExist=f"identifier={mark}there"),
    ]
    refused(await fhir.post("", bundle("transaction", *good(mark), *double)), 400)
    await nothing_stored(fhir, mark)
    done(await fhir.get(f"Patient/{mark}there"))


@pytest.mark.parametrize(
    ("body", "code", "expression"),
    [
        ({"resourceType": "Patient"}, "invalid", "Bundle.resourceType"),
        ({"resourceType": "Bundle", "type": "collection"}, "invalid", "Bundle.type"),
        ({"resourceType": "Bundle"}, "invalid", "Bundle.type"),
        ({"resourceType": "Bundle", "type": "batch", "entry": {}}, "structure", "Bundle.entry"),
        ({"resourceType": "Bundle", "type": "batch", "entry": [1]}, "structure", "Bundle.entry[0]"),
        (["Bundle"], "structure", "Bundle"),
        (b'{"resourceType":"Bundle",\n"type":"batch",\n "entry":[}', "structure", "Bundle"),
        (b"", "structure", "Bundle"),
    ],
)
async def test_what_is_no_batch_or_transaction_is_refused(face: Fhir, body: object, code: str, expression: str) -> None:
    issue = refused(await face.post("", body), 400)
    assert (issue["code"], issue["expression"]) == (code, [expression])
    if isinstance(body, bytes) and body:
        assert "line 3 column 11" in issue["diagnostics"]


async def test_a_stored_transaction_is_whole_in_the_history(empty: Fhir) -> None:
    refused(await empty.post("", bundle("transaction", *good("x"), WRONG["no request"][0])), 400)
    assert "entry" not in done(await empty.get("_history"))
    await transact(empty, *good("x"))
    assert done(await empty.get("_history"))["total"] == 2


async def test_created_locations_lead_to_the_resources(fhir: Fhir, mark: str) -> None:
    single = await fhir.post("Patient", patient(mark))
    in_bundle = (await transact(fhir, post(patient(mark))))["entry"][0]["response"]["location"]
    assert in_bundle.split("/")[0] == place(single).split("/")[0]
    done(await fhir.get(in_bundle))
