"""Searches that follow references, as tables: chains, `_has`, `_list`, the first resource of a Bundle
(https://hl7.org/fhir/R4/search.html#chaining, #has)."""

from typing import Any

import pytest

from server.store.mongo import joins
from tests import servers
from tests.client import Fhir, done, refused

TAG = "chains"


def stored(of: str, id: str, /, **more: Any) -> dict[str, Any]:
    return {"resourceType": of, "id": f"{TAG}-{id}", "meta": {"tag": [{"code": TAG}]}, **more}


def to(type: str, id: str) -> dict[str, str]:
    return {"reference": f"{type}/{TAG}-{id}"}


def patient(id: str, family: str, organization: str, **more: Any) -> dict[str, Any]:
    return stored(
        "Patient", id, name=[{"family": family}], managingOrganization=to("Organization", organization),
        identifier=[{"system": "urn:id", "value": f"{id},1|$"}], **more,
    )  # fmt: skip


def observation(id: str, subject: dict[str, str], code: str, **more: Any) -> dict[str, Any]:
    return stored(
        "Observation", id, status="final", subject=subject, code={"coding": [{"system": "urn:c", "code": code}]}, **more
    )


RESOURCES = [
    stored("Organization", "top", name="省医院", identifier=[{"value": "T"}]),
    stored("Organization", "mid", name="县医院", partOf=to("Organization", "top")),
    stored("Organization", "low", name="乡卫生院", partOf=to("Organization", "mid")),
    patient("a", "王", "low", gender="male", generalPractitioner=[to("Practitioner", "p")]),
    patient("b", "李", "mid", gender="female"),
    patient("c", "王", "top", gender="female", birthDate="1980-05-01"),
    patient("d", "赵", "gone"),
    stored("Practitioner", "p", name=[{"family": "王"}]),
    stored("Group", "g", type="person", actual=True, identifier=[{"value": "G"}], member=[
        {"entity": to("Patient", "a")}, {"entity": to("Patient", "b")}]),
    stored("Device", "v", identifier=[{"system": "urn:id", "value": "a,1|$"}], patient=to("Patient", "b")),
    observation("1", to("Patient", "a"), "x", performer=[to("Practitioner", "p")], valueString="ab"),
    observation("2", to("Patient", "b"), "x", valueString="cd"),
    observation("3", to("Patient", "c"), "y"),
    observation("4", to("Group", "g"), "y"),
    observation("5", to("Device", "v"), "x"),
    observation("6", {"reference": f"{servers.BASE}/Patient/{TAG}-a"}, "z"),
    observation("7", {"reference": "http://other.example.org/fhir/Patient/chains-a"}, "x"),
    observation("8", {"reference": f"Patient/{TAG}-c/_history/1"}, "z", hasMember=[to("Observation", "1")]),
    stored("Encounter", "e", status="planned", **{"class": {"code": "AMB"}}, subject=to("Patient", "a")),
    stored("Encounter", "f", status="planned", **{"class": {"code": "AMB"}}, subject=to("Patient", "c")),
    stored("List", "l", status="current", mode="working", entry=[
        {"item": to("Patient", "a")}, {"item": to("Patient", "c")}, {"item": to("Observation", "3")}]),
    stored(
        "AuditEvent", "u", type={"code": "rest"}, recorded="2024-01-01T00:00:00Z",
        source={"observer": {"display": "x"}}, agent=[{"requestor": True, "who": to("Practitioner", "p")}],
        entity=[{"what": to("Observation", "1")}]),
]  # fmt: skip


def document(id: str, subject: str, bundle: str = "document", **first: Any) -> dict[str, Any]:
    composition = {
        "resourceType": "Composition", "id": "c", "status": "final", "type": {"coding": [{"code": "D1"}]},
        "date": "2024-05-17", "author": [{"reference": "urn:uuid:11111111-1111-4111-8111-111111111111"}],
        "title": f"title {id}", "subject": {"reference": subject}, **first,
    }  # fmt: skip
    author = {"resourceType": "Practitioner", "id": f"{TAG}-p"}
    return stored(
        "Bundle", id, type=bundle, timestamp="2024-05-17T00:00:00Z", identifier={"system": "urn:d", "value": id},
        entry=[{"fullUrl": "urn:uuid:22222222-2222-4222-8222-222222222222", "resource": composition},
               {"fullUrl": "urn:uuid:11111111-1111-4111-8111-111111111111", "resource": author}],
    )  # fmt: skip


MESSAGE = stored("Bundle", "m", type="message", timestamp="2024-05-17T00:00:00Z", entry=[{"resource": {
    "resourceType": "MessageHeader", "id": "h", "eventCoding": {"system": "urn:e", "code": "refer"},
    "source": {"endpoint": "http://his.example.org"}, "focus": [to("Patient", "a")]}}])  # fmt: skip
BUNDLES = [
    document("da", f"Patient/{TAG}-a"),
    document("db", f"{servers.BASE}/Patient/{TAG}-b", type={"coding": [{"code": "D2"}]}),
    document("dc", "http://other.example.org/fhir/Patient/1"),
    document("dx", f"Patient/{TAG}-a", "collection"),
    MESSAGE,
]


@pytest.fixture(scope="module", autouse=True)
async def resources(fhir: Fhir) -> None:
    gone = stored("Organization", "gone", name="省医院")
    await fhir.store(gone)
    await fhir.store(*RESOURCES)
    for bundle in BUNDLES:
        done(await fhir.put(f"Bundle/{bundle['id']}", bundle))
    done(await fhir.delete(f"Organization/{gone['id']}"), 204)


async def found(fhir: Fhir, query: str) -> str:
    """The ends of the ids of the hits, sorted."""
    return "".join(
        sorted(id.removeprefix(f"{TAG}-") for id in await fhir.ids(f"{query}{'&' if '?' in query else '?'}_tag={TAG}"))
    )


CHAINS = [
    ("Patient?organization.name=县", "b"),
    ("Patient?organization.name=省", "c"),  # the deleted one is called so too
    ("Patient?organization:Organization.name=县", "b"),
    ("Patient?organization.partof.name=省", "b"),
    ("Patient?organization.partof.partof.name=省", "a"),
    ("Patient?organization.partof.partof.partof.name=省", ""),
    ("Patient?organization.partof.identifier=T,X", "b"),
    ("Patient?organization.name:exact=县医", ""),
    ("Patient?organization.name:contains=医院", "bc"),
    ("Patient?organization.name=县,乡", "ab"),
    ("Patient?organization.partof:missing=true", "c"),
    ("Patient?organization.partof:missing=false", "ab"),
    ("Patient?organization._id=chains-top", "c"),
    ("Patient?organization._id=chains-top,chains-mid", "bc"),
    ("Patient?organization._id=chains-gone", ""),
    ("Patient?organization._lastUpdated=gt2020-01-01", "abc"),
    ("Patient?organization._lastUpdated=lt2020-01-01", ""),
    ("Patient?organization._tag=chains", "abc"),
    ("Patient?general-practitioner:Practitioner.name=王", "a"),
    ("Patient?general-practitioner.name=王", "a"),
    ("Patient?general-practitioner:Organization.name=王", ""),
    ("Observation?subject:Patient.name=王", "1368"),
    ("Observation?subject:Patient.name=王&code=z", "68"),
    ("Observation?subject:Patient.organization.partof.name=县", "16"),
    ("Observation?subject:Patient.gender:not=male", "238"),
    ("Observation?patient.identifier=urn:id|a\\,1\\|\\$", "16"),
    ("Observation?subject.identifier=a\\,1\\|\\$", "156"),
    ("Observation?subject.identifier=G", "4"),
    ("Observation?subject.identifier=G,b\\,1\\|\\$", "24"),
    ("Observation?subject:Device.patient.name=李", "5"),
    ("Observation?subject:Group.member:Patient.name=李", "4"),
    ("Observation?patient.birthdate=1980", "38"),
    ("Observation?patient.birthdate=gt1981", ""),
    ("Observation?patient.name=王&patient.gender=male", "16"),
    ("Observation?patient.name=李,赵", "2"),
    ("Observation?has-member:Observation.patient.organization.name=乡", "8"),
    ("Observation?performer:Practitioner.name=王&code=x,y", "1"),
]
HAS = [
    ("Patient?_has:Observation:patient:code=x", "ab"),
    ("Patient?_has:Observation:patient:code=urn:c|z", "ac"),
    ("Patient?_has:Observation:patient:code=q", ""),
    ("Patient?_has:Observation:patient:code=y,z", "ac"),
    ("Patient?_has:Observation:patient:code:not=x", "ac"),
    ("Patient?_has:Observation:patient:value-string:contains=b", "a"),
    ("Patient?_has:Observation:subject:code=x&gender=female", "b"),
    ("Patient?_has:Observation:patient:code=x&_has:Observation:patient:code=z", "a"),
    ("Patient?_has:Observation:patient:_has:AuditEvent:entity:agent:Practitioner.name=王", "a"),
    ("Patient?_has:Observation:patient:_has:Observation:has-member:code=z", "a"),
    ("Patient?_has:Observation:patient:performer.name=王", "a"),
    ("Patient?_has:Observation:patient:_id=chains-2", "b"),
    ("Patient?_has:Group:member:identifier=G", "ab"),
    ("Organization?_has:Patient:organization:_has:Observation:patient:code=y", "top"),
    ("Organization?_has:Patient:organization:name=王", "lowtop"),
    ("Organization?_has:Organization:partof:_has:Patient:organization:gender=female", "top"),
    ("Encounter?patient._has:Group:member:_id=chains-g", "e"),
    ("Encounter?subject:Patient._has:Observation:patient:code=y", "f"),
    ("Encounter?patient.organization._has:Organization:partof:name=乡", ""),
    ("Encounter?patient.organization._has:Organization:partof:name=县", "f"),
    ("Patient?_list=chains-l", "ac"),
    ("Patient?_list=chains-l,nope", "ac"),
    ("Patient?_list=List/chains-l&gender=male", "a"),
    ("Patient?_list=nope", ""),
    ("Observation?_list=chains-l", "3"),
    ("Encounter?patient._list=chains-l", "ef"),
    ("Patient?_has:List:item:status=current", "ac"),
]
FIRST = [
    ("Bundle?composition.type=D1", "dadc"),
    ("Bundle?composition.type=D2", "db"),
    ("Bundle?composition.type:not=D2", "dadcdxm"),
    ("Bundle?composition:Composition.type=D2", "db"),
    ("Bundle?composition.patient=Patient/chains-a", "da"),
    ("Bundle?composition.patient=chains-b", "db"),
    ("Bundle?composition.subject=http://other.example.org/fhir/Patient/1", "dc"),
    ("Bundle?composition.patient.identifier=urn:id|a\\,1\\|\\$", "da"),
    ("Bundle?composition.subject:Patient.organization.name=县", "db"),
    ("Bundle?composition.author=Practitioner/chains-p", "dadbdc"),
    ("Bundle?composition.author:Practitioner.name=王&composition.type=D2", "db"),
    ("Bundle?composition.title=title da", "da"),
    ("Bundle?composition.date=2024-05", "dadbdc"),
    ("Bundle?composition.title:missing=false", "dadbdc"),
    ("Bundle?composition._id=c", "dadbdc"),
    ("Bundle?composition._id=c,d&identifier=urn:d|db", "db"),
    ("Bundle?composition=Composition/c", "dadbdc"),
    ("Bundle?composition:missing=true", "dxm"),
    ("Bundle?message.event=urn:e|refer", "m"),
    ("Bundle?message.focus=Patient/chains-a", "m"),
    ("Bundle?message.focus:Patient.name=王", "m"),
    ("Bundle?message.event=other", ""),
]


@pytest.mark.parametrize(("query", "expected"), [*CHAINS, *HAS, *FIRST])
async def test_a_search_follows_references(fhir: Fhir, query: str, expected: str) -> None:
    assert await found(fhir, query) == expected
    joined = f"{query}&_tag={TAG}"
    hits = len(await fhir.ids(joined))
    assert done(await fhir.get(f"{joined}&_summary=count"))["total"] == hits
    assert (
        sum(len(page.get("entry", ())) for page in await fhir.pages(f"{joined}&_count=1&_sort=-_lastUpdated")) == hits
    )


async def test_a_chain_is_part_of_the_self_link_and_of_page_links(fhir: Fhir) -> None:
    pages = await fhir.pages(f"Observation?subject:Patient.name=王&_tag={TAG}&_count=1")
    assert len(pages) == 4
    assert all("subject:Patient.name=" in page["link"][0]["url"] for page in pages)


async def test_a_chain_sees_an_update_and_a_deletion_at_once(fhir: Fhir, mark: str) -> None:
    organization = {"resourceType": "Organization", "id": f"{mark}o", "name": f"{mark}one"}
    person = {
        "resourceType": "Patient",
        "id": f"{mark}p",
        "managingOrganization": {"reference": f"Organization/{mark}o"},
    }
    await fhir.store(person)
    assert await fhir.ids(f"Patient?organization.name={mark}") == []
    await fhir.store(organization)
    assert await fhir.ids(f"Patient?organization.name={mark}one") == [f"{mark}p"]
    await fhir.store({**organization, "name": f"{mark}two"})
    assert await fhir.ids(f"Patient?organization.name={mark}one") == []
    assert await fhir.ids(f"Patient?organization.name={mark}two") == [f"{mark}p"]
    assert await fhir.ids(f"Organization?_has:Patient:organization:_id={mark}p") == [f"{mark}o"]
    await fhir.delete(f"Organization/{mark}o")
    assert await fhir.ids(f"Patient?organization.name={mark}two") == []
    assert await fhir.ids(f"Organization?_has:Patient:organization:_id={mark}p") == []


async def test_an_unknown_step_of_a_chain_is_dropped_when_asked_to_be_lenient(fhir: Fhir) -> None:
    page = done(await fhir.get(f"Patient?organization.nope=1&_tag={TAG}", prefer="handling=lenient"))
    assert "nope" not in page["link"][0]["url"]
    assert len(page["entry"]) == 4


async def test_a_conditional_create_may_be_about_a_chain(fhir: Fhir, mark: str) -> None:
    body = {"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"}}
    query = f"patient.identifier=urn:id|a\\,1\\|\\$&_tag={TAG}"
    assert done(await fhir.post("Encounter", body, if_none_exist=query), 200)["id"] == f"{TAG}-e"


async def test_a_chain_over_too_many_resources_says_what_to_narrow(
    fhir: Fhir, mark: str, store_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite joins within the statement and needs no limit; MongoDB refuses what it would have to carry."""
    monkeypatch.setattr(joins, "JOINED", 8)
    many = 9
    await fhir.store(
        {"resourceType": "Organization", "id": f"{mark}o", "name": mark},
        *({"resourceType": "Patient", "id": f"{mark}{n}", "name": [{"family": mark}], "identifier": [{"value": mark}],
           "managingOrganization": {"reference": f"Organization/{mark}o"}} for n in range(many)),
        *({"resourceType": "Encounter", "id": f"{mark}{n}", "status": "planned", "class": {"code": mark},
           "subject": {"reference": f"Patient/{mark}{n}"}} for n in range(many)),
    )  # fmt: skip
    query = f"Encounter?patient.name={mark}"
    if store_kind == "sqlite":
        assert done(await fhir.get(f"{query}&_summary=count"))["total"] == many
    else:
        issue = refused(await fhir.get(query), 422)
        assert issue["code"] == "too-costly"
        assert "Encounter.patient" in issue["diagnostics"]
        assert "narrow" in issue["diagnostics"]
    # narrowed from either side it is answered everywhere
    assert await fhir.ids(f"{query}&_id={mark}7") == [f"{mark}7"]
    assert await fhir.ids(f"{query}&patient=Patient/{mark}7") == [f"{mark}7"]
    assert await fhir.ids(f"Patient?_has:Encounter:patient:class={mark}&_id={mark}7,{mark}8") == [
        f"{mark}8",
        f"{mark}7",
    ]
    assert await fhir.ids(f"Organization?_has:Patient:organization:name={mark}") == [f"{mark}o"]
    page = done(await fhir.get(f"Patient?organization.name={mark}&_count=3"))
    assert len(page["entry"]) == 3
