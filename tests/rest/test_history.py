"""history of an instance, a type and all (https://hl7.org/fhir/R4/http.html#history)."""

import pytest

from tests.client import Fhir, Resource, done, entry, links, refused

PATIENT = {"resourceType": "Patient"}


async def lived(fhir: Fhir, mark: str) -> None:
    """A life of five versions: created, updated twice, deleted, created again."""
    for gender in ("male", "female", "other"):
        done(await fhir.put(f"Patient/{mark}", PATIENT | {"id": mark, "gender": gender}))
    await fhir.delete(f"Patient/{mark}")
    done(await fhir.put(f"Patient/{mark}", PATIENT | {"id": mark}))


def versions(pages: list[Resource]) -> list[str]:
    """`id/version` of every entry, by its etag."""
    return [
        f"{e['fullUrl'].rpartition('/')[2]}/{e['response']['etag'].strip('W/').strip(chr(34))}"
        for page in pages
        for e in page.get("entry", ())
    ]


async def test_history_tells_every_version_newest_first(fhir: Fhir, mark: str) -> None:
    await lived(fhir, mark)
    page = done(await fhir.get(f"Patient/{mark}/_history"))
    assert (page["type"], page["total"]) == ("history", 5)
    assert links(page) == {"self": f"{fhir.base}/Patient/{mark}/_history"}
    assert versions([page]) == [f"{mark}/{n}" for n in (5, 4, 3, 2, 1)]
    requests = [(e["request"]["method"], e["request"]["url"]) for e in page["entry"]]
    assert requests == [(method, f"Patient/{mark}") for method in ("PUT", "DELETE", "PUT", "PUT", "PUT")]
    assert [e["response"]["status"][:3] for e in page["entry"]] == ["201", "204", "200", "200", "201"]
    assert "resource" not in page["entry"][1]
    assert [e["resource"]["gender"] for e in page["entry"][2:]] == ["other", "female", "male"]
    times = [e["response"]["lastModified"] for e in page["entry"]]
    assert times == sorted(times, reverse=True)


async def test_a_create_stands_in_the_history_as_a_post_to_its_type(fhir: Fhir) -> None:
    created = await fhir.create(PATIENT)
    page = done(await fhir.get(f"Patient/{created['id']}/_history"))
    assert page["entry"][0]["request"] == {"method": "POST", "url": "Patient"}
    assert page["entry"][0]["resource"] == created


@pytest.mark.parametrize("place", ["Patient/{id}/_history", "Patient/_history", "_history"])
@pytest.mark.parametrize("count", [1, 2, 5])
async def test_pages_of_a_history_have_no_gap_and_no_double(empty: Fhir, place: str, count: int) -> None:
    await lived(empty, "a")
    pages = await empty.pages(f"{place.format(id='a')}?_count={count}")
    assert versions(pages) == [f"a/{n}" for n in (5, 4, 3, 2, 1)]
    assert all(len(page["entry"]) == count for page in pages[:-1])


async def test_type_and_system_history_hold_what_belongs_to_them(empty: Fhir) -> None:
    assert done(await empty.get("_history")).get("entry") is None
    await lived(empty, "a")
    done(await empty.put("Organization/o", {"resourceType": "Organization", "id": "o", "name": "院"}))
    assert versions([done(await empty.get("Organization/_history"))]) == ["o/1"]
    assert versions([done(await empty.get("Patient/_history"))]) == [f"a/{n}" for n in (5, 4, 3, 2, 1)]
    assert versions([done(await empty.get("_history"))])[:2] == ["o/1", "a/5"]
    assert done(await empty.get("_history"))["total"] == 6


async def test_a_history_goes_on_where_it_was_while_others_write(empty: Fhir) -> None:
    await lived(empty, "a")
    first = done(await empty.get("_history?_count=2"))
    await lived(empty, "b")
    rest = await empty.pages(links(first)["next"])
    assert versions([first, *rest]) == [f"a/{n}" for n in (5, 4, 3, 2, 1)]


async def test_writes_of_one_transaction_stand_in_the_order_they_were_done(empty: Fhir) -> None:
    await empty.store(*(PATIENT | {"id": id} for id in ("c", "a", "b")))
    assert versions([done(await empty.get("_history"))]) == ["b/1", "a/1", "c/1"]


async def test_history_of_an_instance_nobody_knows_is_not_found(fhir: Fhir, mark: str) -> None:
    assert refused(await fhir.get(f"Patient/{mark}/_history"), 404)["code"] == "not-found"


async def test_history_of_a_deleted_instance_is_there(fhir: Fhir, mark: str) -> None:
    await fhir.store(PATIENT | {"id": mark})
    await fhir.delete(f"Patient/{mark}")
    assert versions([done(await fhir.get(f"Patient/{mark}/_history"))]) == [f"{mark}/2", f"{mark}/1"]


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ("_count=x", 400, "_count"),
        ("_count=-1", 400, "_count"),
        ("_since=yesterday", 400, "_since"),
        ("_since=", 400, "_since"),
        ("_list=x", 501, "_list"),
        ("name=x", 400, "name"),
        ("_cursor=AAAA", 400, "_cursor"),
    ],
)
async def test_a_parameter_that_a_history_does_not_take_is_named(
    face: Fhir, query: str, status: int, named: str
) -> None:
    for path in ("_history", "Patient/_history"):
        assert refused(await face.get(f"{path}?{query}"), status)["expression"] == [named]


async def test_a_page_link_of_one_history_does_not_open_another(empty: Fhir) -> None:
    await lived(empty, "a")
    onward = links(done(await empty.get("Patient/_history?_count=1")))["next"]
    refused(await empty.get(onward.replace("/Patient/_history", "/_history")), 400)


async def test_history_in_a_batch_is_a_bundle(fhir: Fhir, mark: str) -> None:
    await lived(fhir, mark)
    answer = done(
        await fhir.post(
            "",
            {"resourceType": "Bundle", "type": "batch", "entry": [entry("GET", f"Patient/{mark}/_history?_count=2")]},
        )
    )
    inner = answer["entry"][0]["resource"]
    assert versions([inner]) == [f"{mark}/5", f"{mark}/4"]
