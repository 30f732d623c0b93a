"""_summary and _elements: what is shown, that it is tagged, and that it keeps its bytes
(https://hl7.org/fhir/R4/search.html#summary, #elements)."""

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.keys import Version
from server.model import tables
from server.model.raw import members
from server.model.subset import SYSTEM, asked
from tests import servers
from tests.client import Fhir, Resource, bundle, done, entry, links, put, refused, statuses

SUBSETTED = {"system": SYSTEM, "code": "SUBSETTED"}
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">王</div>'
ALWAYS = {"resourceType", "id", "meta"}
_numbers = itertools.count()

PATIENT: Resource = {
    "resourceType": "Patient",
    "id": "shape",
    "meta": {"tag": [{"code": "shape"}], "profile": ["http://example.org/p"]},
    "language": "zh",
    "text": {"status": "generated", "div": DIV},
    "contained": [{"resourceType": "Organization", "id": "o", "name": "x"}],
    "extension": [{"url": "http://example.org/e", "valueDecimal": 1.5}],
    "modifierExtension": [{"url": "http://example.org/m", "valueBoolean": True}],
    "active": True,
    "name": [{"family": "王", "extension": [{"url": "http://example.org/n", "valueCode": "x"}]}],
    "birthDate": "1949-12-31",
    "_birthDate": {"extension": [{"url": "http://example.org/b", "valueTime": "10:00:00"}]},
    "maritalStatus": {"text": "x"},
    "managingOrganization": {"reference": "Organization/shape"},
    "photo": [{"title": "x"}],
    "contact": [{"name": {"text": "x"}}],
    "link": [{"other": {"reference": "Patient/other"}, "type": "seealso"}],
}
MODIFIERS = {"modifierExtension", "active", "link"}
SUMMARY = {"name", "birthDate", "_birthDate", "managingOrganization"}
ORGANIZATION: Resource = {
    "resourceType": "Organization",
    "id": "shape",
    "name": "x",
    "alias": ["y"],
    "contact": [{"name": {"text": "x"}}],
}

SHAPES = [
    ("_summary=true", MODIFIERS | SUMMARY),
    ("_summary=text", MODIFIERS | {"text"}),
    ("_summary=data", set(PATIENT) - ALWAYS - {"text"}),
    ("_elements=birthDate", MODIFIERS | {"birthDate", "_birthDate"}),
    ("_elements=name,photo", MODIFIERS | {"name", "photo"}),
    ("_elements=name&_elements=photo", MODIFIERS | {"name", "photo"}),
    ("_elements=Patient.name", MODIFIERS | {"name"}),
    ("_elements=id", MODIFIERS),
    ("_summary=false&_elements=text", MODIFIERS | {"text"}),
]


@pytest.fixture(scope="module")
async def shaped(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fhir]:
    """An app of its own, so that the history of all types fits on a page."""
    async with servers.in_process(servers.app_on("", tmp_path_factory.mktemp("shaped"))) as http:
        fhir = Fhir(http, servers.BASE)
        await fhir.store(PATIENT, ORGANIZATION)
        yield fhir


def resources(page: Resource) -> list[Resource]:
    return [one["resource"] for one in page["entry"]]


@pytest.mark.parametrize(("words", "names"), SHAPES)
@pytest.mark.parametrize(
    "path",
    ["Patient/shape?", "Patient/shape/_history/1?", "Patient?_id=shape&", "Patient/shape/_history?", "_history?"],
)
async def test_a_subset_shows_these_members_with_their_values_and_the_tag(
    shaped: Fhir, path: str, words: str, names: set[str]
) -> None:
    answer = done(await shaped.get(path + words))
    found = resources(answer) if answer["resourceType"] == "Bundle" else [answer]
    patient = next(one for one in found if one["resourceType"] == "Patient")
    assert set(patient) == ALWAYS | names
    assert {name: patient[name] for name in names} == {name: PATIENT[name] for name in names}
    assert patient["meta"]["tag"] == [{"code": "shape"}, SUBSETTED]
    assert (patient["meta"]["profile"], patient["meta"]["versionId"]) == (["http://example.org/p"], "1")


@pytest.mark.parametrize("words", ["", "?_summary=false", "?_elements=Organization.name"])
async def test_nothing_asked_of_a_type_leaves_it_whole(shaped: Fhir, words: str) -> None:
    found = done(await shaped.get(f"Patient/shape{words}"))
    assert found == {**PATIENT, "meta": found["meta"]}
    assert found["meta"]["tag"] == [{"code": "shape"}]


INCLUDED = [
    ("_summary=true", ALWAYS | {"name"}),
    ("_elements=birthDate", set(ORGANIZATION) | {"meta"}),  # the list does not hold for what is included
    ("_elements=birthDate,Organization.alias", ALWAYS | {"alias"}),
    ("_elements=Organization.alias", ALWAYS | {"alias"}),
]


@pytest.mark.parametrize(("words", "names"), INCLUDED)
async def test_included_resources_follow_summary_and_elements_of_their_type(
    shaped: Fhir, words: str, names: set[str]
) -> None:
    page = done(await shaped.get(f"Patient?_id=shape&_include=Patient:organization&{words}"))
    found = next(one for one in resources(page) if one["resourceType"] == "Organization")
    assert set(found) == names
    assert ("tag" in found["meta"]) == (names != set(ORGANIZATION) | {"meta"})


NESTED = [
    (  # Attachment.data is not of the summary, Attachment.title is
        {"resourceType": "DocumentReference", "status": "current",
         "content": [{"attachment": {"data": "QQ==", "title": "a"}}]},
        {"status": "current", "content": [{"attachment": {"title": "a"}}]},
    ),
    (  # an attachment of which nothing would be left stays, or the document would not be one
        {"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": {"data": "QQ=="}}]},
        {"status": "current", "content": [{"attachment": {"data": "QQ=="}}]},
    ),
    (  # Observation.component is of the summary, its interpretation and range are not
        {"resourceType": "Observation", "status": "final", "code": {"text": "x"},
         "component": [{"code": {"text": "y"}, "valueQuantity": {"value": 1.5}, "interpretation": [{"text": "z"}]}],
         "interpretation": [{"text": "z"}]},
        {"status": "final", "code": {"text": "x"},
         "component": [{"code": {"text": "y"}, "valueQuantity": {"value": 1.5}}]},
    ),
    (  # mandatory, though not of the summary
        {"resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": {"display": "x"},
         "activity": [{"reference": {"display": "y"}}]},
        {"status": "active", "intent": "plan", "subject": {"display": "x"}},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "left"), NESTED)
async def test_a_summary_reaches_into_elements_whose_parts_are_marked(
    face: Fhir, resource: Resource, left: Resource
) -> None:
    stored = await face.create(resource)
    found = done(await face.get(f"{resource['resourceType']}/{stored['id']}?_summary=true"))
    assert {name: value for name, value in found.items() if name not in ALWAYS} == left


@pytest.mark.parametrize("asking", ["value", "valueQuantity"])
async def test_a_choice_is_named_with_or_without_its_type(face: Fhir, asking: str) -> None:
    stored = await face.create(
        {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "valueQuantity": {"value": 1},
         "issued": "2024-01-01T00:00:00Z"}
    )  # fmt: skip
    found = done(await face.get(f"Observation/{stored['id']}?_elements={asking}"))
    assert set(found) == ALWAYS | {"status", "code", "valueQuantity"}


REFUSED = [
    ("_summary=most", "_summary"),
    ("_summary=", "_summary"),
    ("_summary=true&_summary=text", "_summary"),
    ("_summary=true&_elements=name", "_elements"),
    ("_elements=nmae", "_elements"),
    ("_elements=", "_elements"),
    ("_elements=name,,photo", "_elements"),
    ("_elements=name.family", "_elements"),
    ("_elements=Patient.name.family", "_elements"),
    ("_elements=Patient.", "_elements"),
    ("_elements=Patiend.name", "_elements"),
    ("_pretty=yes", "_pretty"),
]


@pytest.mark.parametrize(("words", "expression"), REFUSED)
@pytest.mark.parametrize("path", ["Patient/shape", "Patient/shape/_history/1", "Patient", "Patient/shape/_history"])
async def test_a_wrong_shape_is_refused(shaped: Fhir, path: str, words: str, expression: str) -> None:
    assert refused(await shaped.get(f"{path}?{words}"), 400)["expression"] == [expression]


@pytest.mark.parametrize("path", ["Patient/shape", "Patient/shape/_history/1", "Patient/shape/_history", "_history"])
async def test_a_count_is_for_searches_only(shaped: Fhir, path: str) -> None:
    assert refused(await shaped.get(f"{path}?_summary=count"), 400)["expression"] == ["_summary"]
    assert done(await shaped.get("Patient?_id=shape&_summary=count")) == {
        "resourceType": "Bundle", "type": "searchset", "total": 1,
        "link": [{"relation": "self", "url": f"{shaped.base}/Patient?_id=shape&_summary=count"}],
    }  # fmt: skip


async def test_page_links_carry_the_shape_to_the_next_page(shaped: Fhir, mark: str) -> None:
    await shaped.store(*({"resourceType": "Patient", "id": f"{mark}-{n}", "meta": {"tag": [{"code": mark}]},
                        "birthDate": "2000-01-01", "gender": "male"} for n in range(5)))  # fmt: skip
    for words in ("_elements=gender&_pretty=true", "_summary=text&_pretty=false", "_summary=data"):
        pages = await shaped.pages(f"Patient?_tag={mark}&_count=2&{words}")
        assert [len(page["entry"]) for page in pages] == [2, 2, 1]
        assert all(words.split("&")[0] in links(page)["self"] for page in pages)
        assert all(words.split("&")[-1] in links(page)["self"] for page in pages)
        assert all(SUBSETTED in one["meta"]["tag"] for page in pages for one in resources(page))
    history = await shaped.pages("Patient/_history?_count=2&_elements=gender")
    assert all(SUBSETTED in one["meta"]["tag"] for page in history for one in resources(page))


async def test_reads_of_a_batch_are_shaped_too(shaped: Fhir) -> None:
    urls = ["Patient/shape?_elements=name", "Patient/shape/_history/1?_elements=name", "Patient/shape?_summary=most"]
    answer = done(await shaped.post("", bundle("batch", *(entry("GET", url) for url in urls))))
    assert statuses(answer) == ["200", "200", "400"]
    for one in answer["entry"][:2]:
        assert set(one["resource"]) == ALWAYS | MODIFIERS | {"name"}


# ---------------------------------------------------------------------------------------------------------- writes
async def test_an_update_with_a_part_is_refused_everywhere(shaped: Fhir) -> None:
    part = done(await shaped.get("Patient/shape?_elements=name"))
    transaction = bundle("transaction", put(part))
    for response in (
        await shaped.put("Patient/shape", part),
        await shaped.put("Patient?_id=shape", part),
        await shaped.post("", transaction),
    ):
        issue = refused(response, 422)
        assert "SUBSETTED" in issue["diagnostics"]
    assert done(await shaped.get("Patient/shape"))["birthDate"] == PATIENT["birthDate"]


async def test_a_write_is_answered_whole_and_its_shape_is_no_criterion(face: Fhir, mark: str) -> None:
    body = {"resourceType": "Patient", "meta": {"tag": [{"code": mark}]}, "maritalStatus": {"text": "x"}}
    first = done(await face.put(f"Patient?_tag={mark}&_summary=true", body), 201)
    assert first["maritalStatus"] == {"text": "x"} and first["meta"]["tag"] == [{"code": mark}]
    again = done(await face.put(f"Patient?_elements=name&_tag={mark}", body), 200)
    assert again["id"] == first["id"]
    refused(await face.put("Patient?_summary=true", body), 400)


# ----------------------------------------------------------------------------------------------------------- bytes
NUMBERS = st.sampled_from(["1.00", "-0.0", "1E+2", "12345678901234567890.1234567890", "0.0000000001"])
SPACES = st.sampled_from(["", " ", "\n\t"])
WORDS = st.sampled_from(["_summary=true", "_summary=text", "_summary=data", "_elements=value,text", "_elements=code"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_what_is_shown_has_the_bytes_that_are_stored(face: Fhir, data: st.DataObject) -> None:
    draw = data.draw
    component = (
        f'{{"code":{{"text":"x"}},"valueQuantity":{{"value": {draw(NUMBERS)}}},"interpretation":[{{"text":"y"}}]}}'
    )
    parts = [
        ("resourceType", '"Observation"'),
        ("id", f'"bytes-{next(_numbers)}"'),
        ("status", '"fin\\u0061l"'),
        ("code", f'{{{draw(SPACES)}"text" :{draw(SPACES)}"\\u738b"}}'),
        ("valueQuantity", f'{{"value":{draw(SPACES)}{draw(NUMBERS)} ,"unit":"a\\/b"}}'),
        ("component", f"[{draw(SPACES)}{component}]"),
        ("note", '[{"text" : "n"}]'),
        ("text", json.dumps({"status": "generated", "div": DIV})),
    ]
    text = "{" + ",".join(f'{draw(SPACES)}"{name}":{value}' for name, value in draw(st.permutations(parts))) + "}"
    id = json.loads(text)["id"]
    done(await face.put(f"Observation/{id}", text.encode()), 201)
    stored = members((await face.get(f"Observation/{id}")).content)
    words = draw(WORDS)
    shown = members((await face.get(f"Observation/{id}?{words}")).content)
    assert list(shown) == [name for name in stored if name in shown]  # in their order
    whole = {name for name in shown if name not in ("meta", *(["component"] if words == "_summary=true" else []))}
    assert {name: shown[name] for name in whole} == {name: stored[name] for name in whole}
    if words == "_summary=true":
        assert members(shown["component"].strip(b"[]")) == {
            name: value for name, value in members(stored["component"].strip(b"[] \n\t")).items()
            if name != "interpretation"
        }  # fmt: skip


@pytest.mark.parametrize("type", sorted(tables.resource_types()))
def test_a_subset_of_any_type_keeps_what_is_mandatory_or_a_modifier(type: str) -> None:
    body: dict[str, Any] = {"resourceType": type, "id": "1", "meta": {"versionId": "1"}}
    for element in tables.node(type):
        for name, kind in element.json_names.items():
            body.setdefault(name, "x" if kind in tables.primitives() else [{"id": "inside"}])
    must = {name for e in tables.node(type) if e.min or e.modifier for name in e.json_names} | ALWAYS
    flagged = {name for e in tables.node(type) if e.summary for name in e.json_names}
    version = Version(type, "1", 1, 1, "PUT", json.dumps(body).encode())
    for words, shown in (("true", flagged), ("text", {"text"}), ("data", set(body) - {"text"})):
        subset = asked([("_summary", words)], type)
        assert subset is not None
        names = set(members(subset.cut(version).body))
        assert names == must | (shown & set(body))
