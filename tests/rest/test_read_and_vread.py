"""read, vread, conditional read and HEAD (https://hl7.org/fhir/R4/http.html#read, #vread, #cread)."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest

from tests.client import FHIR_JSON, Fhir, done, refused, version_of

PATIENT = {"resourceType": "Patient", "name": [{"family": "王", "given": ["小明"]}]}


async def test_read_gives_the_resource_with_its_version_and_time(fhir: Fhir) -> None:
    created = await fhir.create(PATIENT)
    response = await fhir.get(f"Patient/{created['id']}")
    assert done(response, 200) == created
    assert response.headers["etag"] == 'W/"1"'
    assert response.headers["content-type"] == f"{FHIR_JSON}; charset=utf-8"
    assert created["meta"]["versionId"] == "1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created["meta"]["lastUpdated"])
    written = datetime.fromisoformat(created["meta"]["lastUpdated"])
    assert parsedate_to_datetime(response.headers["last-modified"]) == written.replace(microsecond=0)


async def test_read_of_an_unknown_id_is_not_found(fhir: Fhir, mark: str) -> None:
    assert refused(await fhir.get(f"Patient/{mark}"), 404)["code"] == "not-found"


async def test_read_of_a_deleted_resource_is_gone(fhir: Fhir, mark: str) -> None:
    done(await fhir.put(f"Patient/{mark}", PATIENT | {"id": mark}))
    await fhir.delete(f"Patient/{mark}")
    assert refused(await fhir.get(f"Patient/{mark}"), 410)["code"] == "deleted"


async def test_an_id_belongs_to_its_type(fhir: Fhir, mark: str) -> None:
    await fhir.store(PATIENT | {"id": mark})
    refused(await fhir.get(f"Organization/{mark}"), 404)
    done(await fhir.put(f"Organization/{mark}", {"resourceType": "Organization", "id": mark, "name": "x"}), 201)
    assert done(await fhir.get(f"Patient/{mark}"))["resourceType"] == "Patient"


async def test_vread_gives_every_version_as_it_was(fhir: Fhir, mark: str) -> None:
    for gender in ("male", "female", "other"):
        done(await fhir.put(f"Patient/{mark}", PATIENT | {"id": mark, "gender": gender}))
    for version, gender in enumerate(("male", "female", "other"), 1):
        response = await fhir.get(f"Patient/{mark}/_history/{version}")
        assert done(response, 200)["gender"] == gender
        assert version_of(response) == version
        assert response.json()["meta"]["versionId"] == str(version)


async def test_vread_of_a_deletion_is_gone_and_the_versions_around_it_stay(fhir: Fhir, mark: str) -> None:
    done(await fhir.put(f"Patient/{mark}", PATIENT | {"id": mark}))
    await fhir.delete(f"Patient/{mark}")
    done(await fhir.put(f"Patient/{mark}", PATIENT | {"id": mark}))
    done(await fhir.get(f"Patient/{mark}/_history/1"))
    refused(await fhir.get(f"Patient/{mark}/_history/2"), 410)
    done(await fhir.get(f"Patient/{mark}/_history/3"))


async def test_vread_of_a_version_that_is_not_there_is_not_found(fhir: Fhir, mark: str) -> None:
    await fhir.store(PATIENT | {"id": mark})
    for version in ("2", "0", "-1", "1.0", "x", "９", "99999999999999999999", "%00"):
        assert refused(await fhir.get(f"Patient/{mark}/_history/{version}"), 404)["code"] == "not-found", version


async def test_conditional_read_sends_no_body_when_nothing_changed(fhir: Fhir, mark: str) -> None:
    await fhir.store(PATIENT | {"id": mark})
    response = await fhir.get(f"Patient/{mark}", if_none_match='W/"1"')
    assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", 'W/"1"')
    done(await fhir.get(f"Patient/{mark}", if_none_match='W/"2"'))
    at = parsedate_to_datetime(response.headers["last-modified"])
    unchanged = await fhir.get(f"Patient/{mark}", if_modified_since=format_datetime(at, usegmt=True))
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    done(await fhir.get(f"Patient/{mark}", if_modified_since=format_datetime(at - timedelta(hours=1), usegmt=True)))


@pytest.mark.parametrize("tags", ["*", " * ", '"2"', 'W/"1", W/"2"', 'W/"2","x"', '"a" , "2",'])
async def test_if_none_match_takes_a_list_or_any(fhir: Fhir, mark: str, tags: str) -> None:
    refused(await fhir.get(f"Patient/{mark}", if_none_match=tags), 404)
    for language in ("zh", "en"):
        done(await fhir.put(f"Patient/{mark}", PATIENT | {"id": mark, "language": language}))
    for method in ("GET", "HEAD"):
        response = await fhir.send(method, f"Patient/{mark}", if_none_match=tags)
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", 'W/"2"')


@pytest.mark.parametrize("tags", ['W/"1", W/"3"', '"x"', 'W/"22"', '"1";"2"'])
async def test_if_none_match_of_other_versions_reads(fhir: Fhir, mark: str, tags: str) -> None:
    for language in ("zh", "en"):
        done(await fhir.put(f"Patient/{mark}", PATIENT | {"id": mark, "language": language}))
    later = "Fri, 01 Jan 2038 00:00:00 GMT"
    assert version_of(await fhir.get(f"Patient/{mark}", if_none_match=tags, if_modified_since=later)) == 2


async def test_a_condition_that_is_not_one_is_left_out(fhir: Fhir, mark: str) -> None:
    await fhir.store(PATIENT | {"id": mark})
    done(await fhir.get(f"Patient/{mark}", if_modified_since="yesterday"))
    done(await fhir.get(f"Patient/{mark}", if_none_match="x"))


async def test_head_says_what_get_says_without_the_body(fhir: Fhir, mark: str) -> None:
    await fhir.store(PATIENT | {"id": mark})
    for path in (f"Patient/{mark}", f"Patient?_id={mark}", f"Patient/{mark}/_history", "metadata", f"Patient/no{mark}"):
        head, get = await fhir.send("HEAD", path), await fhir.get(path)
        assert head.status_code == get.status_code
        assert head.content == b""
        assert dict(head.headers) == dict(get.headers)


async def test_last_updated_is_utc_and_now(fhir: Fhir) -> None:
    created = await fhir.create(PATIENT)
    at = datetime.fromisoformat(created["meta"]["lastUpdated"])
    assert abs(datetime.now(UTC) - at) < timedelta(seconds=60)
