"""Order, pages, counts and inclusions of a search (https://hl7.org/fhir/R4/search.html#return)."""

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.client import Fhir, Resource, done, included, links, matches, refused


def person(id: str, tag: str, **more: Any) -> Resource:
    return {"resourceType": "Patient", "id": id, "meta": {"tag": [{"code": tag}]}, **more}


def ids(pages: list[Resource]) -> list[str]:
    return [resource["id"] for page in pages for resource in matches(page)]


# ----------------------------------------------------------------------------------------------------------- sort
PEOPLE = {
    "a": {"name": [{"family": "b"}], "birthDate": "1980-02-01", "gender": "male"},
    "b": {"name": [{"family": "a"}, {"family": "z"}], "birthDate": "1980-01-01", "gender": "female"},
    "c": {"name": [{"family": "王"}], "birthDate": "1980"},
    "d": {"name": [{"family": "B"}], "gender": "male"},
    "e": {"name": [{"family": "𠮷"}], "birthDate": "1970", "gender": "other"},
    "f": {},
    "g": {"name": [{"family": "b"}], "birthDate": "1980-02-01", "gender": "female"},
}
NEWEST_FIRST = "gfedcba"


@pytest.fixture(scope="module")
async def people(fhir: Fhir) -> str:
    for id, content in PEOPLE.items():
        done(await fhir.put(f"Patient/sort-{id}", person(f"sort-{id}", "sort", **content)))
    return "sort"


SORTS = [
    ("", NEWEST_FIRST),
    ("&_sort=_id", "abcdefg"),
    ("&_sort=-_id", "gfedcba"),
    ("&_sort=_lastUpdated", "abcdefg"),
    ("&_sort=-_lastUpdated", "gfedcba"),
    ("&_sort=birthdate", "ecbgafd"),  # by the beginning of the range; missing last; equals newest first
    ("&_sort=-birthdate", "gacbefd"),
    ("&_sort=birthdate,_id", "ebcagdf"),
    ("&_sort=family,_id", "badgcef"),  # the smallest of several values, by code point
    ("&_sort=-family,_id", "ecbadgf"),
    ("&_sort=gender,-birthdate,_id", "gbadecf"),
    ("&_sort=-gender,birthdate", "eadbgcf"),
]


@pytest.mark.parametrize(("sort", "expected"), SORTS)
@pytest.mark.parametrize("count", [1, 3, 100])
async def test_pages_in_order_have_no_gap_and_no_double(
    fhir: Fhir, people: str, sort: str, expected: str, count: int
) -> None:
    pages = await fhir.pages(f"Patient?_tag={people}{sort}&_count={count}")
    assert "".join(id[-1] for id in ids(pages)) == expected
    assert all(len(matches(page)) == count for page in pages[:-1])


async def test_a_sorted_search_with_criteria_keeps_the_order(fhir: Fhir, people: str) -> None:
    pages = await fhir.pages(f"Patient?_tag={people}&gender:missing=false&_sort=-birthdate,_id&_count=2")
    assert "".join(id[-1] for id in ids(pages)) == "agbed"


@pytest.mark.parametrize("sort", ["", "&_sort=_id", "&_sort=birthdate", "&_sort=-family", "&_sort=_lastUpdated"])
async def test_pages_have_no_gap_and_no_double_while_others_write(fhir: Fhir, mark: str, sort: str) -> None:
    await fhir.store(
        *(
            person(f"{mark}-{n:02}", mark, birthDate=f"19{n:02}-01-01", name=[{"family": f"n{n % 7}"}])
            for n in range(40)
        )
    )
    stop = asyncio.Event()

    async def write() -> int:
        """New resources, which may or may not be seen, until the reader has all its pages."""
        made = 0
        while not stop.is_set():
            await fhir.store(person(f"{mark}-new{made}", mark, birthDate="1950-01-01", name=[{"family": "n3"}]))
            made += 1
        return made

    writer = asyncio.create_task(write())
    try:
        found = [done(await fhir.get(f"Patient?_tag={mark}{sort}&_count=3"))]
        while (onward := links(found[-1]).get("next")) and len(found) < 14 + 40:
            found.append(done(await fhir.get(onward)))
            await asyncio.sleep(0.005)
    finally:
        stop.set()
    assert await writer > 0
    seen = ids(found)
    assert len(seen) == len(set(seen))
    if sort != "&_sort=_lastUpdated":  # there the writer always adds behind the reader: the pages need not end
        assert {id for id in seen if "new" not in id} == {f"{mark}-{n:02}" for n in range(40)}
    else:
        assert [id for id in seen if "new" not in id] == [f"{mark}-{n:02}" for n in range(40)]


async def test_deleted_and_updated_resources_do_not_move_the_others(fhir: Fhir, mark: str) -> None:
    await fhir.store(*(person(f"{mark}-{n}", mark) for n in range(9)))
    first = done(await fhir.get(f"Patient?_tag={mark}&_count=3"))
    assert ids([first]) == [f"{mark}-{n}" for n in (8, 7, 6)]
    await fhir.delete(f"Patient/{mark}-6")  # the row at which the page ended
    await fhir.delete(f"Patient/{mark}-5")
    await fhir.store(person(f"{mark}-7", mark, gender="male"), person(f"{mark}-3", mark, gender="male"))
    assert ids(await fhir.pages(links(first)["next"])) == [f"{mark}-{n}" for n in (4, 3, 2, 1, 0)]


# ----------------------------------------------------------------------------------------------- links and totals
async def test_the_self_link_says_what_was_done(fhir: Fhir, mark: str) -> None:
    await fhir.store(*(person(f"{mark}-{n}", mark) for n in range(3)))
    page = done(await fhir.get(f"Patient?_tag={mark}&nope=1&_count=2&_format=json", prefer="handling=lenient"))
    assert links(page)["self"] == f"{fhir.base}/Patient?_tag={mark}&_count=2"
    onward = urlsplit(links(page)["next"])
    assert [name for name, _ in parse_qsl(onward.query)] == ["_tag", "_count", "_cursor"]
    second = done(await fhir.get(links(page)["next"]))
    assert links(second)["self"] == links(page)["next"]
    assert "next" not in links(second)


async def test_links_carry_names_and_values_as_they_were_meant(fhir: Fhir, mark: str) -> None:
    tag = "a&b=c d+é王%20#"
    await fhir.store(*(person(f"{mark}-{n}", tag, language="zh") for n in range(3)))
    asked = "Patient?_tag=a%26b%3Dc%20d%2B%C3%A9%E7%8E%8B%2520%23&_count=1&_sort=_id"
    pages = await fhir.pages(f"{asked}&_id={mark}-0,{mark}-1,{mark}-2")
    assert ids(pages) == [f"{mark}-{n}" for n in range(3)]


async def test_totals_are_told_when_asked_or_known(fhir: Fhir, mark: str) -> None:
    await fhir.store(*(person(f"{mark}-{n}", mark) for n in range(5)))
    assert done(await fhir.get(f"Patient?_tag={mark}"))["total"] == 5
    assert "total" not in done(await fhir.get(f"Patient?_tag={mark}&_count=2"))
    assert "total" not in done(await fhir.get(f"Patient?_tag={mark}&_count=2&_total=none"))
    for page in await fhir.pages(f"Patient?_tag={mark}&_count=2&_total=accurate"):
        assert page["total"] == 5
    assert done(await fhir.get(f"Patient?_tag={mark}no"))["total"] == 0


@pytest.mark.parametrize("words", ["_summary=count", "_count=0", "_summary=count&_count=2"])
async def test_a_count_has_a_total_and_no_entries(fhir: Fhir, mark: str, words: str) -> None:
    await fhir.store(*(person(f"{mark}-{n}", mark) for n in range(5)))
    page = done(await fhir.get(f"Patient?_tag={mark}&{words}"))
    assert (page["total"], page.get("entry"), "next" in links(page)) == (5, None, False)


async def test_the_page_size_has_a_default_and_a_limit(fhir: Fhir, mark: str) -> None:
    await fhir.store(*(person(f"{mark}-{n}", mark) for n in range(25)))
    assert len(matches(done(await fhir.get(f"Patient?_tag={mark}")))) == 20
    assert len(matches(done(await fhir.get(f"Patient?_tag={mark}&_count=99999999999999999999")))) == 25
    assert len(await fhir.pages(f"Patient?_tag={mark}&_count=10")) == 3


# -------------------------------------------------------------------------------------------------------- cursors
async def test_a_page_link_that_was_changed_is_refused(fhir: Fhir, mark: str) -> None:
    await fhir.store(*(person(f"{mark}-{n}", mark, gender="male") for n in range(3)))
    onward = links(done(await fhir.get(f"Patient?_tag={mark}&_count=1&_sort=_id")))["next"]
    cursor = dict(parse_qsl(urlsplit(onward).query))["_cursor"]
    swapped = ("A" if cursor[20] != "A" else "B").join((cursor[:20], cursor[21:]))
    for changed in (
        onward.replace(cursor, swapped),
        onward.replace(cursor, cursor[:-4]),
        onward.replace(cursor, ""),
        onward.replace(cursor, "!!!!"),
        onward.replace(cursor, "AAAA"),
        onward.replace(cursor, "%E7%8E%8B"),
        onward.replace("_sort=_id", "_sort=-_id"),
        onward.replace("_sort=_id", "_sort=birthdate"),
        onward.replace("/Patient?", "/Person?"),
        onward.replace("_count=1", "_count=1&gender=male"),
        f"Patient?_cursor={cursor}",
    ):
        issue = refused(await fhir.get(changed), 400)
        assert issue["expression"] == ["_cursor"], changed
    done(await fhir.get(onward))


# -------------------------------------------------------------------------------------------------------- include
@pytest.fixture(scope="module")
async def referral(fhir: Fhir) -> str:
    """Three ServiceRequests: two of one patient, one of another, with performers of two types."""

    def request(id: str, subject: str, *performers: str) -> Resource:
        return {
            "resourceType": "ServiceRequest",
            "id": f"inc-{id}",
            "status": "active",
            "intent": "order",
            "subject": {"reference": f"Patient/inc-{subject}"},
            "performer": [{"reference": one} for one in performers],
            "code": {"text": "x"},
            "identifier": [{"value": "inc"}],
        }

    await fhir.store(
        person("inc-p", "inc"),
        person("inc-q", "inc"),
        {"resourceType": "Organization", "id": "inc-o", "name": "院"},
        {"resourceType": "Practitioner", "id": "inc-w"},
        request("1", "p", "Organization/inc-o", "Practitioner/inc-w"),
        request("2", "p", "Organization/inc-o"),
        request("3", "q", "Organization/inc-nobody", "http://example.org/fhir/Organization/inc-o"),
    )
    return "inc"


INCLUDES = [
    ("_include=ServiceRequest:subject", ["Patient/inc-p", "Patient/inc-q"]),
    ("_include=ServiceRequest:subject&_count=1&_sort=_id", ["Patient/inc-p"]),
    ("_include=ServiceRequest:patient", ["Patient/inc-p", "Patient/inc-q"]),
    ("_include=ServiceRequest:performer", ["Organization/inc-o", "Practitioner/inc-w"]),
    ("_include=ServiceRequest:performer:Organization", ["Organization/inc-o"]),
    ("_include=ServiceRequest:performer:Patient", []),
    (
        "_include=ServiceRequest:performer&_include=ServiceRequest:subject",
        ["Organization/inc-o", "Patient/inc-p", "Patient/inc-q", "Practitioner/inc-w"],
    ),
    ("_include=ServiceRequest:encounter", []),
    ("_include=ServiceRequest:subject&_summary=count", []),
]


@pytest.mark.parametrize(("words", "expected"), INCLUDES)
async def test_include_adds_each_resource_once(fhir: Fhir, referral: str, words: str, expected: list[str]) -> None:
    page = done(await fhir.get(f"ServiceRequest?identifier={referral}&{words}"))
    assert sorted(included(page)) == expected
    if "next" not in links(page):
        assert page["total"] == 3, "inclusions are not hits"


async def test_what_is_included_is_the_current_body(fhir: Fhir, referral: str) -> None:
    page = done(await fhir.get("ServiceRequest?_id=inc-1&_include=ServiceRequest:subject"))
    assert page["entry"][-1]["resource"] == done(await fhir.get("Patient/inc-p"))
    assert page["entry"][-1]["fullUrl"] == f"{fhir.base}/Patient/inc-p"


async def test_include_of_what_is_deleted_or_among_the_hits_adds_nothing(fhir: Fhir, mark: str) -> None:
    await fhir.store(
        person(f"{mark}a", mark, link=[{"other": {"reference": f"Patient/{mark}b"}, "type": "seealso"}]),
        person(f"{mark}b", mark, link=[{"other": {"reference": f"Patient/{mark}c"}, "type": "seealso"}]),
        person(f"{mark}c", "other"),
    )
    await fhir.delete(f"Patient/{mark}c")
    page = done(await fhir.get(f"Patient?_tag={mark}&_include=Patient:link"))
    assert (sorted(ids([page])), included(page)) == ([f"{mark}a", f"{mark}b"], [])


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("_include=ServiceRequest:nope", 400),
        ("_include=ServiceRequest:code", 400),
        ("_include=Patient:organization", 400),
        ("_include=ServiceRequest:subject:Nope", 400),
        ("_include=ServiceRequest:subject:Organization", 400),
        ("_include=ServiceRequest", 400),
        ("_include=", 400),
        ("_include:recurse=ServiceRequest:subject", 400),
        ("_include:=ServiceRequest:subject", 400),
        ("_include:iterate=Patient:nope", 400),
        ("_revinclude=Provenance:nope", 400),
        ("_revinclude=Nope:target", 400),
        ("_revinclude=Encounter:subject", 400),
        ("_revinclude:recurse=Provenance:target", 400),
    ],
)
async def test_an_include_that_cannot_be_is_refused(face: Fhir, words: str, status: int) -> None:
    issue = refused(await face.get(f"ServiceRequest?{words}"), status)
    assert issue["expression"] == [words.partition("=")[0]]


async def test_too_many_inclusions_are_refused_not_cut(fhir: Fhir, mark: str) -> None:
    links_ = [{"other": {"reference": f"Patient/{mark}{n}"}, "type": "seealso"} for n in range(1001)]
    await fhir.store(person(mark, mark, link=links_))
    assert refused(await fhir.get(f"Patient?_tag={mark}&_include=Patient:link"), 422)["code"] == "too-costly"
