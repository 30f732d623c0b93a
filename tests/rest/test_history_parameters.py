"""_since and _at of a history, and what it says of re-creations (https://hl7.org/fhir/R4/http.html#history)."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from tests import servers
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


async def written(fhir: Fhir, type: str, id: str, word: str) -> None:
    done(await fhir.put(f"{type}/{id}", {"resourceType": type, "id": id, "language": word}))


def shown(pages: list[Resource]) -> list[str]:
    """`Type/id/version` of every entry, newest first."""
    return [f"{e['request']['url']}/{e['response']['etag'][3:-1]}" for page in pages for e in page.get("entry", ())]


async def stored(fhir: Fhir) -> dict[str, str]:
    """Patients a to f and a Group, some milliseconds apart; a word for each time that a test asks for."""
    times = {}

    async def now(word: str) -> None:
        await asyncio.sleep(0.01)
        newest = done(await fhir.get("_history?_count=1"))["entry"][0]["response"]["lastModified"]
        times[word] = moved(newest, 4)
        await asyncio.sleep(0.01)

    for id in "abc":
        await written(fhir, "Patient", id, "x-1")
    await written(fhir, "Patient", "a", "x-2")
    await fhir.delete("Patient/c")
    await now("early")
    await written(fhir, "Patient", "b", "x-2")
    await written(fhir, "Patient", "d", "x-1")
    done(await fhir.put("Basic/g", {"resourceType": "Basic", "id": "g", "code": {"text": "x"}}))
    await now("middle")
    for n in range(3, 8):
        await written(fhir, "Patient", "a", f"x-{n}")
    await now("late")
    return times


@pytest.mark.parametrize("count", [1, 2, 50])
async def test_at_of_a_type_shows_what_was_current_then_on_pages_without_gaps(empty: Fhir, count: int) -> None:
    times = await stored(empty)
    early = ["Patient/c/2", "Patient/a/2", "Patient/b/1"]
    middle = ["Patient/d/1", "Patient/b/2", "Patient/c/2", "Patient/a/2"]
    late = ["Patient/a/7", "Patient/d/1", "Patient/b/2", "Patient/c/2"]
    for word, versions_then in (("early", early), ("middle", middle), ("late", late)):
        pages = await empty.pages(f"Patient/_history?_at={times[word]}&_count={count}")
        assert shown(pages) == versions_then, word
    assert shown(await empty.pages(f"_history?_at={times['middle']}&_count={count}")) == ["Basic/g/1", *middle]
    assert shown(await empty.pages(f"Patient/_history?_at=2000&_count={count}")) == []
    both = await empty.pages(f"Patient/_history?_at={times['late']}&_since={times['early']}&_count={count}")
    assert shown(both) == late[:3]


async def test_at_a_year_of_a_type_shows_all_versions_made_in_it(empty: Fhir) -> None:
    times = await stored(empty)
    whole = shown(await empty.pages("Patient/_history"))
    assert shown(await empty.pages(f"Patient/_history?_at={times['early'][:4]}&_count=3")) == whole
    page = done(await empty.get(f"Patient/_history?_at={times['early']}"))
    assert (page["total"], [e["response"]["status"][:3] for e in page["entry"]]) == (3, ["204", "200", "201"])


async def test_at_of_a_type_looks_at_few_versions_for_a_page_and_goes_on(tmp_path: Path) -> None:
    async with servers.in_process(servers.app_on("", tmp_path, history_max=3)) as http:
        fhir = Fhir(http, servers.BASE)
        times = await stored(fhir)
        pages = await fhir.pages(f"Patient/_history?_at={times['late']}&_count=2")
        assert shown(pages) == ["Patient/a/7", "Patient/d/1", "Patient/b/2", "Patient/c/2"]
        assert [len(page.get("entry", ())) for page in pages][:2] == [1, 1]


async def test_histories_of_a_list_are_not_supported(face: Fhir) -> None:
    for path in ("_history", "Patient/_history", "Patient/x/_history"):
        assert refused(await face.get(f"{path}?_list=x"), 501)["expression"] == ["_list"]


@pytest.mark.parametrize("place", ["_history", "Patient/_history"])
async def test_a_time_of_a_type_that_is_none_is_named(face: Fhir, place: str) -> None:
    assert refused(await face.get(f"{place}?_at=soon"), 400)["expression"] == ["_at"]


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
