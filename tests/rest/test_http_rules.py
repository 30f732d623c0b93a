"""Single rules of the R4 pages http and bundle that no other file shows (docs/requirements/rest.csv names them)."""

import itertools

import pytest

from tests.client import FHIR_JSON, Fhir, bundle, done, entry, links, post, put, refused, version_of

PATIENT = {"resourceType": "Patient"}


def patient(id: str, **more: object) -> dict[str, object]:
    return {**PATIENT, "id": id, **more}


# -------------------------------------------------------------------------------------------- addresses and headers
async def test_a_slash_at_the_end_of_an_address_changes_nothing(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    assert done(await fhir.get(f"Patient/{mark}/")) == done(await fhir.get(f"Patient/{mark}"))
    assert done(await fhir.post("/", bundle("batch")))["type"] == "batch-response"


async def test_without_accept_the_answer_is_json(face: Fhir) -> None:
    request = face.http.build_request("GET", f"{face.base}/metadata")
    del request.headers["accept"]
    response = await face.http.send(request)
    assert response.headers["content-type"].startswith(FHIR_JSON)
    assert response.json()["resourceType"] == "CapabilityStatement"


@pytest.mark.parametrize("accept", ["application/fhir+json", "application/fhir+xml"])
async def test_answers_say_that_they_are_utf8(face: Fhir, accept: str) -> None:
    response = await face.post("Patient", {**PATIENT, "name": [{"family": "王"}]}, accept=accept)
    assert response.headers["content-type"] == f"{accept}; charset=utf-8"
    assert "王" in response.content.decode("utf-8")


async def test_the_version_of_fhir_may_stand_in_the_media_type(face: Fhir) -> None:
    named = f"{FHIR_JSON}; fhirVersion=4.0"
    created = await face.post("Patient", PATIENT, content_type=named, accept=named)
    assert done(created, 201)["resourceType"] == "Patient"


@pytest.mark.parametrize("version", ["3.0", '"5.0"', "4.3", ""])
async def test_another_version_of_fhir_in_the_media_type_is_refused(face: Fhir, version: str) -> None:
    named = f"{FHIR_JSON}; fhirVersion={version}"
    refused(await face.post("Patient", PATIENT, content_type=named), 415)
    assert refused(await face.get("metadata", accept=named), 406)["expression"] == ["http.Accept"]
    refused(await face.get(f"metadata?_format={named}"), 406)
    done(await face.get("metadata", accept=f"{named}, application/json;q=0.5"))


@pytest.mark.parametrize(("mode", "status"), [("normative", 501), ("terminology", 501), ("x", 400), ("", 400)])
async def test_a_mode_of_the_statement_that_is_not_there_is_refused(face: Fhir, mode: str, status: int) -> None:
    assert refused(await face.get(f"metadata?mode={mode}"), status)["expression"] == ["mode"]
    assert done(await face.get("metadata?mode=full"))["resourceType"] == "CapabilityStatement"


async def test_types_and_ids_are_compared_with_their_case(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(f"{mark}a", gender="male"), patient(f"{mark}A", gender="female"))
    assert done(await fhir.get(f"Patient/{mark}a"))["gender"] == "male"
    assert done(await fhir.get(f"Patient/{mark}A"))["gender"] == "female"
    assert await fhir.ids(f"Patient?_id={mark}A") == [f"{mark}A"]
    refused(await fhir.get(f"patient/{mark}a"), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "metadata", "GET"),
        ("DELETE", "Patient/1/_history/1", "GET"),
        ("POST", "Patient/1", "DELETE, GET, PATCH, PUT"),
    ],
)
async def test_a_405_names_the_methods_in_allow(face: Fhir, method: str, path: str, allowed: str) -> None:
    response = await face.send(method, path, PATIENT)
    refused(response, 405)
    assert response.headers["allow"] == allowed


# ------------------------------------------------------------------------------------------------------------ writes
async def test_writes_answer_with_etag_and_last_modified(fhir: Fhir, mark: str) -> None:
    created = await fhir.post("Patient", PATIENT)
    updated = await fhir.put(f"Patient/{mark}", patient(mark))
    again = await fhir.put(f"Patient/{mark}", patient(mark, gender="male"))
    for response, version in ((created, 1), (updated, 1), (again, 2)):
        read = await fhir.get(f"Patient/{response.json()['id']}")
        assert version_of(response) == version
        if response is not updated:
            assert response.headers["last-modified"] == read.headers["last-modified"]


async def test_version_and_time_that_a_client_sends_are_not_taken_over(fhir: Fhir, mark: str) -> None:
    sent = {"versionId": "7", "lastUpdated": "2001-01-01T00:00:00Z"}
    for response in (
        await fhir.post("Patient", {**PATIENT, "meta": sent}),
        await fhir.put(f"Patient/{mark}", patient(mark, meta=sent)),
    ):
        meta = done(response, 201)["meta"]
        assert meta["versionId"] == "1"
        assert meta["lastUpdated"] > "2024"


@pytest.mark.parametrize(
    ("prefer", "type"),
    [("", "Patient"), ("return=representation", "Patient"), ("return=OperationOutcome", "OperationOutcome")],
)
async def test_a_patch_answers_as_an_update_does(fhir: Fhir, mark: str, prefer: str, type: str) -> None:
    await fhir.store(patient(mark))
    change = b'[{"op":"add","path":"/gender","value":"male"}]'
    response = await fhir.send(
        "PATCH", f"Patient/{mark}", change, content_type="application/json-patch+json", prefer=prefer
    )
    assert (done(response, 200)["resourceType"], version_of(response)) == (type, 2)
    read = await fhir.get(f"Patient/{mark}")
    assert response.headers["last-modified"] == read.headers["last-modified"]
    assert type != "Patient" or response.content == read.content


async def test_a_patch_does_not_touch_the_narrative(fhir: Fhir, mark: str) -> None:
    text = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">gender:  female</div>'}
    await fhir.store(patient(mark, gender="female", text=text))
    change = b'[{"op":"replace","path":"/gender","value":"male"}]'
    done(await fhir.send("PATCH", f"Patient/{mark}", change, content_type="application/json-patch+json"))
    stored = done(await fhir.get(f"Patient/{mark}"))
    assert (stored["gender"], stored["text"]) == ("male", text)


async def test_a_refused_update_leaves_the_resource_as_it_was(fhir: Fhir, mark: str) -> None:
    before = done(await fhir.put(f"Patient/{mark}", patient(mark)))
    refused(await fhir.put(f"Patient/{mark}", patient(mark, colour="red")), 400)
    assert done(await fhir.get(f"Patient/{mark}")) == before
    assert len(done(await fhir.get(f"Patient/{mark}/_history"))["entry"]) == 1


async def test_a_delete_answers_with_the_version_of_the_deletion(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    deleted = await fhir.delete(f"Patient/{mark}")
    assert (deleted.status_code, version_of(deleted)) == (204, 2)
    refused(await fhir.get(f"Patient/{mark}/_history/2"), 410)


async def test_the_statement_says_how_a_conditional_delete_works(face: Fhir) -> None:
    resources = done(await face.get("metadata"))["rest"][0]["resource"]
    assert {resource["conditionalDelete"] for resource in resources} == {"single"}


# ---------------------------------------------------------------------------------------------------------- searches
async def test_a_posted_search_takes_parameters_of_the_address_too(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(f"{mark}a", gender="male"), patient(f"{mark}b", gender="female"))
    form = {"content_type": "application/x-www-form-urlencoded"}
    page = done(await fhir.post("Patient/_search?gender=male", f"_id={mark}a,{mark}b".encode(), **form))
    assert [hit["resource"]["id"] for hit in page["entry"]] == [f"{mark}a"]


async def test_a_search_that_finds_nothing_is_an_empty_bundle(fhir: Fhir, mark: str) -> None:
    page = done(await fhir.get(f"Patient?_id={mark}"), 200)
    assert (page["type"], page["total"]) == ("searchset", 0)
    assert "entry" not in page
    assert links(page)["self"] == f"{fhir.base}/Patient?_id={mark}"


async def test_full_urls_of_a_page_are_the_addresses_of_the_resources(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    (hit,) = done(await fhir.get(f"Patient?_id={mark}"))["entry"]
    assert hit["fullUrl"] == f"{fhir.base}/Patient/{mark}"
    assert done(await fhir.get(hit["fullUrl"])) == hit["resource"]


async def test_entries_hold_what_belongs_to_the_type_of_the_bundle(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    (hit,) = done(await fhir.get(f"Patient?_id={mark}"))["entry"]
    (past,) = done(await fhir.get(f"Patient/{mark}/_history"))["entry"]
    assert set(hit) == {"fullUrl", "resource", "search"}
    assert set(past) == {"fullUrl", "resource", "request", "response"}


COMPARTMENTS = {
    "Device": ("device", {"resourceType": "Device"}),
    "Encounter": ("encounter", {"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"}}),
    "Patient": ("subject", PATIENT),
    "Practitioner": ("performer", {"resourceType": "Practitioner"}),
    "RelatedPerson": ("performer", {"resourceType": "RelatedPerson", "patient": {"reference": "Patient/x"}}),
}


@pytest.mark.parametrize("type", COMPARTMENTS)
async def test_each_compartment_of_r4_is_searched_by_its_address(fhir: Fhir, mark: str, type: str) -> None:
    element, focal = COMPARTMENTS[type]
    to = {"reference": f"{type}/{mark}"}
    seen = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    inside = {**seen, "id": f"{mark}in", element: [to] if element == "performer" else to}
    await fhir.store({**focal, "id": mark}, inside, {**seen, "id": f"{mark}out"})
    assert await fhir.ids(f"{type}/{mark}/Observation") == [f"{mark}in"]


# ------------------------------------------------------------------------------------------------------ transactions
async def test_a_stale_entry_fails_the_transaction(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    stale = entry("PUT", f"Patient/{mark}", patient(mark, gender="male"), ifMatch='W/"7"')
    issue = refused(await fhir.post("", bundle("transaction", put(patient(f"{mark}new")), stale)), 412)
    assert issue["expression"] == ["Bundle.entry[1]"]
    refused(await fhir.get(f"Patient/{mark}new"), 404)
    assert version_of(await fhir.get(f"Patient/{mark}")) == 1


async def test_entries_of_a_response_carry_etag_and_time(fhir: Fhir, mark: str) -> None:
    answer = done(await fhir.post("", bundle("transaction", post(PATIENT), put(patient(mark)))))
    for one in answer["entry"]:
        response = one["response"]
        read = done(await fhir.get("/".join(response["location"].split("/")[-4:-2])))
        assert response["etag"] == 'W/"1"'
        assert response["lastModified"] == read["meta"]["lastUpdated"]


async def test_a_full_url_twice_is_refused(fhir: Fhir) -> None:
    url = "urn:uuid:4f0a6f1c-6a0e-4c0c-9a53-3c0f6a4f7a11"
    issue = refused(await fhir.post("", bundle("transaction", post(PATIENT, url), post(PATIENT, url))), 400)
    assert url in issue["diagnostics"]


@pytest.mark.parametrize("target", [b"Patient/\xff", b"Patient?_id=\xff", b"urn:\xff"])
async def test_links_that_are_no_text_are_refused(face: Fhir, target: bytes) -> None:
    raw = b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Observation","status":'
    raw += b'"final","code":{"text":"x"},"subject":{"reference":"%b"}},"request":{"method":"POST","url":' % target
    raw += b'"Observation"}}]}'
    assert refused(await face.post("", raw), 400)["expression"] == ["Bundle.entry[0].resource"]


async def test_a_canonical_keeps_the_full_url_of_an_entry(fhir: Fhir) -> None:
    url = "urn:uuid:4f0a6f1c-6a0e-4c0c-9a53-3c0f6a4f7a12"
    library = {"resourceType": "Library", "status": "active", "type": {"text": "x"}}
    measure = {"resourceType": "Measure", "status": "active", "library": [url], "subjectReference": {"reference": url}}
    answer = done(await fhir.post("", bundle("transaction", post(library, url), post(measure))))
    made, stored = [one["response"]["location"].partition("/_history")[0] for one in answer["entry"]]
    found = done(await fhir.get(stored))
    assert (found["library"], found["subjectReference"]) == ([url], {"reference": made})


async def test_an_id_that_is_no_text_is_refused(face: Fhir) -> None:
    raw = b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient","id":"\xff"},'
    raw += b'"request":{"method":"PUT","url":"Patient?identifier=nobody"}}]}'
    assert refused(await face.post("", raw), 400)["expression"] == ["Bundle.entry[0].resource"]


async def test_a_conditional_reference_may_be_escaped(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    raw = b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Observation","status":'
    raw += b'"final","code":{"text":"x"},"subject":{"reference":"Patient\\u003f_id=%b"}},"request":' % mark.encode()
    raw += b'{"method":"POST","url":"Observation"}}]}'
    done(await fhir.post("", raw))
    (hit,) = done(await fhir.get(f"Observation?subject=Patient/{mark}"))["entry"]
    assert hit["resource"]["subject"] == {"reference": f"Patient/{mark}"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_deletes_come_first_then_creates_then_updates(empty: Fhir, order: tuple[int, ...]) -> None:
    await empty.store(patient("gone"), patient("kept"))
    entries = [entry("DELETE", "Patient/gone"), post(PATIENT), put(patient("kept", gender="male"))]
    done(await empty.post("", bundle("transaction", *(entries[number] for number in order))))
    newest = done(await empty.get("_history?_count=3"))["entry"]
    assert [one["request"]["method"] for one in newest] == ["PUT", "POST", "DELETE"]


# -------------------------------------------------------------------------------------------------------- operations
async def test_an_operation_is_called_on_the_system_a_type_an_instance_and_a_version(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark, meta={"tag": [{"code": mark}]}))
    for place in ("", "Patient/", f"Patient/{mark}/", f"Patient/{mark}/_history/1/"):
        (found,) = done(await fhir.get(f"{place}$meta"))["parameter"]
        assert mark in [tag["code"] for tag in found["valueMeta"]["tag"]], place


async def test_get_calls_what_changes_nothing_and_post_alone_what_does(fhir: Fhir, mark: str) -> None:
    await fhir.store(patient(mark))
    assert done(await fhir.get(f"Patient/{mark}/$validate?mode=delete"))["resourceType"] == "OperationOutcome"
    refused(await fhir.get(f"Patient/{mark}/$meta-add"), 405)
    refused(await fhir.get("Patient/$validate?resource=x"), 400)  # a resource is no simple parameter
    assert version_of(await fhir.get(f"Patient/{mark}")) == 1


async def test_everything_of_some_types_is_these_types_only(fhir: Fhir, mark: str) -> None:
    subject = {"reference": f"Patient/{mark}"}
    condition = {"resourceType": "Condition", "id": mark, "subject": subject}
    flag = {"resourceType": "Flag", "id": mark, "status": "active", "code": {"text": "x"}, "subject": subject}
    await fhir.store(patient(mark), condition, flag)
    for types, expected in (("Condition", ["Condition"]), ("Flag,Patient", ["Flag", "Patient"])):
        page = done(await fhir.get(f"Patient/{mark}/$everything?_type={types}"))
        assert sorted(one["resource"]["resourceType"] for one in page["entry"]) == expected
