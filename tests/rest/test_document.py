"""$document: documents assembled from Compositions (https://hl7.org/fhir/R4/documents.html)."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from fhir.resources.R4B.bundle import Bundle
from lxml import etree

from server.validation.structure import check
from tests.client import Fhir, Resource, done, refused


def reference(to: str) -> Resource:
    return {"reference": to}


def composition(id: str, **more: Any) -> Resource:
    return {
        "resourceType": "Composition",
        "id": id,
        "status": "final",
        "type": {"text": "转诊记录"},
        "date": "2024-05-01",
        "author": [reference(f"Practitioner/{id}")],
        "title": "转诊记录",
        **more,
    }


def observation(id: str, **more: Any) -> Resource:
    return {"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"}, **more}


def section(*entries: str, **more: Any) -> Resource:
    return {"title": "x", "entry": [reference(one) for one in entries], **more}


def addresses(document: Resource) -> list[str]:
    return [f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in document["entry"]]


@pytest.fixture
async def whole(fhir: Fhir, mark: str) -> str:
    """A Composition that refers to something by each of its elements, and what these refer to."""
    deep = section(f"Observation/{mark}-deep", author=[reference(f"Practitioner/{mark}-deep")])
    await fhir.store(
        *(
            {"resourceType": "Practitioner", "id": f"{mark}{end}"}
            for end in ("", "-deep", "-attests", "-performs", "-far", "-unasked")
        ),
        {"resourceType": "Patient", "id": mark, "managingOrganization": reference(f"Organization/{mark}-home")},
        {"resourceType": "Patient", "id": f"{mark}-focus"},
        *({"resourceType": "Organization", "id": f"{mark}-{end}", "name": "院"} for end in ("home", "keeps", "top")),
        {"resourceType": "Organization", "id": f"{mark}-part", "partOf": reference(f"Organization/{mark}-top")},
        {
            "resourceType": "Encounter", "id": mark, "status": "finished", "class": {"code": "AMB"},
            "serviceProvider": reference(f"Organization/{mark}-part"),
        },
        {"resourceType": "Procedure", "id": mark, "status": "completed", "subject": reference(f"Patient/{mark}")},
        observation(f"{mark}-1", performer=[reference(f"Practitioner/{mark}-performs")]),
        observation(f"{mark}-2", hasMember=[reference(f"Observation/{mark}-member")]),
        observation(f"{mark}-deep", subject=reference(f"Patient/{mark}")),
        observation(f"{mark}-member", performer=[reference(f"PractitionerRole/{mark}")],
                    hasMember=[reference(f"Observation/{mark}-further")]),
        {"resourceType": "PractitionerRole", "id": mark, "practitioner": reference(f"Practitioner/{mark}-far")},
        observation(f"{mark}-further"),
        observation(f"{mark}-unasked", subject=reference(f"Patient/{mark}")),
        composition(f"{mark}-before", author=[reference(f"Practitioner/{mark}-unasked")]),
        composition(
            mark,
            subject=reference(f"Patient/{mark}"),
            encounter=reference(f"Encounter/{mark}"),
            attester=[{"mode": "legal", "party": reference(f"Practitioner/{mark}-attests")}, {"mode": "personal"}],
            custodian=reference(f"Organization/{mark}-keeps"),
            relatesTo=[
                {"code": "replaces", "targetReference": reference(f"Composition/{mark}-before")},
                {"code": "appends", "targetReference": reference("http://example.org/fhir/Composition/1")},
            ],
            event=[{"detail": [reference(f"Procedure/{mark}"), {"display": "in words only"}]}],
            section=[
                section(f"Observation/{mark}-1", f"Observation/{mark}-2"),
                {"title": "x", "focus": reference(f"Patient/{mark}-focus"),
                 "section": [{"title": "y", "section": [deep]}, section(f"Observation/{mark}-1")]},
            ],
        ),
    )  # fmt: skip
    return mark


async def test_a_document_holds_what_the_composition_says_and_what_that_needs(fhir: Fhir, whole: str) -> None:
    document = done(await fhir.get(f"Composition/{whole}/$document"))
    m = whole
    assert addresses(document)[0] == f"Composition/{m}"
    assert sorted(addresses(document)[1:]) == sorted(
        [f"Patient/{m}", f"Encounter/{m}", f"Practitioner/{m}", f"Practitioner/{m}-attests", f"Organization/{m}-keeps",
         f"Composition/{m}-before", f"Procedure/{m}", f"Observation/{m}-1", f"Observation/{m}-2", f"Patient/{m}-focus",
         f"Observation/{m}-deep", f"Practitioner/{m}-deep",  # as the Composition says; from here on what they need
         f"Organization/{m}-home", f"Organization/{m}-part", f"Organization/{m}-top", f"Practitioner/{m}-performs",
         f"Observation/{m}-member", f"PractitionerRole/{m}", f"Practitioner/{m}-far", f"Practitioner/{m}-unasked"]
    )  # fmt: skip


async def test_a_document_is_a_bundle_as_r4_wants_it(fhir: Fhir, whole: str) -> None:
    answer = await fhir.get(f"Composition/{whole}/$document")
    document = done(answer)
    assert (document["resourceType"], document["type"]) == ("Bundle", "document")
    assert document["identifier"]["system"] == "urn:ietf:rfc:3986"
    assert document["identifier"]["value"].startswith("urn:uuid:")
    assert document["timestamp"].endswith("Z")
    assert [entry["fullUrl"] for entry in document["entry"]] == [f"{fhir.base}/{one}" for one in addresses(document)]
    assert len(set(addresses(document))) == len(document["entry"])
    assert not any("search" in entry or "request" in entry for entry in document["entry"])
    assert not [issue for issue in check(document) if issue.severity == "error"]
    Bundle.model_validate_json(answer.content)
    created = await fhir.create({key: value for key, value in document.items() if key != "id"})
    assert created["entry"] == document["entry"]
    again = done(await fhir.get(f"Composition/{whole}/$document"))
    assert again["identifier"] != document["identifier"]


async def test_references_of_the_composition_lead_to_entries_of_the_document(fhir: Fhir, whole: str) -> None:
    document = done(await fhir.get(f"Composition/{whole}/$document"))
    urls = {entry["fullUrl"] for entry in document["entry"]}

    def follow(element: Any) -> None:
        if isinstance(element, list):
            for one in element:
                follow(one)
        elif isinstance(element, dict):
            if "reference" in element and not element["reference"].startswith("http://example.org/"):
                assert f"{fhir.base}/{element['reference']}" in urls
            for one in element.values():
                follow(one)

    follow(document["entry"][0]["resource"])


async def test_the_resources_are_the_stored_bytes(fhir: Fhir, mark: str) -> None:
    done(await fhir.put(f"Practitioner/{mark}", {"resourceType": "Practitioner", "id": mark}))
    body = """{"resourceType": "Observation", "id": "MARK", "status": "final", "code": {"text": "x"},
        "valueQuantity": {"value": 1.50e0}}""".replace("MARK", mark)
    done(await fhir.put(f"Observation/{mark}", body))
    await fhir.store(composition(mark, section=[section(f"Observation/{mark}")]))
    document = await fhir.get(f"Composition/{mark}/$document")
    for address in (f"Observation/{mark}", f"Composition/{mark}", f"Practitioner/{mark}"):
        assert (await fhir.get(address)).content in document.content


async def test_it_is_read_as_xml_too(fhir: Fhir, whole: str) -> None:
    answer = await fhir.get(f"Composition/{whole}/$document", accept="application/fhir+xml")
    root = etree.fromstring(answer.content)
    there = root.xpath("/f:Bundle/f:entry/f:resource/*", namespaces={"f": "http://hl7.org/fhir"})
    document = done(await fhir.get(f"Composition/{whole}/$document"))
    assert [etree.QName(one).localname for one in there] == [one.split("/")[0] for one in addresses(document)]


async def test_each_way_to_ask_gives_the_same_document(fhir: Fhir, whole: str) -> None:
    first = done(await fhir.get(f"Composition/{whole}/$document"))
    asked = {"resourceType": "Parameters", "parameter": [{"name": "id", "valueUri": whole}]}
    for answer in (
        await fhir.post(f"Composition/{whole}/$document"),
        await fhir.get(f"Composition/$document?id={whole}"),
        await fhir.get(f"Composition/$document?id=Composition/{whole}"),
        await fhir.get(f"Composition/$document?id={fhir.base}/Composition/{whole}"),
        await fhir.get(f"Composition/$document?id=Composition/{whole}/_history/1"),
        await fhir.get(f"Composition/{whole}/_history/1/$document"),
        await fhir.post("Composition/$document", asked),
        await fhir.get(f"Composition/{whole}/$document?persist=false"),
    ):
        assert done(answer, 200)["entry"] == first["entry"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_persist_stores_the_document_and_says_where(fhir: Fhir, whole: str, method: str) -> None:
    answer = await fhir.send(method, f"Composition/{whole}/$document?persist=true")
    document = done(answer, 201)
    path = urlsplit(answer.headers["location"]).path.split("/")
    assert path[-4:-1] == ["Bundle", document["id"], "_history"]
    stored = await fhir.get(f"Bundle/{document['id']}")
    assert stored.content == answer.content
    assert stored.headers["etag"] == answer.headers["etag"]
    done(await fhir.delete(f"Observation/{whole}-1"), 204)  # the document stays as it was
    assert done(await fhir.get(f"Bundle/{document['id']}")) == document
    refused(await fhir.get(f"Composition/{whole}/$document?persist=true"), 422)


async def test_a_version_that_is_referred_to_is_the_one_in_the_document(fhir: Fhir, mark: str) -> None:
    done(await fhir.put(f"Practitioner/{mark}", {"resourceType": "Practitioner", "id": mark}), 201)
    for language in ("zh", "en"):
        done(await fhir.put(f"Observation/{mark}", observation(mark, language=language)))
    old, new = f"Observation/{mark}/_history/1", f"Observation/{mark}"
    await fhir.store(composition(mark, section=[section(old, new, f"{new}/_history/2")]))
    entries = done(await fhir.get(f"Composition/{mark}/$document"))["entry"]
    observations = [entry for entry in entries if entry["resource"]["resourceType"] == "Observation"]
    assert [one["resource"]["meta"]["versionId"] for one in observations] == ["1", "2"]
    assert {one["fullUrl"] for one in observations} == {f"{fhir.base}/Observation/{mark}"}


async def test_contained_resources_stay_inside_and_bring_what_they_need(fhir: Fhir, mark: str) -> None:
    role = {"resourceType": "PractitionerRole", "id": "who", "organization": reference(f"Organization/{mark}")}
    await fhir.store(
        {"resourceType": "Organization", "id": mark, "name": "院"},
        composition(mark, contained=[role], author=[reference("#who")]),
    )
    document = done(await fhir.get(f"Composition/{mark}/$document"))
    assert addresses(document) == [f"Composition/{mark}", f"Organization/{mark}"]


# ------------------------------------------------------------------------------------------------------ refusals
async def test_each_reference_without_a_resource_is_named_and_there_is_no_document(fhir: Fhir, mark: str) -> None:
    await fhir.store({"resourceType": "Practitioner", "id": mark}, observation(f"{mark}-gone"))
    done(await fhir.delete(f"Observation/{mark}-gone"), 204)
    inner = section(f"Observation/{mark}-gone", f"Practitioner/{mark}", "http://example.org/fhir/Observation/1")
    await fhir.store(
        composition(
            mark,
            subject=reference(f"Patient/{mark}"),
            custodian=reference("urn:uuid:8d2ae2a4-4d5c-4a3c-9fd3-4e6a3a1b9f10"),
            section=[section(f"Practitioner/{mark}"), {"title": "x", "section": [inner]}],
            extension=[{"url": "urn:x", "valueReference": reference(f"Basic/{mark}-nothing")}],
        )
    )
    before = done(await fhir.get("Bundle?_summary=count"))["total"]
    answer = await fhir.get(f"Composition/{mark}/$document?persist=true")
    refused(answer, 422)
    named = {issue["expression"][0]: issue["code"] for issue in answer.json()["issue"]}
    assert named == {
        "Composition.subject": "not-found",
        "Composition.custodian": "not-supported",
        "Composition.section[1].section[0].entry[0]": "not-found",
        "Composition.section[1].section[0].entry[2]": "not-supported",
    }
    assert done(await fhir.get("Bundle?_summary=count"))["total"] == before


async def test_the_composition_has_to_be_there(fhir: Fhir, mark: str) -> None:
    refused(await fhir.get(f"Composition/{mark}/$document"), 404)
    refused(await fhir.get(f"Composition/$document?id={mark}"), 404)
    await fhir.store(composition(mark))
    done(await fhir.delete(f"Composition/{mark}"), 204)
    refused(await fhir.get(f"Composition/{mark}/$document"), 410)


@pytest.mark.parametrize(
    ("path", "status", "expression"),
    [
        ("Composition/$document", 400, "id"),
        ("Composition/$document?id=", 400, "id"),
        ("Composition/document/$document?id=document", 400, "id"),
        ("Composition/$document?id=http://example.org/fhir/Composition/1", 501, "id"),
        ("Composition/$document?id=Patient/1", 501, "id"),
        ("Composition/document/$document?graph=http://example.org/g", 501, "graph"),
        ("Composition/document/$document?persist=yes", 400, "persist"),
        ("Composition/document/$document?_summary=true", 400, "_summary"),
        ("Composition/document/$document?nothing=1", 400, "nothing"),
        ("Patient/document/$document", 501, "$document"),
    ],
)
async def test_a_call_that_cannot_be_is_refused(fhir: Fhir, path: str, status: int, expression: str) -> None:
    await fhir.store({"resourceType": "Practitioner", "id": "document"}, composition("document"))
    assert refused(await fhir.get(path), status)["expression"] == [expression]


async def test_a_document_larger_than_a_bundle_may_be_is_refused(fhir: Fhir, mark: str) -> None:
    await fhir.store({"resourceType": "Practitioner", "id": mark})
    entries = [f"Observation/{mark}-{n}" for n in range(5001)]
    done(await fhir.put(f"Composition/{mark}", composition(mark, section=[section(*entries)])), 201)
    assert refused(await fhir.get(f"Composition/{mark}/$document"), 422)["code"] == "too-costly"
