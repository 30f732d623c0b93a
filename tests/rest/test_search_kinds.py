"""search by every kind of parameter, as a table: query -> the resources that it finds
(https://hl7.org/fhir/R4/search.html). `a`..`e` are the patients of PEOPLE."""

from typing import Any
from urllib.parse import quote

import pytest

from tests import servers
from tests.client import Fhir, done

TAG = "kinds"
PEOPLE: dict[str, dict[str, Any]] = {
    "a": {
        "active": True,
        "name": [{"family": "王", "given": ["小明"]}],
        "gender": "male",
        "birthDate": "1980-05-01",
        "identifier": [{"system": "urn:id", "value": "110"}],
        "telecom": [{"system": "phone", "value": "13800000000"}],
        "address": [{"city": "北京市", "line": ["西城区 1 号"]}],
        "managingOrganization": {"reference": "Organization/o1"},
        "generalPractitioner": [{"reference": "Practitioner/p1"}],
    },
    "b": {
        "meta": {
            "profile": ["http://example.org/p/x|1.0"],
            "tag": [{"system": "urn:t", "code": "red"}],
            "security": [{"code": "R"}],
        },
        "active": False,
        "name": [{"family": "Müller", "given": ["José", "María"]}, {"family": "Meier"}],
        "gender": "female",
        "birthDate": "1980-05",
        "identifier": [{"system": "urn:id", "value": "111"}, {"system": "urn:other", "value": "110"}],
        "managingOrganization": {"reference": f"{servers.BASE}/Organization/o1"},
        "generalPractitioner": [{"reference": "Organization/p1"}],
    },
    "c": {
        "meta": {"tag": [{"system": "urn:t", "code": "red"}, {"code": "blue"}]},
        "name": [{"family": "ＷＡＮＧ", "given": ["Li"]}],
        "identifier": [{"value": "110"}],
        "deceasedBoolean": False,
        "managingOrganization": {"reference": "http://other.example.org/fhir/Organization/o1"},
        "generalPractitioner": [{"reference": "Organization/p2"}, {"reference": "Practitioner/p1"}],
    },
    "d": {
        "name": [{"family": "O'Neil, Jr|x$y\\z"}],
        "gender": "other",
        "deceasedDateTime": "2020-02-29T10:00:00+08:00",
        "identifier": [{"system": "urn:id", "value": "a|b,c$d\\e"}],
        "managingOrganization": {"reference": "Organization/o1/_history/2"},
    },
    "e": {
        "contained": [{"resourceType": "Organization", "id": "o", "name": "x"}],
        "name": [{"text": "𠮷田 太郎"}],
        "managingOrganization": {"reference": "#o"},
    },
}


@pytest.fixture(scope="module", autouse=True)
async def people(fhir: Fhir) -> None:
    """PEOPLE, stored under `kinds-a`…, each with the tag `kinds`."""
    for id, person in PEOPLE.items():
        meta = person.get("meta", {})
        tagged = {**meta, "tag": [*meta.get("tag", ()), {"code": TAG}]}
        body = {"resourceType": "Patient", "id": f"{TAG}-{id}", **person, "meta": tagged}
        done(await fhir.put(f"Patient/{TAG}-{id}", body))


async def found(fhir: Fhir, query: str) -> str:
    return "".join(sorted(id[-1] for id in await fhir.ids(f"Patient?{query}&_tag={TAG}")))


TOKENS = [
    ("gender=male", "a"),
    ("gender=http://hl7.org/fhir/administrative-gender|male", "a"),
    ("gender=http://hl7.org/fhir/administrative-gender|", "abd"),
    ("gender=|male", ""),
    ("gender=Male", ""),
    ("gender=male,female", "ab"),
    ("gender=male&gender=female", ""),
    ("gender:not=male", "bcde"),
    ("gender:not=male,female", "cde"),
    ("gender:not=male&gender:not=other", "bce"),
    ("gender:missing=true", "ce"),
    ("gender:missing=false", "abd"),
    ("identifier=110", "abc"),
    ("identifier=urn:id|110", "a"),
    ("identifier=urn:other|110", "b"),
    ("identifier=|110", "c"),
    ("identifier=urn:id|", "abd"),
    ("identifier=urn:id|110,urn:id|111", "ab"),
    ("identifier=110&identifier=111", "b"),
    ("identifier:not=urn:id|110", "bcde"),
    ("identifier=11", ""),
    (r"identifier=urn:id|a\|b\,c\$d\\e", "d"),
    (r"identifier=a\|b\,c\$d\\e,110", "abcd"),
    ("active=true", "a"),
    ("active=false", "b"),
    ("active:missing=true", "cde"),
    ("deceased=true", "d"),
    ("deceased=false", "abce"),
    ("death-date:missing=false", "d"),
    ("telecom=13800000000", "a"),
    ("phone=13800000000", "a"),
    ("email=13800000000", ""),
    ("_id=kinds-a", "a"),
    ("_id=kinds-a,kinds-c,nobody", "ac"),
    ("_id=kinds-a&_id=kinds-c", ""),
    ("_tag=red", "bc"),
    ("_tag=urn:t|red", "bc"),
    ("_tag=|blue", "c"),
    ("_tag=urn:t|blue", ""),
    ("_tag:not=red", "ade"),
    ("_security=R", "b"),
    ("_profile=http://example.org/p/x", "b"),
    ("_profile=http://example.org/p/x|1.0", "b"),
    ("_profile=http://example.org/p/x|2.0", ""),
    ("_profile:missing=true", "acde"),
]

STRINGS = [
    ("family=王", "a"),
    ("name=王小明", "a"),
    ("name=小明", "a"),
    ("name=小", "a"),
    ("name=明", ""),
    ("name:contains=明", "a"),
    ("family=muller", "b"),
    ("family=MÜLL", "b"),
    ("family=m", "b"),
    ("family:exact=Müller", "b"),
    ("family:exact=müller", ""),
    ("family:exact=Müll", ""),
    ("family:exact=王", "a"),
    ("given=jose", "b"),
    ("given=maria", "b"),
    ("given=JOSÉ&given=MARÍA", "b"),
    ("given=jose,li", "bc"),
    ("family=wang", "c"),
    ("family=ＷＡＮＧ", "c"),
    ("family:exact=ＷＡＮＧ", "c"),
    ("family:exact=WANG", ""),
    ("name=𠮷", "e"),
    ("name=𠮷田", "e"),
    ("name=𠮷田 太", "e"),
    ("name:contains=田", "e"),
    ("name:contains=太郎", "e"),
    ("name=吉田", ""),
    (r"family=o'neil\, jr\|x\$y\\z", "d"),
    ("family=o'neil", "d"),
    (r"family:contains=\$y\\", "d"),
    ("family:contains=%25", ""),
    ("family:contains=_", ""),
    ("family=*", ""),
    ("family:missing=true", "e"),
    ("name:missing=true", ""),
    ("address=北京", "a"),
    ("address-city=北京市", "a"),
    ("address:contains=西城区 1", "a"),
    ("family=m,王", "ab"),
    ("name=meier&name=muller", "b"),
]

REFERENCES = [
    ("organization=Organization/o1", "abd"),
    ("organization=o1", "abd"),
    (f"organization={servers.BASE}/Organization/o1", "abd"),
    ("organization=http://other.example.org/fhir/Organization/o1", "c"),
    ("organization:Organization=o1", "abd"),
    ("organization=Organization/o2", ""),
    ("organization=Organization/o1,http://other.example.org/fhir/Organization/o1", "abcd"),
    ("organization:missing=true", "e"),  # a contained resource is nothing to search for
    ("general-practitioner=p1", "abc"),
    ("general-practitioner=Practitioner/p1", "ac"),
    ("general-practitioner:Organization=p1", "b"),
    ("general-practitioner:Practitioner=p1", "ac"),
    ("general-practitioner:Organization=p1,p2", "bc"),
    ("general-practitioner=Organization/p2&general-practitioner=Practitioner/p1", "c"),
    ("general-practitioner:missing=true", "de"),
]

MIXED = [
    ("gender=male&family=王", "a"),
    ("gender=male,female&identifier=110&active=false", "b"),
    ("birthdate=1980-05&gender=male", "a"),
    ("birthdate=1980-05", "ab"),
    ("birthdate:missing=true", "cde"),
    ("gender:missing=true&name:contains=li", "c"),
    ("", "abcde"),
]


@pytest.mark.parametrize(("query", "expected"), [*TOKENS, *STRINGS, *REFERENCES, *MIXED])
async def test_a_query_finds(fhir: Fhir, query: str, expected: str) -> None:
    assert await found(fhir, query) == expected


@pytest.mark.parametrize(("query", "expected"), [*TOKENS[:8], *STRINGS[-8:], *REFERENCES[:3]])
async def test_counts_and_posted_forms_find_the_same(fhir: Fhir, query: str, expected: str) -> None:
    tagged = f"{query}&_tag={TAG}"
    assert done(await fhir.get(f"Patient?{tagged}&_summary=count"))["total"] == len(expected)
    form = await fhir.post(
        "Patient/_search", quote(tagged, safe="=&:%|"), content_type="application/x-www-form-urlencoded"
    )
    assert "".join(sorted(e["resource"]["id"][-1] for e in done(form, 200).get("entry", ()))) == expected


async def test_a_search_sees_the_current_version_only(fhir: Fhir, mark: str) -> None:
    for family in ("alt", "neu"):
        await fhir.store({"resourceType": "Patient", "id": mark, "name": [{"family": f"{mark}{family}"}]})
    assert await fhir.ids(f"Patient?family={mark}alt") == []
    assert await fhir.ids(f"Patient?family={mark}neu") == [mark]


async def test_what_a_write_returns_is_found_at_once(fhir: Fhir, mark: str) -> None:
    for number in range(20):
        body = {"resourceType": "Patient", "identifier": [{"value": f"{mark}-{number}"}]}
        created = await fhir.create(body)
        assert await fhir.ids(f"Patient?identifier={mark}-{number}") == [created["id"]]


async def test_the_same_search_on_another_type_finds_nothing_of_this_one(fhir: Fhir) -> None:
    assert await fhir.ids(f"Person?_tag={TAG}") == []
