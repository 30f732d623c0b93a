"""$everything: whole records in stateless pages (https://hl7.org/fhir/R4/patient-operation-everything.html)."""

import asyncio
import random
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from server.fhirpath.paths import compile_paths
from server.model import tables
from server.operations import everything_pages
from tests.client import Fhir, Resource, done, included, links, matches, refused
from tests.instances import referring


def address(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def shown(pages: Iterable[Resource]) -> list[str]:
    return [address(entry["resource"]) for page in pages for entry in page.get("entry", ())]


def matched(pages: Iterable[Resource]) -> list[str]:
    return [address(resource) for page in pages for resource in matches(page)]


def brought(pages: Iterable[Resource]) -> list[str]:
    return [one for page in pages for one in included(page)]


def refers(type: str, id: str, /, **references: str) -> Resource:
    """A resource whose named elements refer to these; what R4 asks for beside them is there."""
    needed: dict[str, dict[str, Any]] = {
        "Observation": {"status": "final", "code": {"text": "x"}},
        "Encounter": {"status": "finished", "class": {"code": "AMB"}},
        "Condition": {},
        "MedicationRequest": {"status": "active", "intent": "order"},
        "DiagnosticReport": {"status": "final", "code": {"text": "x"}},
        "PractitionerRole": {},
        "Organization": {"name": "院"},
        "Location": {},
        "Medication": {},
    }
    many = {"performer", "generalPractitioner", "result"}
    elements = {
        name.removesuffix("_"): [{"reference": to}] if name in many else {"reference": to}
        for name, to in references.items()
    }
    return {"resourceType": type, "id": id, **needed.get(type, {}), **elements}


# ------------------------------------------------------------------------------------------- what belongs to it
@pytest.mark.parametrize("compartment", ["Patient", "Encounter"])
async def test_each_parameter_of_the_compartment_brings_its_records(fhir: Fhir, mark: str, compartment: str) -> None:
    """One resource for each type and parameter; a few paths that are kept for another type of target are left out."""
    focal = {"resourceType": "Patient"} if compartment == "Patient" else refers("Encounter", mark)
    resources = [{**focal, "id": mark}]
    for type, codes in tables.compartment(compartment).items():
        for code in codes:
            if code == "{def}":
                continue
            paths = compile_paths(tables.search_parameters(type)[code].expression, type)
            path = next(one for one in paths if one.type == "Reference" and one.target in ("", compartment))
            resources.append({**referring(type, path, f"{compartment}/{mark}"), "id": f"{mark}-{type}-{code}"[:64]})
    await fhir.store(*resources)
    pages = await fhir.pages(f"{compartment}/{mark}/$everything")
    assert len(pages) == 1
    assert matched(pages)[0] == f"{compartment}/{mark}"
    assert sorted(matched(pages)) == sorted(map(address, resources))
    assert pages[0]["total"] == len(resources)
    small = await fhir.pages(f"{compartment}/{mark}/$everything?_count=7")
    assert matched(small) == matched(pages)
    assert all(len(matches(page)) == 7 for page in small[:-1])
    assert brought(small) == brought(pages)


# --------------------------------------------------------------------------- against the union of plain searches
SUPPORT = ("Organization", "Practitioner", "PractitionerRole", "Location", "Medication", "Substance")


def hospital(mark: str, draw: random.Random) -> list[Resource]:
    """Three patients and their records at random: shared, crossing over, some referring to what is not there."""

    def id(type: str, most: int) -> str:
        return f"{type}/{mark}-{draw.randrange(most)}"

    def patient() -> str:
        return id("Patient", 3)

    resources: list[Resource] = [
        {"resourceType": "Patient", "id": f"{mark}-{n}", "managingOrganization": {"reference": id("Organization", 4)},
         **({"link": [{"other": {"reference": patient()}, "type": "seealso"}]} if draw.random() < 0.5 else {})}
        for n in range(3)
    ]  # fmt: skip
    resources += [
        refers("Organization", f"{mark}-{n}", **({"partOf": id("Organization", 4)} if n else {})) for n in range(3)
    ]
    resources += [{"resourceType": "Practitioner", "id": f"{mark}-{n}"} for n in range(3)]
    resources += [
        refers(
            "PractitionerRole", f"{mark}-{n}", practitioner=id("Practitioner", 4), organization=id("Organization", 4)
        )
        for n in range(3)
    ]
    resources += [refers("Medication", f"{mark}-{n}", manufacturer=id("Organization", 4)) for n in range(2)]
    for n in range(draw.randrange(5, 25)):
        resources.append(
            draw.choice(
                [
                    lambda: refers("Encounter", "", subject=patient(), serviceProvider=id("Organization", 4)),
                    lambda: refers("Condition", "", subject=patient(), asserter=id("PractitionerRole", 4)),
                    lambda: refers("Condition", "", subject=patient(), recorder=patient()),
                    lambda: refers("Observation", "", subject=patient(), performer=patient()),
                    lambda: refers("Observation", "", subject=patient(), performer=id("Practitioner", 4)),
                    lambda: refers("Observation", "", performer=id("Practitioner", 4)),
                    lambda: refers("MedicationRequest", "", subject=patient(),
                                   medicationReference=id("Medication", 3), requester=id("PractitionerRole", 4)),
                    lambda: refers("DiagnosticReport", "", subject=patient(), result=id("Observation", 20)),
                    lambda: {"resourceType": "Appointment", "status": "booked", "participant": [
                        {"actor": {"reference": patient()}, "status": "accepted"},
                        {"actor": {"reference": patient()}, "status": "accepted"},
                        {"actor": {"reference": id("Location", 2)}, "status": "accepted"}]},
                    lambda: {"resourceType": "Group", "type": "person", "actual": True, "member": [
                        {"entity": {"reference": patient()}}, {"entity": {"reference": id("Practitioner", 4)}}]},
                ]
            )()
            | {"id": f"{mark}-{n}"}
        )  # fmt: skip
    return resources


def named_in(resource: Any) -> Iterator[str]:
    if isinstance(resource, dict):
        if isinstance(resource.get("reference"), str):
            yield resource["reference"]
        for value in resource.values():
            yield from named_in(value)
    elif isinstance(resource, list):
        for value in resource:
            yield from named_in(value)


async def by_search(fhir: Fhir, patients: list[str]) -> tuple[set[str], set[str]]:
    """(what belongs to the patients, what that refers to), by a search for each type and parameter, and reads."""
    known: dict[str, Resource] = {}
    for patient in patients:
        known[patient] = done(await fhir.get(patient))
        for type, codes in tables.compartment("Patient").items():
            for code in codes:
                for page in await fhir.pages(f"{type}?{code}={patient}&_count=1000"):
                    known |= {address(one): one for one in matches(page)}
    own, wanted = set(known), {r for one in known.values() for r in referred(one)}
    while wanted := wanted - set(known):
        new: dict[str, Resource] = {}
        for one in sorted(wanted):
            answer = await fhir.get(one)
            new[one] = done(answer) if answer.status_code == 200 else {}
        known |= new
        wanted = {r for one in new.values() for r in referred(one) if r.startswith(SUPPORT)}
    return own, {one for one, resource in known.items() if resource} - own


def referred(resource: Resource) -> set[str]:
    found = set(named_in(resource))
    return (
        {one for one in found if not one.startswith("Patient/")} if resource.get("resourceType") == "Group" else found
    )


@pytest.mark.parametrize("seed", range(6))
async def test_everything_is_the_union_of_the_searches(fhir: Fhir, mark: str, seed: int) -> None:
    draw = random.Random(seed)
    resources = hospital(mark, draw)
    await fhir.store(*resources)
    for n in range(2):
        own, also = await by_search(fhir, [f"Patient/{mark}-{n}"])
        for count in ("", f"?_count={draw.randrange(1, 9)}"):
            pages = await fhir.pages(f"Patient/{mark}-{n}/$everything{count}")
            assert matched(pages)[0] == f"Patient/{mark}-{n}"
            assert (sorted(matched(pages)), sorted(brought(pages))) == (sorted(own), sorted(also))
            assert all(page["entry"] for page in pages)
        some = draw.sample(["Observation", "Patient", "Organization", "Condition", "Group", "Practitioner"], 3)
        filtered = await fhir.pages(f"Patient/{mark}-{n}/$everything?_type={','.join(some)}&_count=2")
        assert sorted(matched(filtered)) == sorted(one for one in own if one.split("/")[0] in some)
        assert sorted(brought(filtered)) == sorted(one for one in also if one.split("/")[0] in some)


@pytest.mark.parametrize("seed", range(3))
async def test_everything_of_all_patients_is_the_union_of_theirs(empty: Fhir, mark: str, seed: int) -> None:
    draw = random.Random(seed)
    await empty.store(*hospital(mark, draw))
    own, also = await by_search(empty, [f"Patient/{mark}-{n}" for n in range(3)])
    for count in ("", "?_count=1", "?_count=4"):
        pages = await empty.pages(f"Patient/$everything{count}")
        assert (sorted(matched(pages)), sorted(brought(pages))) == (sorted(own), sorted(also))


# ------------------------------------------------------------------------------------------------------- groups
def group(id: str, *members: str, **more: Any) -> Resource:
    listed = [{"entity": {"reference": one}} for one in members]
    return {"resourceType": "Group", "id": id, "type": "person", "actual": True, "member": listed, **more}


async def test_everything_of_a_group_is_itself_and_the_records_of_its_patients_once(fhir: Fhir, mark: str) -> None:
    """More members than are read at a time, and an appointment of the first and the last of them."""
    people = [{"resourceType": "Patient", "id": f"{mark}-{n:02}"} for n in range(45)]
    records = [refers("Condition", f"{mark}-{n:02}", subject=f"Patient/{mark}-{n:02}") for n in range(45)]
    shared = {
        "resourceType": "Appointment", "id": mark, "status": "booked",
        "participant": [{"actor": {"reference": f"Patient/{mark}-{n}"}, "status": "accepted"} for n in (44, "00", 21)],
    }  # fmt: skip
    links_ = [{"other": {"reference": f"Patient/{mark}-{n}"}, "type": "seealso"} for n in ("03", "33")]
    linked = {"resourceType": "Patient", "id": f"{mark}-out", "link": links_}
    people[7]["link"] = [{"other": {"reference": f"Patient/{mark}-40"}, "type": "seealso"}]
    whole = group(mark, *map(address, people), f"Patient/{mark}-nobody", f"Practitioner/{mark}")
    doctor = {"resourceType": "Practitioner", "id": mark}
    await fhir.store(*people, *records, shared, linked, whole, doctor)
    expected = sorted(map(address, [*people, *records, shared, linked, whole]))
    for count in ("", "?_count=9"):
        pages = await fhir.pages(f"Group/{mark}/$everything{count}")
        assert matched(pages)[0] == f"Group/{mark}"
        assert sorted(matched(pages)) == expected
        assert brought(pages) == [f"Practitioner/{mark}"]


async def test_very_many_matches_bring_what_they_refer_to_portion_by_portion(
    face: Fhir, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then a page looks through one portion only; what two portions refer to comes with each of them."""
    monkeypatch.setattr(everything_pages, "WINDOW", 30)
    people = [{"resourceType": "Patient", "id": f"{mark}-{n:02}"} for n in range(45)]
    doctors = [{"resourceType": "Practitioner", "id": f"{mark}-{n}"} for n in (0, 1, "all")]
    records = [
        refers("Condition", f"{mark}-{n:02}", subject=f"Patient/{mark}-{n:02}", recorder=f"Practitioner/{mark}-{who}")
        for n in range(45)
        for who in [0 if n < 20 else 1 if n < 40 else "all"]
    ]
    everyone = refers("Condition", f"{mark}-x", subject=f"Patient/{mark}-00", recorder=f"Practitioner/{mark}-all")
    await face.store(*people, *doctors, *records, everyone, group(mark, *map(address, people)))
    for count in ("", "?_count=7", "?_count=41"):
        pages = await face.pages(f"Group/{mark}/$everything{count}")
        assert sorted(matched(pages)) == sorted([f"Group/{mark}", *map(address, [*people, *records, everyone])])
        assert brought(pages) == [f"Practitioner/{mark}-{who}" for who in (0, "all", 1, "all")]


async def test_inactive_members_of_a_group_stay_out(fhir: Fhir, mark: str) -> None:
    await fhir.store(
        {"resourceType": "Patient", "id": f"{mark}-a"},
        {"resourceType": "Patient", "id": f"{mark}-b"},
        refers("Condition", f"{mark}-b", subject=f"Patient/{mark}-b"),
    )
    whole = group(mark, f"Patient/{mark}-a", f"Patient/{mark}-b")
    whole["member"][1]["inactive"] = True
    await fhir.store(whole)
    assert shown(await fhir.pages(f"Group/{mark}/$everything")) == [f"Group/{mark}", f"Patient/{mark}-a"]


async def test_everything_of_an_encounter_brings_its_patient(fhir: Fhir, mark: str) -> None:
    await fhir.store(
        {"resourceType": "Patient", "id": mark},
        refers("Encounter", mark, subject=f"Patient/{mark}", serviceProvider=f"Organization/{mark}"),
        refers("Organization", mark),
        refers("Observation", f"{mark}-in", subject=f"Patient/{mark}", encounter=f"Encounter/{mark}"),
        refers("Observation", f"{mark}-out", subject=f"Patient/{mark}"),
    )
    pages = await fhir.pages(f"Encounter/{mark}/$everything?_count=1")
    assert matched(pages) == [f"Encounter/{mark}", f"Observation/{mark}-in"]
    assert brought(pages) == [f"Organization/{mark}", f"Patient/{mark}"]


# ------------------------------------------------------------------------------------------------------ filters
async def test_start_and_end_choose_the_records_of_care(fhir: Fhir, mark: str) -> None:
    subject = f"Patient/{mark}"
    await fhir.store(
        {"resourceType": "Patient", "id": mark},
        refers("Practitioner", f"{mark}-old"),
        refers("Practitioner", f"{mark}-new"),
        {**refers("Observation", f"{mark}-old", subject=subject, performer=f"Practitioner/{mark}-old"),
         "effectiveDateTime": "2023-12-31"},
        {**refers("Observation", f"{mark}-new", subject=subject, performer=f"Practitioner/{mark}-new"),
         "effectiveDateTime": "2024-02-10"},
        {**refers("Observation", f"{mark}-none", subject=subject)},
        {**refers("Encounter", f"{mark}-over", subject=subject),
         "period": {"start": "2023-11-01", "end": "2024-01-15"}},
        {**refers("Condition", f"{mark}-lasting", subject=subject), "recordedDate": "2019-01-01"},
    )  # fmt: skip
    always = {subject, f"Observation/{mark}-none", f"Condition/{mark}-lasting"}
    old = {f"Observation/{mark}-old", f"Practitioner/{mark}-old"}
    new = {f"Observation/{mark}-new", f"Practitioner/{mark}-new"}
    over = {f"Encounter/{mark}-over"}
    for words, expected in {
        "start=2024-01-01": always | new | over,
        "end=2023-12-31": always | old | over,
        "start=2024-01-01&end=2024-01-31": always | over,
        "start=2024-02-10&end=2024-02-10": always | new,
        "start=2025": always,
    }.items():
        pages = await fhir.pages(f"Patient/{mark}/$everything?{words}&_count=2")
        assert sorted(shown(pages)) == sorted(expected), words


async def test_since_shows_what_was_stored_from_then_on_wherever_it_stands(fhir: Fhir, mark: str) -> None:
    await fhir.store(
        {"resourceType": "Patient", "id": mark},
        refers("Practitioner", mark),
        *(refers("Observation", f"{mark}-{n}", subject=f"Patient/{mark}", performer=f"Practitioner/{mark}")
          for n in range(3)),
    )  # fmt: skip
    await asyncio.sleep(0.01)  # lastUpdated has milliseconds
    await fhir.store({**refers("Practitioner", mark), "active": True})
    practitioner = done(await fhir.get(f"Practitioner/{mark}"))
    since = practitioner["meta"]["lastUpdated"]
    await fhir.store({**refers("Observation", f"{mark}-1", subject=f"Patient/{mark}"), "language": "zh"})
    pages = await fhir.pages(f"Patient/{mark}/$everything?_since={since}")
    assert shown(pages) == [f"Observation/{mark}-1", f"Practitioner/{mark}"]
    assert shown(await fhir.pages(f"Patient/{mark}/$everything?_since=2124-01-01T00:00:00Z")) == []


# -------------------------------------------------------------------------------------------------------- pages
async def test_pages_have_no_gap_and_no_double_while_four_others_write(fhir: Fhir, mark: str) -> None:
    subject = f"Patient/{mark}"
    kept = [refers("Observation", f"{mark}-{n:02}", subject=subject, performer=f"Practitioner/{mark}-{n % 7}")
            for n in range(40)]  # fmt: skip
    kept += [refers("Condition", f"{mark}-{n:02}", subject=subject, recorder=subject) for n in range(20)]
    kept += [{"resourceType": "Practitioner", "id": f"{mark}-{n}"} for n in range(7)]
    kept += [{"resourceType": "Patient", "id": mark}]
    await fhir.store(*kept)
    stop = asyncio.Event()

    async def write(number: int) -> int:
        """Changes what is there and adds and deletes what was not, until the reader has all its pages."""
        made = 0
        while not stop.is_set():
            one = kept[(made * 4 + number) % 60]
            await fhir.store({**one, "language": "zh" if made % 2 else "en"})
            await fhir.store(refers("Observation", f"{mark}-new{number}-{made}", subject=subject))
            if made % 3 == 0:
                await fhir.delete(f"Observation/{mark}-new{number}-{made}")
            made += 1
        return made

    writers = [asyncio.create_task(write(number)) for number in range(4)]
    try:
        found = [done(await fhir.get(f"{subject}/$everything?_count=3"))]
        while (onward := links(found[-1]).get("next")) and len(found) < 500:
            found.append(done(await fhir.get(onward)))
            await asyncio.sleep(0.005)
    finally:
        stop.set()
    assert all(made > 0 for made in await asyncio.gather(*writers))
    seen = shown(found)
    assert len(seen) == len(set(seen))
    assert {one for one in seen if "new" not in one} == set(map(address, kept))
    assert found[0]["entry"][0]["fullUrl"] == f"{fhir.base}/{subject}"


async def test_the_links_carry_what_was_asked_and_are_signed(fhir: Fhir, mark: str) -> None:
    await fhir.store(
        {"resourceType": "Patient", "id": mark},
        *(refers("Condition", f"{mark}-{n}", subject=f"Patient/{mark}") for n in range(5)),
    )
    first = done(await fhir.get(f"Patient/{mark}/$everything?_count=2&_type=Condition&_summary=true"))
    assert links(first)["self"] == f"{fhir.base}/Patient/{mark}/$everything?_type=Condition&_count=2&_summary=true"
    assert "total" not in first
    onward = links(first)["next"]
    second = done(await fhir.get(onward))
    assert links(second)["self"] == onward
    assert all(one["meta"]["tag"][0]["code"] == "SUBSETTED" for one in matches(second))
    for changed in (
        onward.replace("_type=Condition", "_type=Observation"),
        onward.replace(f"Patient/{mark}", "Patient"),
        onward[:-2],
        onward[:-2] + "!!",
    ):
        assert refused(await fhir.get(changed), 400)["expression"] == ["_cursor"], changed


async def test_posted_parameters_say_the_same_as_an_address(fhir: Fhir, mark: str) -> None:
    await fhir.store(
        {"resourceType": "Patient", "id": mark},
        *(refers("Condition", f"{mark}-{n}", subject=f"Patient/{mark}") for n in range(3)),
    )
    asked = {"resourceType": "Parameters", "parameter": [
        {"name": "_type", "valueCode": "Condition"}, {"name": "_type", "valueCode": "Patient"},
        {"name": "_count", "valueInteger": 2}]}  # fmt: skip
    first = done(await fhir.post(f"Patient/{mark}/$everything", asked), 200)
    same = await fhir.pages(f"Patient/{mark}/$everything?_type=Condition&_type=Patient&_count=2")
    assert first == same[0]
    assert shown([first, *await fhir.pages(links(first)["next"])]) == shown(same)


async def test_more_referred_resources_than_a_page_takes_come_on_pages_of_their_own(fhir: Fhir, mark: str) -> None:
    many = [{"resourceType": "Practitioner", "id": f"{mark}-{n:04}"} for n in range(1003)]
    await fhir.store(
        *many,
        {"resourceType": "Patient", "id": mark, "generalPractitioner": [{"reference": address(one)} for one in many]},
    )
    pages = await fhir.pages(f"Patient/{mark}/$everything?_count=1")
    assert [len(page["entry"]) for page in pages] == [1001, 3]
    assert shown(pages) == [f"Patient/{mark}", *map(address, many)]
    assert (pages[0]["total"], "total" in pages[1]) == (1, False)


async def test_what_is_shown_are_the_stored_bytes(fhir: Fhir, mark: str) -> None:
    body = """{"resourceType":"Observation","id":"MARK","status":"final","code":{"text":"x"},
        "subject":{"reference":"Patient/MARK"},"valueQuantity":{"value":1.50e0}}""".replace("MARK", mark)
    await fhir.store({"resourceType": "Patient", "id": mark})
    done(await fhir.put(f"Observation/{mark}", body))
    answer = await fhir.get(f"Patient/{mark}/$everything")
    assert (await fhir.get(f"Observation/{mark}")).content in answer.content


# ------------------------------------------------------------------------------------------------------ refusals
async def test_everything_of_what_is_not_there_is_not_found_and_of_the_deleted_gone(fhir: Fhir, mark: str) -> None:
    for type in ("Patient", "Encounter", "Group"):
        refused(await fhir.get(f"{type}/{mark}/$everything"), 404)
    await fhir.store(
        {"resourceType": "Patient", "id": mark},
        *(refers("Condition", f"{mark}-{n}", subject=f"Patient/{mark}") for n in range(3)),
    )
    onward = links(done(await fhir.get(f"Patient/{mark}/$everything?_count=1")))["next"]
    done(await fhir.delete(f"Patient/{mark}"), 204)
    refused(await fhir.get(f"Patient/{mark}/$everything"), 410)
    refused(await fhir.get(onward), 410)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("_count=0", "_count"),
        ("_count=-1", "_count"),
        ("_count=many", "_count"),
        ("_type=Nothing", "_type"),
        ("_type=Patient,", "_type"),
        ("_since=yesterday", "_since"),
        ("start=soon", "start"),
        ("end=2024-13-01", "end"),
        ("subject=Patient/1", "subject"),
        ("_cursor=AAAA", "_cursor"),
        ("_cursor=", "_cursor"),
        ("_summary=count", "_summary"),
        ("_count=1&_count=2", "_count"),
    ],
)
async def test_a_parameter_that_is_wrong_is_named(fhir: Fhir, words: str, named: str) -> None:
    await fhir.store({"resourceType": "Patient", "id": "everything"})
    for place in ("Patient/everything/$everything", "Patient/$everything"):
        assert refused(await fhir.get(f"{place}?{words}"), 400)["expression"] == [named]


async def test_an_encounter_has_no_dates_to_choose_by_and_no_other_type_has_everything(fhir: Fhir, mark: str) -> None:
    await fhir.store(refers("Encounter", mark))
    assert refused(await fhir.get(f"Encounter/{mark}/$everything?start=2024"), 400)["expression"] == ["start"]
    for place in ("Encounter/$everything", "Group/$everything", "$everything", "Observation/1/$everything"):
        refused(await fhir.get(place), 501)
