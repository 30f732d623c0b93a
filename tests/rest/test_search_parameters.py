"""SearchParameter resources: checked when written, searched by when all is indexed, gone when withdrawn."""

import asyncio
import random
from typing import Any

import pytest

from tests.client import Fhir, Resource, done, included, links, matches, refused

PATIENCE = 400  # looks at the Task
BLOOD, NEAR = "urn:example:blood", "urn:example:near"


def parameter(id: str, **changes: Any) -> Resource:
    given: Resource = {
        "resourceType": "SearchParameter",
        "id": id,
        "url": f"https://example.org/fhir/SearchParameter/{id}",
        "name": "Invented",
        "status": "active",
        "description": "Invented for a test",
        "code": id,
        "base": ["Patient"],
        "type": "token",
        "expression": f"Patient.extension('{BLOOD}').value.ofType(code)",
        **changes,
    }
    return {name: value for name, value in given.items() if value is not None}


def patient(id: str, blood: str = "", **more: Any) -> Resource:
    extension = {"extension": [{"url": BLOOD, "valueCode": blood}]} if blood else {}
    return {"resourceType": "Patient", "id": id, **extension, **more}


async def indexed(fhir: Fhir, id: str, version: int = 1) -> Resource:
    """The Task of a reindex that is over for this version of the SearchParameter, and searches know it."""
    for _ in range(PATIENCE):
        answer = await fhir.get(f"Task/reindex-{id}")
        task = answer.json()
        if answer.status_code == 200 and task["focus"]["reference"].endswith(f"/_history/{version}"):
            assert task["status"] != "failed", task["description"]
            if task["status"] == "completed":
                await asyncio.sleep(1)  # longer than the time between two looks of any process
                found: Resource = task
                return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"the reindex for {id} does not end")


def counts(task: Resource) -> dict[str, int]:
    return {one["type"]["text"]: one["valueUnsignedInt"] for one in task["output"]}


async def listed(fhir: Fhir, type: str = "Patient") -> dict[str, str]:
    """Code -> definition, of the CapabilityStatement."""
    resources = done(await fhir.get("metadata"))["rest"][0]["resource"]
    found = next(one for one in resources if one["type"] == type)
    return {one["name"]: one["definition"] for one in found["searchParam"]}


async def test_a_parameter_is_searched_by_when_what_is_stored_is_indexed_and_not_before(empty: Fhir) -> None:
    await empty.store(*(patient(f"p{n:03}", "AB"[n % 2]) for n in range(250)))
    assert "blood" in refused(await empty.get("Patient?blood=A"), 400)["diagnostics"]
    done(await empty.put("SearchParameter/blood", parameter("blood")), 201)
    early = await empty.get("Patient?blood=A")
    issue = refused(early, 503)
    assert issue["expression"] == ["blood"] and "SearchParameter/blood/$reindex" in issue["diagnostics"]
    assert early.headers["retry-after"]
    refused(await empty.get("Patient?_sort=blood"), 503)
    refused(await empty.get("Observation?subject:Patient.blood=A"), 503)
    assert "blood" not in await listed(empty)
    done(await empty.put("Patient/late", patient("late", "C")), 201)
    task = await indexed(empty, "blood")
    assert counts(task)["checked"] == 251 and counts(task)["repaired"] == 0 and task["executionPeriod"]["end"]
    assert (await listed(empty))["blood"] == "https://example.org/fhir/SearchParameter/blood"
    assert await empty.ids("Patient?blood=C") == ["late"]
    assert await empty.ids("Patient?blood=A&_count=1000") == await empty.ids("Patient?blood:not=B,C&_count=1000")
    assert len(await empty.ids("Patient?blood=A&_count=1000")) == 125
    page = done(await empty.get("Patient?_sort=-blood&_count=2"))
    assert matches(page)[0]["id"] == "late" and "next" in links(page)
    observation = {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"}}
    await empty.store({**observation, "subject": {"reference": "Patient/late"}})
    assert await empty.ids("Observation?subject:Patient.blood=C") == ["o"]
    done(await empty.put("Patient/late", patient("late", "D")), 200)
    assert await empty.ids("Patient?blood=C") == [] and await empty.ids("Patient?blood=D") == ["late"]


async def test_nothing_is_missing_and_nothing_stale_when_two_writers_wrote_meanwhile(empty: Fhir) -> None:
    many, over = 400, asyncio.Event()
    await empty.store(*(patient(f"p{n}", "A", active=True) for n in range(many)))

    async def write(seed: int) -> int:
        chance, written = random.Random(seed), 0
        while not over.is_set():
            id = f"p{chance.randrange(many)}"
            if chance.random() < 0.2:
                done(await empty.delete(f"Patient/{id}"), 204)
            else:
                answer = await empty.put(f"Patient/{id}", patient(id, chance.choice("ABCD"), active=seed > 1))
                assert answer.status_code in (200, 201, 409), answer.text
            written += 1
            await asyncio.sleep(0.002)
        return written

    writers = [asyncio.create_task(write(seed)) for seed in (1, 2)]
    done(await empty.put("SearchParameter/blood", parameter("blood")), 201)
    await indexed(empty, "blood")
    over.set()
    assert min(await asyncio.gather(*writers)) > 50
    true: dict[str, set[str]] = {letter: set() for letter in "ABCD"}
    for page in await empty.pages("Patient?_count=500"):
        for one in matches(page):
            true[one["extension"][0]["valueCode"]].add(one["id"])
    for letter, ids in true.items():
        assert set(await empty.ids(f"Patient?blood={letter}&_count=1000")) == ids, letter
    assert await empty.ids("Patient?blood:missing=true") == []


async def test_a_changed_expression_finds_by_the_new_one_only(empty: Fhir) -> None:
    await empty.store(
        patient("one", "A", gender="male"), patient("two", "B"), patient("three", gender="female"), patient("four", "A")
    )
    done(await empty.put("SearchParameter/own", parameter("own")), 201)
    await indexed(empty, "own")
    done(await empty.put("Patient/four", patient("four", "B")), 200)
    assert sorted(await empty.ids("Patient?own=B")) == ["four", "two"]
    done(await empty.put("SearchParameter/own", parameter("own", expression="Patient.gender")), 200)
    refused(await empty.get("Patient?own=A"), 503)
    task = await indexed(empty, "own", 2)
    assert counts(task)["indexed"] == 4 and counts(task)["repaired"] == 0
    assert await empty.ids("Patient?own=A,B") == []
    assert await empty.ids("Patient?own=male") == ["one"] and await empty.ids("Patient?own=female") == ["three"]


@pytest.mark.parametrize("way", ["deleted", "retired"])
async def test_a_withdrawn_parameter_is_refused_and_leaves_nothing_behind(empty: Fhir, way: str) -> None:
    await empty.store(*(patient(f"p{n}", "A") for n in range(5)))
    done(await empty.put("SearchParameter/blood", parameter("blood")), 201)
    await indexed(empty, "blood")
    done(await empty.put("Patient/p1", patient("p1", "B")), 200)
    if way == "deleted":
        done(await empty.delete("SearchParameter/blood"), 204)
    else:
        done(await empty.put("SearchParameter/blood", parameter("blood", status="retired")), 200)
    refused(await empty.get("Patient?blood=A"), 400)
    assert "blood" not in await listed(empty)
    done(await empty.put("Patient/p2", patient("p2", "C")), 200)  # by now nobody looks after its entries
    task = await indexed(empty, "blood", 2)
    found = counts(task)
    assert found["indexed"] >= 5 and (found["checked"], found["repaired"]) == (5, 0)
    done(await empty.put("SearchParameter/blood", parameter("blood", expression="Patient.gender")))
    await indexed(empty, "blood", 3)
    assert await empty.ids("Patient?blood=A,B,C") == []
    assert len(await empty.ids("Patient?blood:missing=true")) == 5


async def test_parameters_of_every_kind_find_what_they_name(empty: Fhir) -> None:
    near = {"url": NEAR, "valueReference": {"reference": "Practitioner/dr"}}
    await empty.store(
        {"resourceType": "Practitioner", "id": "dr"},
        {
            "resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"},
            "issued": "2024-05-01T08:00:00+08:00", "extension": [near],
            "referenceRange": [{"low": {"value": 4.5, "unit": "mmol/L"}, "text": "Fasting adults"}],
            "component": [
                {"code": {"coding": [{"code": "a"}]}, "interpretation": [{"coding": [{"code": "H"}]}]},
                {"code": {"coding": [{"code": "b"}]}, "interpretation": [{"coding": [{"code": "L"}]}]},
            ],
        },
    )  # fmt: skip
    definition = "http://hl7.org/fhir/SearchParameter/clinical-code"
    parts = [
        {"definition": definition, "expression": "code"},
        {"definition": "http://hl7.org/fhir/SearchParameter/Observation-combo-code", "expression": "interpretation"},
    ]
    for id, changes in {
        "issued": {"type": "date", "expression": "Observation.issued"},
        "low": {"type": "quantity", "expression": "Observation.referenceRange.low"},
        "range-text": {"type": "string", "expression": "Observation.referenceRange.text"},
        "near-by": {
            "type": "reference", "target": ["Practitioner"],
            "expression": f"Observation.extension.where(url='{NEAR}').value.ofType(Reference)",
        },
        "flagged": {"type": "composite", "expression": "Observation.component", "component": parts},
    }.items():  # fmt: skip
        done(await empty.put(f"SearchParameter/{id}", parameter(id, base=["Observation"], **changes)), 201)
    for id in ("issued", "low", "range-text", "near-by", "flagged"):
        await indexed(empty, id)
    for query, found in {
        "issued=2024-05-01": ["o"], "issued=gt2024-05-02": [], "low=gt4": ["o"], "low=lt4": [],
        "range-text=fasting": ["o"], "range-text:exact=Fasting": [], "near-by=Practitioner/dr": ["o"],
        "near-by=Practitioner/other": [], "flagged=a$H": ["o"], "flagged=a$L": [], "flagged=b$L": ["o"],
    }.items():  # fmt: skip
        assert await empty.ids(f"Observation?{query}") == found, query
    page = done(await empty.get("Observation?_id=o&_include=Observation:near-by"))
    assert included(page) == ["Practitioner/dr"]
    assert await empty.ids("Practitioner?_has:Observation:near-by:low=gt4") == ["dr"]


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "a function that is no path": ({"expression": "Patient.name.first()"}, "expression", "Patient.name.first()"),
    "arithmetic": ({"expression": "Patient.name.count() > 1"}, "expression", "Patient.name.count() > 1"),
    "an element that is not there": ({"expression": "Patient.nose"}, "expression", "Patient.nose"),
    "an element of another kind": ({"expression": "Patient.birthDate", "type": "quantity"}, "expression", "date"),
    "a type that base does not name": ({"expression": "Practitioner.name"}, "expression", "Practitioner.name"),
    "nothing for one base": ({"base": ["Patient", "Person"]}, "expression", "Person"),
    "no expression": ({"expression": None}, "expression", "expression"),
    "type special": ({"type": "special"}, "type", "special"),
    "a code that R4 has": ({"code": "family"}, "code", "SearchParameter/individual-family"),
    "a code that no search can name": ({"code": "a.b"}, "code", "a.b"),
    "an abstract base": ({"base": ["Resource"]}, "base[0]", "Resource"),
    "an abstract target": ({"target": ["DomainResource"]}, "target[0]", "DomainResource"),
    "a composite without components": ({"type": "composite"}, "component", "components"),
    "an unknown component": (
        {"type": "composite", "component": [{"definition": "urn:x", "expression": "x"}] * 2},
        "component[0].definition", "urn:x",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
async def test_what_cannot_be_searched_by_is_refused_by_name(face: Fhir, mark: str, case: str) -> None:
    changes, at, named = WRONG[case]
    one = parameter(mark, **changes)
    issue = refused(await face.put(f"SearchParameter/{mark}", one), 422)
    assert issue["expression"] == [f"SearchParameter.{at}"] and named in issue["diagnostics"]
    refused(await face.get(f"SearchParameter/{mark}"), 404)
    done(await face.put(f"SearchParameter/{mark}", {**one, "status": "draft"}), 201)  # a draft is only kept
    refused(await face.get(f"SearchParameter/{mark}/$reindex"), 404)
    refused(await face.post(f"SearchParameter/{mark}/$reindex"), 422)
    done(await face.delete(f"SearchParameter/{mark}"), 204)


async def test_two_parameters_cannot_give_one_code_to_a_type(empty: Fhir) -> None:
    done(await empty.put("SearchParameter/one", parameter("one", code="same")), 201)
    issue = refused(await empty.put("SearchParameter/two", parameter("two", code="same")), 422)
    assert issue["code"] == "duplicate" and "SearchParameter/one" in issue["diagnostics"]
    done(await empty.put("SearchParameter/one", parameter("one", code="same", name="Again")), 200)


async def test_the_task_is_the_servers_and_post_begins_anew(empty: Fhir) -> None:
    await empty.store(patient("p", "A"))
    done(await empty.put("SearchParameter/blood", parameter("blood")), 201)
    task = await indexed(empty, "blood")
    assert done(await empty.get("SearchParameter/blood/$reindex"))["id"] == task["id"]
    refused(await empty.put(f"Task/{task['id']}", task), 403)
    refused(await empty.delete(f"Task/{task['id']}"), 403)
    refused(await empty.put("Task/reindex-other", {**task, "id": "reindex-other"}), 403)
    again = done(await empty.post("SearchParameter/blood/$reindex"), 202)
    assert again["executionPeriod"]["start"] > task["executionPeriod"]["start"]
    assert (await empty.get("Patient?blood=A")).status_code in (200, 503)
    await indexed(empty, "blood")
    assert await empty.ids("Patient?blood=A") == ["p"]
