"""XML over HTTP: what comes in as one format goes out as the other, and every kind of answer is there in both
(https://hl7.org/fhir/R4/http.html#mime-type)."""

import json
from typing import Any

import httpx
import pytest
from lxml import etree

from server.model import tables
from server.model.xml_read import read
from server.model.xml_write import write
from tests.client import Fhir, bundle, done, entry, post, put, refused, statuses
from tests.instances import minimal

FHIR_XML = "application/fhir+xml"
F = "{http://hl7.org/fhir}"


def xml(content: str, type: str = "Patient") -> str:
    return f'<{type} xmlns="http://hl7.org/fhir">{content}</{type}>'


def told(response: httpx.Response, status: int) -> Any:
    """The answer in XML, as JSON; its headers have to fit."""
    assert response.status_code == status, f"{response.status_code} {response.text[:600]}"
    assert response.headers["content-type"] == f"{FHIR_XML}; charset=utf-8"
    assert int(response.headers["content-length"]) == response.num_bytes_downloaded
    etree.fromstring(response.content)
    return json.loads(read(response.content))


OBSERVATION = """<status value="final"/><code><text value="Größe &amp; 身高&#10;&#9;𠮷"/></code>
    <valueQuantity><value value="1.00"/></valueQuantity>
    <component><code><text value="a"/></code><valueQuantity>
      <value value="12345678901234567890.12345678901234567890"/></valueQuantity></component>
    <component><code><text value="b"/></code><valueQuantity><value value="1e5"/></valueQuantity></component>"""


async def test_what_is_sent_as_xml_is_read_as_json_and_back_to_the_digit(fhir: Fhir) -> None:
    created = await fhir.post("Observation", xml(OBSERVATION, "Observation"), content_type=FHIR_XML)
    resource = done(created, 201)
    assert resource["code"]["text"] == "Größe & 身高\n\t𠮷"
    stored = (await fhir.get(f"Observation/{resource['id']}")).text
    for number in ('"value":1.00}', '"value":12345678901234567890.12345678901234567890}', '"value":1e5}'):
        assert number in stored
    answer = await fhir.get(f"Observation/{resource['id']}", accept=FHIR_XML)
    assert told(answer, 200) == resource
    for number in ("1.00", "12345678901234567890.12345678901234567890", "1e5"):
        assert f'<value value="{number}"/>' in answer.text
    again = await fhir.put(f"Observation/{resource['id']}", answer.content, content_type=FHIR_XML, accept=FHIR_XML)
    assert told(again, 200) == resource  # the same content makes no new version
    assert again.headers["etag"] == 'W/"1"'


async def test_every_type_goes_in_as_xml_and_comes_out_as_json_and_the_reverse(face: Fhir) -> None:
    for type in sorted(tables.resource_types()):
        created = await face.create(minimal(type))
        answer = await face.get(f"{type}/{created['id']}", accept=FHIR_XML)
        assert told(answer, 200) == created, type
        sent = done(await face.post(type, answer.content, content_type=FHIR_XML), 201)
        assert {**sent, "id": 0, "meta": 0} == {**created, "id": 0, "meta": 0}, type


@pytest.mark.parametrize(
    "name", ["application/fhir+xml", "application/xml", "text/xml", "application/xml+fhir", "text/xml; charset=utf-8"]
)
async def test_xml_is_asked_for_and_sent_by_each_of_its_names(face: Fhir, name: str) -> None:
    created = told(await face.post("Patient", xml(""), content_type=name, accept=name), 201)
    told(await face.get(f"Patient/{created['id']}", _format=name, accept=name), 200)
    told(await face.get(f"Patient/{created['id']}", accept=f"application/json;q=0.1, {name}"), 200)


@pytest.mark.parametrize(
    "name", ["xml", "text/xml", "application/xml", "application/fhir%2Bxml", "application/fhir+xml"]
)
async def test_the_parameter_format_wins_over_accept(face: Fhir, name: str) -> None:
    told(await face.get(f"metadata?_format={name}", accept="application/fhir+json"), 200)
    done(await face.get("metadata?_format=json", accept=FHIR_XML))


async def test_head_says_the_length_of_the_xml_and_no_body(face: Fhir) -> None:
    created = await face.create(minimal("Patient"))
    whole = await face.get(f"Patient/{created['id']}", accept=FHIR_XML)
    head = await face.send("HEAD", f"Patient/{created['id']}", accept=FHIR_XML)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "last-modified"):
        assert head.headers[name] == whole.headers[name]


async def test_searches_histories_and_the_statement_are_written_as_xml(fhir: Fhir, mark: str) -> None:
    await fhir.store({**minimal("Patient"), "id": mark, "meta": {"tag": [{"code": mark}]}})
    for path in (
        f"Patient?_tag={mark}&_total=accurate",
        f"Patient/{mark}/_history",
        "metadata",
        f"Patient/{mark}/_history/1",
    ):
        plain = done(await fhir.get(path))
        answer = told(await fhir.get(path, accept=FHIR_XML), 200)
        if "timestamp" in plain:
            plain["timestamp"] = answer["timestamp"]
        assert answer == plain, path


async def test_writes_answer_in_xml_as_prefer_says(face: Fhir) -> None:
    full = await face.post("Patient", xml(""), content_type=FHIR_XML, accept=FHIR_XML)
    assert told(full, 201)["resourceType"] == "Patient"
    note = await face.post("Patient", xml(""), content_type=FHIR_XML, accept=FHIR_XML, prefer="return=OperationOutcome")
    assert told(note, 201)["resourceType"] == "OperationOutcome"
    nothing = await face.post("Patient", xml(""), content_type=FHIR_XML, accept=FHIR_XML, prefer="return=minimal")
    assert (nothing.status_code, nothing.content, nothing.headers["content-length"]) == (201, b"", "0")
    assert "content-type" not in nothing.headers


# ------------------------------------------------------------------------------------------------------------ Bundles
def as_xml(resource: Any) -> bytes:
    return write(json.dumps(resource).encode())


async def test_a_transaction_in_xml_creates_links_and_answers(fhir: Fhir, mark: str) -> None:
    urn = "urn:uuid:8d2ae2a4-4d5c-4a3c-9fd3-4e6a3a1b9f10"
    observation = {**minimal("Observation"), "id": mark, "subject": {"reference": urn}}
    body = as_xml(bundle("transaction", post(minimal("Patient"), urn), put(observation)))
    answer = told(await fhir.post("", body, content_type=FHIR_XML, accept=FHIR_XML), 200)
    assert (answer["type"], statuses(answer)) == ("transaction-response", ["201", "201"])
    found = done(await fhir.get(f"Observation/{mark}"))
    assert found["subject"]["reference"] == "/".join(answer["entry"][0]["response"]["location"].split("/")[-4:-2])


async def test_a_batch_in_xml_answers_each_entry_outcomes_included(fhir: Fhir, mark: str) -> None:
    wrong = {"resourceType": "Patient", "id": f"{mark}w", "gender": "x"}
    right = {**minimal("Patient"), "id": mark}
    asked = bundle("batch", put(right), put(wrong), entry("GET", "Patient/nobody"))
    answer = told(await fhir.post("", as_xml(asked), content_type=FHIR_XML, accept=FHIR_XML), 200)
    assert statuses(answer) == ["201", "400", "404"]
    issue = answer["entry"][1]["response"]["outcome"]["issue"][0]
    assert issue["code"] == "code-invalid" and "gender must be one of" in issue["diagnostics"]
    plain = done(await fhir.post("", asked))
    assert [e["response"].get("outcome") for e in answer["entry"][1:]] == [
        e["response"].get("outcome") for e in plain["entry"][1:]
    ]


# ------------------------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("path", "body", "status", "expression"),
    [
        ("Patient", "<Patient", 400, None),
        ("Patient", "<Patient/>", 400, None),
        ("Patient", '<!DOCTYPE a [<!ENTITY b "c">]>' + xml(""), 400, None),
        ("Patient", xml("<gendr/>"), 400, ["Patient.gendr"]),
        ("Patient", xml('<gender value="x"/>'), 400, ["Patient.gender"]),
        ("Patient", xml('<gender value="male"/><gender value="male"/>'), 400, ["Patient.gender"]),
        ("Patient", xml('<gender value=""/>'), 400, ["Patient.gender"]),
        ("Patient", xml('<active value="1"/>'), 400, ["Patient.active"]),
        ("Patient", xml('<multipleBirthInteger value="+1"/>'), 400, ["Patient.multipleBirth"]),
        ("Patient", xml("<name/>"), 400, ["Patient.name[0]"]),
        ("Patient", xml("", "Basic"), 400, ["Patient.resourceType"]),
        ("Nope", xml(""), 404, ["Nope"]),
    ],
)
async def test_refusals_of_xml_are_outcomes_in_the_format_that_is_asked_for(
    face: Fhir, path: str, body: str, status: int, expression: list[str] | None
) -> None:
    outcome = told(await face.post(path, body, content_type=FHIR_XML, accept=FHIR_XML), status)
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0].get("expression") == expression
    assert outcome == json.loads((await face.post(path, body, content_type=FHIR_XML)).content)


async def test_refusals_of_every_level_are_written_as_xml(face: Fhir) -> None:
    for method, path, status in (
        ("GET", "Patient/nobody", 404), ("PUT", "metadata", 405), ("GET", "Patient?x%00y=1", 400), ("GET", "$x", 501),
        ("GET", "Patient/a%00%0b", 404), ("POST", "Patient", 415), ("GET", "Patient?_count=x", 400),
    ):  # fmt: skip
        outcome = told(await face.send(method, path, accept=FHIR_XML), status)
        assert outcome["issue"][0]["diagnostics"], path
    refused(await face.get("Patient/nobody"), 404)
