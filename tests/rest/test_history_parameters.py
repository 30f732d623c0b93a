"""_since and _at of a history, and what it says of re-creations (https://hl7.org/fhir/R4/http.html#history)."""

import asyncio
from datetime import datetime, timedelta
from urllib.parse import quote

import pytest

from tests.client import Fhir, Resource, bundle, done, entry, links, refused

PATIENT = {"resourceType": "Patient"}


def versions(page: Resource) -> list[str]:
    return [e["response"]["etag"][3:-1] for e in page.get("entry", ())]


async def lived(fhir: Fhir, id: str) -> list[str]:
    """Four versions, the third a deletion, some milliseconds apart: when each was made."""
    times = []
    for n in (1, 2, 3, 4):
        if n == 3:
            await fhir.delete(f"Patient/{id}")
        else:
            done(await fhir.put(f"Patient/{id}", {**PATIENT, "id": id, "language": f"x-{n}"}))
        newest = done(await fhir.get(f"Patient/{id}/_history?_count=1"))["entry"][0]
        times.append(newest["response"]["lastModified"])
        await asyncio.sleep(0.01)
    return times


def moved(instant: str, milliseconds: int, offset: str = "Z") -> str:
    at = datetime.fromisoformat(instant) + timedelta(milliseconds=milliseconds)
    if offset != "Z":
        at += timedelta(hours=8)
    return quote(at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}{offset}")


async def test_since_shows_what_was_made_at_or_after_the_time(fhir: Fhir, mark: str) -> None:
    times = await lived(fhir, mark)
    for n, time in enumerate(times):
        at_or_after = [str(v) for v in range(4, n, -1)]
        path = f"Patient/{mark}/_history?_since="
        assert versions(done(await fhir.get(path + moved(time, 0)))) == at_or_after
        assert versions(done(await fhir.get(path + moved(time, 0, "+08:00")))) == at_or_after
        assert versions(done(await fhir.get(path + moved(time, 1)))) == at_or_after[:-1]


@pytest.mark.parametrize("place", ["Patient/{}/_history", "Patient/_history", "_history"])
async def test_pages_since_a_time_have_no_gap_and_end_there(empty: Fhir, place: str) -> None:
    times = await lived(empty, "a")
    pages = await empty.pages(f"{place.format('a')}?_since={moved(times[1], 0)}&_count=1")
    assert [versions(page) for page in pages] == [["4"], ["3"], ["2"]]
    assert done(await empty.get(f"{place.format('a')}?_since={moved(times[1], 0)}"))["total"] == 3
    whole = done(await empty.get(f"{place.format('a')}?_since={moved(times[1], 0)}&_count=3"))
    assert "next" not in links(whole)


async def test_nothing_since_a_time_is_an_empty_history_of_what_is_known(fhir: Fhir, mark: str) -> None:
    refused(await fhir.get(f"Patient/{mark}/_history?_since=2020"), 404)
    await lived(fhir, mark)
    page = done(await fhir.get(f"Patient/{mark}/_history?_since=2038-01-01T00:00:00Z"))
    assert (page["total"], page.get("entry")) == (0, None)


async def test_at_shows_the_version_that_was_current(fhir: Fhir, mark: str) -> None:
    times = await lived(fhir, mark)
    path = f"Patient/{mark}/_history?_at="
    for n, time in enumerate(times, 1):
        assert versions(done(await fhir.get(path + moved(time, 3)))) == [str(n)]
    assert versions(done(await fhir.get(path + moved(times[0], -1)))) == []
    assert versions(done(await fhir.get(path + "2000"))) == []
    assert versions(done(await fhir.get(path + moved(times[3], 86_400_000)))) == ["4"]


async def test_at_a_day_shows_all_that_were_current_in_it_page_by_page(fhir: Fhir, mark: str) -> None:
    times = await lived(fhir, mark)
    year = times[0][:4]
    pages = await fhir.pages(f"Patient/{mark}/_history?_at={year}&_count=3")
    assert [versions(page) for page in pages] == [["4", "3", "2"], ["1"]]


async def test_at_of_a_type_or_all_is_not_supported(face: Fhir) -> None:
    for path in ("_history", "Patient/_history"):
        assert refused(await face.get(f"{path}?_at=2024"), 501)["expression"] == ["_at"]


@pytest.mark.parametrize("query", ["_since=soon", "_since=2024-13-01", "_at=soon", "_at="])
async def test_a_time_that_is_none_is_named(fhir: Fhir, mark: str, query: str) -> None:
    await fhir.store({**PATIENT, "id": mark})
    issue = refused(await fhir.get(f"Patient/{mark}/_history?{query}"), 400)
    assert issue["expression"] == [query.partition("=")[0]]


async def test_a_creation_after_a_deletion_is_shown_as_one_on_every_page(fhir: Fhir, mark: str) -> None:
    await lived(fhir, mark)
    for count in (1, 4):
        pages = await fhir.pages(f"Patient/{mark}/_history?_count={count}")
        assert [e["response"]["status"][:3] for page in pages for e in page["entry"]] == ["201", "204", "200", "201"]
    answer = done(await fhir.post("", bundle("batch", entry("GET", f"Patient/{mark}/_history?_count=1"))))
    assert answer["entry"][0]["resource"]["entry"][0]["response"]["status"].startswith("201")
