"""What is refused, as a table: request -> status, issue code, the element at fault
(https://hl7.org/fhir/R4/http.html#summary, https://hl7.org/fhir/R4/operationoutcome.html)."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import servers
from tests.client import FHIR_JSON, Fhir, done, refused

PATIENT = {"resourceType": "Patient"}
FORM = "application/x-www-form-urlencoded"


class Row(NamedTuple):
    method: str
    path: str
    body: Any
    headers: dict[str, str]
    status: int
    code: str
    expression: str


def row(request: str, status: int, code: str, expression: str, body: Any = None, **headers: str) -> Any:
    method, _, path = request.partition(" ")
    name = f"{request} {str(body)[:40] if body is not None else ''} {' '.join(headers.values())}".strip()
    return pytest.param(Row(method, path, body, headers, status, code, expression), id=name)


ADDRESSES = [
    row("GET Nope", 404, "not-found", "Nope"),
    row("GET patient", 404, "not-found", "patient"),
    row("GET Nope/1", 404, "not-found", "Nope"),
    row("POST Nope", 404, "not-found", "Nope", PATIENT),
    row("GET Patient/1/_history/1/x", 404, "not-found", "Patient/1/_history/1/x"),
    row("GET Patient/1/x", 404, "not-found", "Patient/1/x"),
    row("GET Patient/a%00b", 404, "not-found", "Patient"),
    row("GET Patient%00", 404, "not-found", "Patient\ufffd"),
    row("GET %ff", 404, "not-found", "\ufffd"),
    row("GET Patient/%E7%8E%8B", 404, "not-found", "Patient"),
    row("GET Patient/%2541", 404, "not-found", "Patient"),
    row("GET Organization/$everything", 501, "not-supported", "$everything"),
    row("POST Patient/1/$match", 501, "not-supported", "$match", PATIENT),
    row("GET $nope", 501, "not-supported", "$nope"),
    row("PATCH Patient/1", 404, "not-found", "Patient", b"[]", content_type="application/json-patch+json"),
]

METHODS = [
    row("DELETE ", 405, "not-supported", "http.method"),
    row("PUT ", 405, "not-supported", "http.method", PATIENT),
    row("DELETE Patient", 405, "not-supported", "http.method"),
    row("PUT Patient", 405, "not-supported", "http.method", PATIENT),
    row("POST Patient/1", 405, "not-supported", "http.method", PATIENT),
    row("PATCH Patient", 405, "not-supported", "http.method", PATIENT),
    row("POST metadata", 405, "not-supported", "http.method", PATIENT),
    row("DELETE Patient/1/_history/1", 405, "not-supported", "http.method"),
    row("PUT _history", 405, "not-supported", "http.method", PATIENT),
    row("FETCH Patient/1", 405, "not-supported", "http.method"),
]

FORMATS = [
    row("GET Patient/1", 406, "not-supported", "http.Accept", accept="application/fhir+turtle"),
    row("GET Patient/1", 406, "not-supported", "http.Accept", accept="application/pdf, text/csv;q=0.5"),
    row("GET Patient/1", 406, "not-supported", "http.Accept", accept="application/json;q=0"),
    row("GET metadata?_format=ttl", 406, "not-supported", "_format"),
    row("GET Patient?_format=application/fhir%2Bturtle", 406, "not-supported", "_format"),
    row(
        "POST Patient",
        415,
        "not-supported",
        "http.Content-Type",
        b"[] a fhir:Patient.",
        content_type="application/fhir+turtle",
    ),
    row("POST Patient", 415, "not-supported", "http.Content-Type", PATIENT, content_type="text/plain"),
    row("POST Patient", 415, "not-supported", "http.Content-Type", b"{}", content_type=""),
    row("PUT Patient/1", 415, "not-supported", "http.Content-Type", PATIENT, content_type="application/pdf"),
    row("POST ", 415, "not-supported", "http.Content-Type", b"[] a fhir:Bundle.", content_type="text/turtle"),
    row("POST Patient/_search", 415, "not-supported", "http.Content-Type", b"{}", content_type="application/json"),
]


JSON = [
    row("POST Patient", 400, "structure", "Patient", b""),
    row("POST Patient", 400, "structure", "Patient", b"[]"),
    row("POST Patient", 400, "structure", "Patient", b"null"),
    row("POST Patient", 400, "structure", "Patient", b'"Patient"'),
    row("POST Patient", 400, "structure", "Patient", b"{"),
    row("POST Patient", 400, "structure", "Patient", b'{"resourceType":"Patient"} x'),
    row("POST Patient", 400, "structure", "Patient", b"{'resourceType':'Patient'}"),
    row("POST Patient", 400, "structure", "Patient", b'{"resourceType":"Patient","active":True}'),
    row("POST Patient", 400, "structure", "Patient", b'{"resourceType":"Patient","x":NaN}'),
    row("POST Patient", 400, "structure", "Patient", b'\xff\xfe{"resourceType":"Patient"}'),
    row("POST Patient", 400, "structure", "Patient", b'{"resourceType":"Patient","language":"\xff"}'),
    row("POST Patient", 400, "structure", "Patient", b'{"resourceType":"Patient","language":"\\ud800"}'),
    row("POST Patient", 400, "structure", "Patient", b'{"resourceType":"Patient","language":"a\nb"}'),
    row("POST Patient", 400, "structure", "Patient", b"[" * 100_000),
    row("POST Patient", 400, "structure", "Patient", b'{"resourceType":"Patient","x":' + b"[" * 100_000),
    row("POST Patient", 400, "invalid", "Patient.resourceType", b"{}"),
    row("POST Patient", 400, "invalid", "Patient.resourceType", b'{"resourceType":"Person"}'),
    row("POST Patient", 400, "invalid", "Patient.resourceType", b'{"resourceType":5}'),
    row("POST ", 400, "structure", "Bundle", b"{"),
    row("POST ", 400, "structure", "Bundle", b"\xff"),
    row("POST ", 400, "invalid", "Bundle.type", b'{"resourceType":"Bundle","type":"\\u0000"}'),
]

BODIES = [
    row("POST Patient", 400, "structure", "Patient.colour", {**PATIENT, "colour": "red"}),
    row("POST Patient", 400, "structure", "Patient.name", {**PATIENT, "name": {"family": "x"}}),
    row("POST Patient", 400, "structure", "Patient.name", {**PATIENT, "name": []}),
    row("POST Patient", 400, "structure", "Patient.name[0]", {**PATIENT, "name": [{}]}),
    row("POST Patient", 400, "structure", "Patient.gender", {**PATIENT, "gender": None}),
    row("POST Patient", 400, "value", "Patient.gender", {**PATIENT, "gender": ""}),
    row("POST Patient", 400, "code-invalid", "Patient.gender", {**PATIENT, "gender": "männlich"}),
    row("POST Patient", 400, "value", "Patient.active", {**PATIENT, "active": "true"}),
    row("POST Patient", 400, "value", "Patient.name[1].given[2]",
        {**PATIENT, "name": [{"family": "x"}, {"given": ["a", "b", 3]}]}),
    row("POST Patient", 400, "structure", "Patient.deceased",
        {**PATIENT, "deceasedBoolean": True, "deceasedDateTime": "2020"}),
    row("POST Patient", 400, "value", "Patient.multipleBirth", {**PATIENT, "multipleBirthInteger": 2**63}),
    row("POST Patient", 400, "structure", "Patient", b'{"resourceType":"Patient","multipleBirthInteger":1e400}'),
    row("POST Patient", 400, "structure", "Patient",
        b'{"resourceType":"Patient","multipleBirthInteger":' + b"9" * 5000 + b"}"),
    row("POST Patient", 400, "value", "Patient.name[0].family", {**PATIENT, "name": [{"family": "a\0b"}]}),
    row("POST Observation", 400, "required", "Observation.status",
        {"resourceType": "Observation", "code": {"text": "x"}}),
    row("PUT Patient/x", 400, "value", "Patient.id", {**PATIENT, "id": "a b"}),
    row("POST Patient", 400, "structure", "Patient.meta.nope", {**PATIENT, "meta": {"nope": 1}}),
    row("POST Patient", 400, "structure", "Patient.meta", {**PATIENT, "meta": "x"}),
    row("POST Patient", 400, "structure", "Patient.meta", {**PATIENT, "meta": None}),
    row("POST Patient", 400, "structure", "Patient.meta", {**PATIENT, "meta": [{"tag": [{"code": "x"}]}]}),
    row("POST Bundle", 400, "value", "Bundle.entry[0].resource.birthDate",
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {**PATIENT, "birthDate": "x"}}]}),
]  # fmt: skip

SEARCHES = [
    row("GET Patient?nope=1", 400, "not-supported", "nope"),
    row("GET Patient?Name=1", 400, "not-supported", "Name"),
    row("GET Patient?=1", 400, "not-supported", ""),
    row("GET Patient?gender:nope=male", 400, "not-supported", "gender:nope"),
    row("GET Patient?gender:exact=male", 400, "not-supported", "gender:exact"),
    row("GET Patient?family:not=x", 400, "not-supported", "family:not"),
    row("GET Patient?birthdate:exact=2020", 400, "not-supported", "birthdate:exact"),
    row("GET Patient?organization:Nope=1", 400, "invalid", "organization:Nope"),
    row("GET Patient?organization:Patient=Organization/1", 400, "invalid", "organization:Patient"),
    row("GET Patient?organization=a%20b", 400, "invalid", "organization"),
    row("GET Patient?organization=", 400, "invalid", "organization"),
    row("GET Patient?_id:not=1", 400, "not-supported", "_id:not"),
    row("GET Patient?_sort=nope", 400, "invalid", "_sort"),
    row("GET Patient?_sort=", 400, "invalid", "_sort"),
    row("GET Patient?_sort=name,,family", 400, "invalid", "_sort"),
    row("GET Patient?_sort=organization", 501, "not-supported", "_sort"),
    row("GET Patient?_count=x", 400, "invalid", "_count"),
    row("GET Patient?_count=-1", 400, "invalid", "_count"),
    row("GET Patient?_count=%D9%A3", 400, "invalid", "_count"),
    row("GET Patient?_total=many", 400, "invalid", "_total"),
    row("GET Patient?_summary=most", 400, "invalid", "_summary"),
    row("GET Patient?name:missing=maybe", 400, "invalid", "name:missing"),
    row("GET Patient?name=", 400, "invalid", "name"),
    row("GET Patient?name=a,", 400, "invalid", "name"),
    row("GET Patient?gender=", 400, "invalid", "gender"),
    row("GET Patient?gender=|", 400, "invalid", "gender"),
    row("GET Patient?gender=a|b|c", 400, "invalid", "gender"),
    row(r"GET Patient?gender=a\b", 400, "invalid", "gender"),
    row("GET Patient?name=a\\", 400, "invalid", "name"),
    row("GET Patient?name=%FF", 400, "invalid", "http.query"),
    row("GET Observation?value-quantity=much", 400, "invalid", "value-quantity"),
    row("GET Observation?value-quantity=5%7Cmg", 400, "invalid", "value-quantity"),
    row("GET Observation?code-value-quantity=8480-6", 400, "invalid", "code-value-quantity"),
    row("GET Observation?code-value-quantity:missing=true", 400, "not-supported", "code-value-quantity:missing"),
    row("GET Location?near=1", 400, "invalid", "near"),
    row("GET Observation?code:in=http://example.org/none", 501, "not-supported", "code:in"),
    row("GET Patient?organization.nope=x", 400, "not-supported", "organization.nope"),
    row("GET Patient?organization:Organization.nope=x", 400, "not-supported", "organization:Organization.nope"),
    row("GET Patient?organization:Group.name=x", 400, "invalid", "organization:Group.name"),
    row("GET Patient?organization:Nope.name=x", 400, "invalid", "organization:Nope.name"),
    row("GET Patient?organization:exact.name=x", 400, "invalid", "organization:exact.name"),
    row("GET Patient?nope.name=x", 400, "not-supported", "nope.name"),
    row("GET Patient?gender.name=x", 400, "not-supported", "gender.name"),
    row("GET Patient?organization.=x", 400, "not-supported", "organization."),
    row("GET Patient?organization.name:nope=x", 400, "not-supported", "organization.name:nope"),
    row("GET Patient?organization._id:exact=x", 400, "not-supported", "organization._id:exact"),
    row("GET Patient?organization._lastUpdated=x", 400, "invalid", "organization._lastUpdated"),
    row("GET Patient?organization._content=x", 501, "not-supported", "organization._content"),
    row("GET Task?focus.status=active", 400, "invalid", "focus.status"),
    row("GET Observation?subject.birthdate=x", 400, "invalid", "subject.birthdate"),
    row("GET Observation?subject.publisher=x", 400, "not-supported", "subject.publisher"),
    row("GET Patient?_has=x", 400, "invalid", "_has"),
    row("GET Patient?_has:Observation:patient=x", 400, "invalid", "_has:Observation:patient"),
    row("GET Patient?_has:Observation:patient:=x", 400, "invalid", "_has:Observation:patient:"),
    row("GET Patient?_has:Nope:patient:code=x", 400, "invalid", "_has:Nope:patient:code"),
    row("GET Patient?_has:Observation:nope:code=x", 400, "not-supported", "_has:Observation:nope:code"),
    row("GET Patient?_has:Observation:patient:nope=x", 400, "not-supported", "_has:Observation:patient:nope"),
    row("GET Patient?_has:Observation:code:code=x", 400, "not-supported", "_has:Observation:code:code"),
    row("GET Patient?_has:Encounter:location:status=x", 400, "invalid", "_has:Encounter:location:status"),
    row(f"GET Organization?{'partof.' * 17}name=x", 422, "too-costly", f"{'partof.' * 17}name"),
    row(f"GET ServiceRequest?{'based-on.' * 12}status=x", 422, "too-costly", f"{'based-on.' * 12}status"),
    row("GET Patient?_list=$current-problems", 501, "not-supported", "_list"),
    row("GET Patient?_list:not=x", 400, "not-supported", "_list:not"),
    row("GET Bundle?composition:Patient.name=x", 400, "invalid", "composition:Patient.name"),
    row("GET Bundle?composition.nope=x", 400, "not-supported", "composition.nope"),
    row("GET Bundle?composition._lastUpdated=2024", 501, "not-supported", "composition._lastUpdated"),
    row("GET Bundle?composition._has:List:item:code=x", 501, "not-supported", "composition._has:List:item:code"),
    row("GET ValueSet?url=", 400, "invalid", "url"),
    row("POST Patient/_search", 400, "not-supported", "nope", b"nope=1", content_type=FORM),
    row("POST Patient/_search", 400, "invalid", "http.body", b"name=\xff", content_type=FORM),
]


@pytest.mark.parametrize("asked", [*ADDRESSES, *METHODS, *FORMATS, *JSON, *BODIES, *SEARCHES])
async def test_a_request_is_refused_with_the_element_at_fault(face: Fhir, asked: Row) -> None:
    response = await face.send(asked.method, asked.path, asked.body, **asked.headers)
    issue = refused(response, asked.status)
    assert (issue["code"], issue.get("expression", [""])) == (asked.code, [asked.expression]), issue
    assert ("allow" in response.headers) == (asked.status == 405)


async def test_an_unknown_parameter_is_left_out_only_when_asked_to_be(face: Fhir) -> None:
    refused(await face.get("Patient?nope=1", prefer="handling=strict"), 400)
    page = done(await face.get("Patient?nope=1&_id=nobody", prefer="handling=lenient"))
    assert page["link"][0]["url"] == f"{face.base}/Patient?_id=nobody"
    refused(await face.get("Patient?gender:nope=male", prefer="handling=lenient"), 400)


@pytest.mark.parametrize("path", ["Patient", ""])
async def test_malformed_json_is_told_with_line_and_column(face: Fhir, path: str) -> None:
    body = b'{\n  "resourceType": "Patient",\n  "active": tru\n}'
    assert "line 3 column 13" in refused(await face.post(path, body), 400)["diagnostics"]


async def test_all_issues_of_a_body_are_told_at_once(face: Fhir) -> None:
    response = await face.post("Patient", {**PATIENT, "a": 1, "active": 2, "name": [{"b": 3}]})
    refused(response, 400)
    found = [issue["expression"][0] for issue in response.json()["issue"]]
    assert found == ["Patient.a", "Patient.active", "Patient.name[0].b"]


async def test_a_deep_body_is_refused_and_the_server_goes_on(face: Fhir) -> None:
    for depth in (200, 900, 5000):
        body = b'{"resourceType":"Patient","extension":[' + b'{"url":"u","extension":[' * depth
        body += b'{"url":"u","valueCode":"x"}' + b"]}" * depth + b"]}"
        refused(await face.post("Patient", body), 400)
        bundle = b'{"resourceType":"Bundle","type":"batch","entry":[{"resource":' + body
        bundle += b',"request":{"method":"POST","url":"Patient"}}]}'
        response = await face.post("", bundle)
        assert response.status_code == 400 or response.json()["entry"][0]["response"]["status"][:3] == "400"
    await face.create(PATIENT)


async def test_formats_that_are_the_same_by_another_name_are_taken(face: Fhir) -> None:
    created = await face.create(PATIENT)
    for name in (
        "application/fhir+json", "application/json", "application/json; charset=utf-8", "APPLICATION/FHIR+JSON",
        "text/html,application/xhtml+xml,*/*;q=0.8", "application/fhir+xml;q=0.5, application/json", "*/*", "",
        "application/fhir+json; fhirVersion=4.0", "application/json;q=x, */*",
    ):  # fmt: skip
        response = await face.get(f"Patient/{created['id']}", accept=name)
        assert done(response, 200) == created, name
        assert response.headers["content-type"].startswith(FHIR_JSON)
    for name in ("json", "application/json", "application/fhir%2Bjson", "application/fhir+json", "text/json"):
        done(await face.get(f"Patient/{created['id']}?_format={name}", accept="application/fhir+xml"), 200)
    for name in ("application/json", "application/fhir+json; charset=UTF-8", "application/json+fhir"):
        done(await face.post("Patient", PATIENT, content_type=name), 201)


async def test_percent_encoded_addresses_mean_what_they_say(face: Fhir) -> None:
    created = await face.create(PATIENT)
    id = "".join(f"%{ord(letter):02X}" for letter in created["id"])
    assert done(await face.get(f"%50atient/{id}")) == created
    assert done(await face.get(f"Patient/{created['id']}/")) == created
    refused(await face.get(f"Patient/{id.replace('%', '%25')}"), 404)  # decoded once


async def test_a_body_above_the_limit_is_refused_before_and_while_it_comes(tmp_path: Path) -> None:
    async with servers.in_process(servers.app_on("", tmp_path, body_max_bytes=1000)) as http:
        fhir = Fhir(http, servers.BASE)
        for path in ("Patient", "", "Patient/_search"):
            issue = refused(await fhir.post(path, b" " * 1001), 413)
            assert issue["code"] == "too-long"
            assert "1000" in issue["diagnostics"]

        async def chunks():  # type: ignore[no-untyped-def]
            for _ in range(100):
                yield b" " * 100

        response = await http.post(f"{servers.BASE}/Patient", content=chunks(), headers={"content-type": FHIR_JSON})
        assert refused(response, 413)["code"] == "too-long"
        done(await fhir.post("Patient", b'{"resourceType":"Patient"}'.ljust(1000)), 201)


async def test_ids_by_the_server_only_when_update_as_create_is_off(tmp_path: Path) -> None:
    async with servers.in_process(servers.app_on("", tmp_path, update_as_create=False)) as http:
        fhir = Fhir(http, servers.BASE)
        response = await fhir.put("Patient/x", {**PATIENT, "id": "x"})
        assert refused(response, 405)["expression"] == ["Patient.id"]
        assert "GET" in response.headers["allow"]
        created = await fhir.create(PATIENT)
        done(await fhir.put(f"Patient/{created['id']}", {**created, "active": True}), 200)
        metadata = done(await fhir.get("metadata"))
        assert not any(resource["updateCreate"] for resource in metadata["rest"][0]["resource"])
