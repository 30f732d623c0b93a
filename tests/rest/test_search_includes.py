"""_include and _revinclude as a table: what a page gets beside its hits
(https://hl7.org/fhir/R4/search.html#revinclude)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests import servers
from tests.client import Fhir, done, included, links, matches, refused

OTHER = "http://other.example.org/fhir"


def stored(of: str, id: str, /, **more: Any) -> dict[str, Any]:
    return {"resourceType": of, "id": id, **more}


def to(reference: str) -> dict[str, str]:
    return {"reference": reference}


RESOURCES = [
    stored("Organization", "o1", name="top"),
    stored("Organization", "o2", name="mid", partOf=to("Organization/o1")),
    stored("Organization", "o3", name="low", partOf=to("Organization/o2")),
    stored("Practitioner", "p1", name=[{"family": "x"}]),
    stored("Patient", "a", gender="male", managingOrganization=to("Organization/o3"),
           generalPractitioner=[to("Practitioner/p1"), to("Organization/o2")]),
    stored("Patient", "b", gender="female", managingOrganization=to(f"{servers.BASE}/Organization/o3"),
           link=[{"other": to("Patient/a"), "type": "seealso"}]),
    stored("Patient", "c", gender="other", managingOrganization=to(f"{OTHER}/Organization/o1"),
           generalPractitioner=[to("Practitioner/nobody")]),
    stored("Group", "g", type="person", actual=True, member=[{"entity": to("Patient/a")}]),
    stored("Observation", "1", status="final", code={"text": "x"}, subject=to("Patient/a")),
    stored("Observation", "2", status="final", code={"text": "x"}, subject=to("Patient/a"),
           hasMember=[to("Observation/1")], performer=[to("Practitioner/p1")]),
    stored("Observation", "3", status="final", code={"text": "x"}, subject=to("Group/g"),
           hasMember=[to("Observation/2")]),
    stored("Observation", "4", status="final", code={"text": "x"}, subject=to("Patient/b/_history/1")),
    stored("Encounter", "e", status="planned", **{"class": {"code": "AMB"}}, subject=to("Patient/b"),
           partOf=to("Encounter/e")),
    stored("Provenance", "v", recorded="2024-01-01T00:00:00Z", target=[to("Observation/1"), to("Patient/a")],
           agent=[{"who": to("Practitioner/p1")}]),
    stored("Library", "l1", status="active", type={"text": "x"}, url="http://example.org/lib", version="1"),
    stored("Library", "l2", status="active", type={"text": "x"}, url="http://example.org/lib", version="2"),
    stored("Measure", "m1", status="active", library=["http://example.org/lib|1"]),
    stored("Measure", "m2", status="active", library=["http://example.org/lib"]),
    stored("ActivityDefinition", "x", status="active", library=["http://example.org/lib|1"]),
    stored("PlanDefinition", "y", status="active", library=["http://example.org/lib|1"]),
]  # fmt: skip


@pytest.fixture(scope="module")
async def fhir(
    store_kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Fhir]:
    """RESOURCES on a store of their own, so that a page has nothing else; at most 6 inclusions, 3 steps away."""
    folder: Path = tmp_path_factory.mktemp("includes")
    url = ""
    if store_kind == "mongodb":
        url = servers.database(request.getfixturevalue("mongodb"), folder.name)
    app = servers.app_on(url, folder, include_max=6, include_depth=3)
    async with servers.in_process(app) as http:
        client = Fhir(http, servers.BASE)
        await client.store(*RESOURCES)
        await client.store({**RESOURCES[5], "gender": "unknown"})
        yield client


ROWS = [
    ("Patient?gender=male&_include=Patient:organization", "Organization/o3"),
    ("Patient?gender=unknown&_include=Patient:organization", "Organization/o3"),
    ("Patient?gender=other&_include=Patient:organization", ""),
    ("Patient?gender=other&_include=Patient:general-practitioner", ""),
    ("Patient?_include=Patient:organization", "Organization/o3"),
    ("Patient?gender=male&_include=Patient:general-practitioner", "Organization/o2 Practitioner/p1"),
    ("Patient?gender=male&_include=Patient:general-practitioner:Practitioner", "Practitioner/p1"),
    ("Patient?gender=male&_include=Patient:organization&_include=Patient:general-practitioner:Organization",
     "Organization/o2 Organization/o3"),
    ("Patient?gender=male&_include=*", "Organization/o2 Organization/o3 Practitioner/p1"),
    ("Patient?gender=male&_include=Patient:*", "Organization/o2 Organization/o3 Practitioner/p1"),
    ("Patient?gender=unknown&_include=*", "Organization/o3 Patient/a"),
    ("Patient?gender=male&_include=Patient:organization&_include:iterate=Organization:partof",
     "Organization/o1 Organization/o2 Organization/o3"),
    ("Patient?gender=male&_include:iterate=Organization:partof", ""),
    ("Observation?_id=3&_include:iterate=Observation:has-member", "Observation/1 Observation/2"),
    ("Observation?_id=3&_include=Observation:has-member", "Observation/2"),
    ("Observation?_id=1&_include=Observation:subject&_include:iterate=Patient:organization",
     "Organization/o3 Patient/a"),
    ("Observation?_id=1,2&_include=Observation:has-member", ""),
    ("Encounter?_include:iterate=Encounter:part-of&_include=Encounter:subject", "Patient/b"),
    ("Patient?gender=male&_revinclude=Observation:subject", "Observation/1 Observation/2"),
    ("Patient?gender=male&_revinclude=Observation:patient:Patient", "Observation/1 Observation/2"),
    ("Patient?gender=male&_revinclude=Observation:subject:Group", ""),
    ("Patient?gender=unknown&_revinclude=Encounter:patient&_revinclude=Observation:subject",
     "Encounter/e Observation/4"),
    ("Patient?gender=male&_revinclude=Group:member&_revinclude=Provenance:target", "Group/g Provenance/v"),
    ("Patient?gender=male&_revinclude=Patient:link", "Patient/b"),
    ("Patient?_revinclude=Patient:link", ""),
    ("Patient?gender=male&_revinclude=Observation:*", "Observation/1 Observation/2"),
    ("Patient?gender=male&_revinclude=*", "Group/g Observation/1 Observation/2 Patient/b Provenance/v"),
    ("Patient?gender=male&_revinclude=Group:member&_revinclude:iterate=Observation:subject",
     "Group/g Observation/1 Observation/2 Observation/3"),
    ("Observation?_id=1&_revinclude:iterate=Observation:has-member", "Observation/2 Observation/3"),
    ("Group?_revinclude=Observation:subject&_include=Group:member&_include:iterate=Observation:performer",
     "Observation/3 Patient/a"),
    ("Organization?_id=o1&_revinclude:iterate=Organization:partof", "Organization/o2 Organization/o3"),
    ("Organization?_id=o3&_revinclude=Patient:organization&_include:iterate=Patient:general-practitioner:Practitioner",
     "Patient/a Patient/b Practitioner/p1"),
    ("Measure?_id=m1&_include=Measure:depends-on:Library", "Library/l1"),
    ("Measure?_id=m2&_include=Measure:depends-on:Library", "Library/l1 Library/l2"),
    ("Library?_id=l1&_revinclude=Measure:depends-on", "Measure/m1 Measure/m2"),
    ("Library?_id=l2&_revinclude=Measure:depends-on", "Measure/m2"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), ROWS)
async def test_a_page_gets_what_it_asks_for_and_each_once(fhir: Fhir, query: str, expected: str) -> None:
    page = done(await fhir.get(query))
    assert " ".join(sorted(included(page))) == expected
    hits = matches(page)
    path, _, words = query.partition("?")
    asked = words.split("&")
    plain = done(await fhir.get(f"{path}?{'&'.join(part for part in asked if 'include' not in part)}"))
    assert [hit["id"] for hit in hits] == [hit["id"] for hit in matches(plain)]
    assert page["total"] == len(hits)
    self = unquote(links(page)["self"])
    assert all(part in self for part in asked)


async def test_a_reference_to_a_version_brings_that_version(fhir: Fhir) -> None:
    page = done(await fhir.get("Observation?_id=4&_include=Observation:subject"))
    (patient,) = [e["resource"] for e in page["entry"] if e["search"]["mode"] == "include"]
    assert (patient["gender"], patient["meta"]["versionId"]) == ("female", "1")
    page = done(await fhir.get("Encounter?_id=e&_include=Encounter:subject&_revinclude:iterate=Observation:subject"))
    assert sorted(included(page)) == ["Observation/4", "Patient/b"]


async def test_every_page_brings_its_own(fhir: Fhir) -> None:
    pages = await fhir.pages("Observation?_count=1&_sort=_id&_include=Observation:subject")
    assert [included(page) for page in pages] == [["Patient/a"], ["Patient/a"], ["Group/g"], ["Patient/b"]]


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("Observation?_include=*&_include:iterate=*", "more than 6 resources"),
        ("Patient?_revinclude=*&_include=Patient:organization", "more than 6 resources"),
        ("Practitioner?_revinclude=*&_revinclude:iterate=*", "more than 6 resources"),
    ],
)
async def test_inclusions_above_the_limit_are_refused_not_cut(fhir: Fhir, query: str, what: str) -> None:
    issue = refused(await fhir.get(query), 422)
    assert issue["code"] == "too-costly"
    assert what in issue["diagnostics"]


async def test_iterating_further_than_the_limit_is_refused_not_cut(fhir: Fhir) -> None:
    await fhir.store(*(stored("Location", f"{n}", partOf=to(f"Location/{n + 1}")) for n in range(5)))
    query = "Location?_include:iterate=Location:partof&_id="
    assert included(done(await fhir.get(f"{query}1"))) == ["Location/2", "Location/3", "Location/4"]
    issue = refused(await fhir.get(f"{query}0"), 422)
    assert issue["code"] == "too-costly"
    assert "3 steps" in issue["diagnostics"]


async def test_a_summary_of_the_hits_holds_for_what_is_included_too(fhir: Fhir) -> None:
    page = done(await fhir.get("Patient?gender=male&_revinclude=Observation:subject&_elements=gender"))
    assert all("SUBSETTED" in str(e["resource"]["meta"]) for e in page["entry"] if e["search"]["mode"] == "match")
    assert len(included(page)) == 2


async def test_a_count_includes_nothing(fhir: Fhir) -> None:
    page = done(await fhir.get("Patient?_revinclude=Observation:subject&_summary=count"))
    assert (page["total"], page.get("entry", [])) == (3, [])
