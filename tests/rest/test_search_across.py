"""search over the whole server, by _type, and in compartments (https://hl7.org/fhir/R4/search.html#all,
https://hl7.org/fhir/R4/compartmentdefinition.html)."""

import asyncio

import pytest

from tests.client import Fhir, Resource, done, matches, refused

PATIENT = {"reference": "Patient/across-p"}
OTHER = {"reference": "Patient/across-q"}
TAG = {"tag": [{"code": "across"}]}
CODE = {"text": "x"}
STORED: list[Resource] = [
    {"resourceType": "Patient", "id": "across-p", "gender": "male"},
    {"resourceType": "Patient", "id": "across-q", "link": [{"other": PATIENT, "type": "seealso"}]},
    {"resourceType": "Observation", "id": "across-o1", "status": "final", "code": CODE, "subject": PATIENT},
    {"resourceType": "Observation", "id": "across-o2", "status": "amended", "code": CODE, "performer": [PATIENT]},
    {"resourceType": "Observation", "id": "across-o3", "status": "final", "code": CODE, "subject": OTHER},
    {"resourceType": "Condition", "id": "across-c1", "subject": PATIENT},
    {"resourceType": "Organization", "id": "across-org", "name": "x"},
]


@pytest.fixture(scope="module", autouse=True)
async def stored(fhir: Fhir) -> None:
    await fhir.store(*({**one, "meta": TAG} for one in STORED))


async def found(fhir: Fhir, query: str) -> list[str]:
    return sorted(one["id"].removeprefix("across-") for page in await fhir.pages(query) for one in matches(page))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?_tag=across", ["c1", "o1", "o2", "o3", "org", "p", "q"]),
        ("?_tag=across&_count=1", ["c1", "o1", "o2", "o3", "org", "p", "q"]),
        ("?_tag=across&_count=2&_sort=_lastUpdated", ["c1", "o1", "o2", "o3", "org", "p", "q"]),
        ("?_tag=across&_type=Observation,Condition", ["c1", "o1", "o2", "o3"]),
        ("?_type=Observation,Condition&_tag=across&subject=Patient/across-p", ["c1", "o1"]),
        ("_search?_tag=across&_type=Organization", ["org"]),
        ("?_tag=across&_id=across-p,across-org", ["org", "p"]),
        ("Patient/across-p/Observation", ["o1", "o2"]),
        ("Patient/across-p/Observation?status=final", ["o1"]),
        ("Patient/across-p/Observation/_search?status=final", ["o1"]),
        ("Patient/across-p/*?_tag=across", ["c1", "o1", "o2", "p", "q"]),
        ("Patient/across-p/*?_tag=across&_type=Condition,Patient", ["c1", "p", "q"]),
        ("Patient/across-p/*?_tag=across&_count=2", ["c1", "o1", "o2", "p", "q"]),
        ("Patient/across-q/Condition", []),
        ("Patient/nobody/*", []),
    ],
)
async def test_a_search_over_types_finds_what_it_should(fhir: Fhir, query: str, expected: list[str]) -> None:
    assert await found(fhir, query) == expected


async def test_a_search_by_post_is_the_same(fhir: Fhir) -> None:
    form = "application/x-www-form-urlencoded"
    for address, body in [("_search", b"_tag=across&_type=Condition"), ("Patient/across-p/Condition/_search", b"")]:
        page = done(await fhir.post(address, body, content_type=form))
        assert [one["id"] for one in matches(page)] == ["across-c1"]


async def test_merged_by_update_the_newest_comes_first_over_all_types(fhir: Fhir) -> None:
    pages = await fhir.pages("?_tag=across&_sort=-_lastUpdated&_count=3")
    stamps = [one["meta"]["lastUpdated"] for page in pages for one in matches(page)]
    assert len(stamps) == 7
    assert stamps == sorted(stamps, reverse=True)


async def test_totals_count_all_types(fhir: Fhir) -> None:
    assert done(await fhir.get("?_tag=across&_summary=count"))["total"] == 7
    assert done(await fhir.get("?_tag=across&_count=0"))["total"] == 7
    assert done(await fhir.get("?_tag=across&_count=2&_total=accurate"))["total"] == 7
    assert "total" not in done(await fhir.get("?_tag=across&_count=2"))
    assert done(await fhir.get("Patient/across-p/Observation?_summary=count"))["total"] == 2


async def test_inclusions_and_links_work_over_types(fhir: Fhir) -> None:
    page = done(await fhir.get("?_type=Observation,Condition&_tag=across&_include=Observation:subject"))
    included = [one["resource"]["id"] for one in page["entry"] if one["search"]["mode"] == "include"]
    assert sorted(included) == ["across-p", "across-q"]
    itself = next(link["url"] for link in page["link"] if link["relation"] == "self")
    assert matches(done(await fhir.get(itself))) == matches(page)
    inner = done(await fhir.get("Patient/across-p/Observation?_count=1"))
    assert all("/Patient/across-p/Observation?" in link["url"] for link in inner["link"])


@pytest.mark.parametrize(
    ("query", "status", "expression"),
    [
        ("?_type=Nope", 400, "_type"),
        ("?_tag=across&_sort=_id", 501, "_sort"),
        ("?gender=male", 400, "gender"),
        ("Patient/1/Organization", 400, "Organization"),
        ("Organization/1/Observation", 501, "Organization"),
        ("Patient/1/*?_type=Organization", 400, "_type"),
        ("Patient/1/Nope", 404, "Patient/1/Nope"),
    ],
)
async def test_what_cannot_be_searched_is_refused(fhir: Fhir, query: str, status: int, expression: str) -> None:
    assert refused(await fhir.get(query), status)["expression"] == [expression]


@pytest.mark.parametrize("query", ["?_tag={}&_count=7", "?_tag={}&_count=7&_sort=-_lastUpdated"])
async def test_pages_over_types_have_no_duplicate_and_no_gap_while_others_write(
    fhir: Fhir, query: str, mark: str
) -> None:
    meta = {"tag": [{"code": mark}]}
    there = [
        {"resourceType": type, "id": f"{mark}-{n}", "meta": meta, **more}
        for type, more in (("Basic", {"code": CODE}), ("Group", {"type": "person", "actual": True}))
        for n in range(30)
    ]
    await fhir.store(*there)
    going = True

    async def write() -> None:
        while going:
            await fhir.create({"resourceType": "Basic", "code": CODE, "meta": meta})

    writers = [asyncio.create_task(write()) for _ in range(4)]
    seen = [
        f"{one['resourceType']}/{one['id']}" for page in await fhir.pages(query.format(mark)) for one in matches(page)
    ]
    going = False
    await asyncio.gather(*writers)
    assert len(seen) == len(set(seen))
    assert {f"{one['resourceType']}/{one['id']}" for one in there} <= set(seen)
