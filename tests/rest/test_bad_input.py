"""Bad input that no table of test_refusals.py has: doubled names, floods, bombs, shapes of Bundles, slow clients."""

import asyncio
import gzip
import json
import socket
import zlib
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import Invalid
from server.model.doubled import check_bundle, check_unique
from tests import servers
from tests.client import FHIR_JSON, Fhir, Resource, bundle, done, post, put, refused, statuses, version_of

XML = "application/fhir+xml"
FORM = "application/x-www-form-urlencoded"
PATIENT = {"resourceType": "Patient"}

# ---------------------------------------------------------------------------------------------- names that stand twice
DOUBLED = [
    ('{"resourceType":"Patient","gender":"male","gender":"female"}', "Patient.gender"),
    ('{"resourceType":"Patient","resourceType":"Patient"}', "Patient.resourceType"),
    ('{"resourceType":"Patient","name":[{"family":"a"},{"family":"b","given":["c"],"family":"d"}]}',
     "Patient.name[1].family"),
    ('{"resourceType":"Patient","name":[{"family":":::"}],"gender":"male" , "gender"\n:"male"}', "Patient.gender"),
    ('{"resourceType":"Patient","gend\\u0065r":"male","gender":"male"}', "Patient.gender"),
    ('{"resourceType":"Patient","gender":"male","language":"x\\u003a","gender":"male"}', "Patient.gender"),
    ('{"resourceType":"Patient","name":[{"text":"\\u003A:\\":{"}],"meta":{"id":"a","id":"b"}}', "Patient.meta.id"),
    ('{"resourceType":"Patient","_birthDate":{"id":"a","id":"a"}}', "Patient._birthDate.id"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expression"), DOUBLED)
async def test_a_name_that_stands_twice_is_refused_by_its_place(fhir: Fhir, body: str, expression: str) -> None:
    issue = refused(await fhir.post("Patient", body), 400)
    assert (issue["code"], issue["expression"]) == ("structure", [expression])
    entry = f'{{"fullUrl":"urn:x:1","resource":{body},"request":{{"method":"POST","url":"Patient"}}}}'
    for type in ("batch", "transaction"):
        response = await fhir.post("", f'{{"resourceType":"Bundle","type":"{type}","entry":[{entry}]}}')
        answer = response.json()
        found = answer if type == "transaction" else answer.get("entry", [{}])[0].get("response", {}).get("outcome")
        place = ((found or answer)["issue"][0])["expression"][0]
        assert place.startswith("Bundle.entry[0]")
        assert response.status_code == 400 or type == "batch"


@pytest.mark.parametrize(
    ("body", "expression"),
    [('{"resourceType":"Bundle","type":"batch","type":"transaction"}', "Bundle.type"),
     ('{"resourceType":"Bundle","type":"batch","entry":[],"entry":[]}', "Bundle.entry"),
     ('{"resourceType":"Bundle","type":"batch","entry":[{"fullUrl":"a","fullUrl":"b"}]}',
      "Bundle.entry[0].fullUrl"),
     ('{"resourceType":"Bundle","type":"batch","entry":[{},{"request":{"url":"A","url":"B","method":"GET"}}]}',
      "Bundle.entry[1].request.url"),
     ('{"resourceType":"Bundle","type":"batch","link":[{"relation":"a","relation":"b"}]}', "Bundle.link[0].relation")],
)  # fmt: skip
async def test_a_name_that_stands_twice_in_a_bundle_is_refused(face: Fhir, body: str, expression: str) -> None:
    assert refused(await face.post("", body), 400)["expression"] == [expression]


async def test_a_name_that_stands_twice_in_a_patch_is_refused(fhir: Fhir, mark: str) -> None:
    await fhir.store({**PATIENT, "id": mark})
    body = b'[{"op":"add","path":"/gender","value":"male","value":"female"}]'
    refused(await fhir.send("PATCH", f"Patient/{mark}", body, content_type="application/json-patch+json"), 400)
    refused(await fhir.send("PATCH", f"Patient/{mark}", b'{"resourceType":"Parameters","id":"a","id":"b"}'), 400)
    assert version_of(await fhir.get(f"Patient/{mark}")) == 1


class _Members(list):  # type: ignore[type-arg]
    """Members of an object, which may hold a name twice."""


_TEXT = st.text(alphabet='ab:\\"{},[]\u003a\n王', max_size=6)
_KEYS = st.sampled_from(["a", "b", "a:", ":", "\u003a", '"a":', "\\"])
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(_KEYS, inner), max_size=4).map(_Members),
    max_leaves=12,
)


def _doubled(value: Any) -> bool:
    if isinstance(value, _Members):
        names = [name for name, _ in value]
        return len(set(names)) < len(names) or any(_doubled(part) for _, part in value)
    return isinstance(value, list) and any(_doubled(part) for part in value)


def _string(text: str, escape: bool) -> str:
    written = json.dumps(text, ensure_ascii=False)
    return written.replace(":", "\\u003a" if escape else ":")


def _written(value: Any, draw: Any) -> str:
    """JSON with white space and escapes as drawn."""
    space = draw(st.sampled_from(["", " ", "\n\t"]))
    if isinstance(value, _Members):
        parts = [f"{_string(name, draw(st.booleans()))}{space}:{space}{_written(part, draw)}" for name, part in value]
        return "{" + f"{space},".join(parts) + space + "}"
    if isinstance(value, list):
        return "[" + space + ",".join(_written(part, draw) for part in value) + "]"
    return _string(value, draw(st.booleans())) if isinstance(value, str) else json.dumps(value)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(_KEYS, _VALUES), max_size=4).map(_Members), st.data())
def test_exactly_the_bodies_with_a_doubled_name_are_refused(value: Any, data: st.DataObject) -> None:
    raw = _written(value, data.draw).encode()
    wrong = False
    try:
        check_unique(raw, orjson.loads(raw), "x")
    except Invalid:
        wrong = True
    assert wrong == _doubled(value)
    entry = b'{"resource":{"a":1,"a":2},"response":%b}' % raw  # the resource is not looked at here
    whole = b'{"entry":[%b],"x":%b}' % (entry, raw)
    if wrong:
        with pytest.raises(Invalid):
            check_bundle(whole)
    elif b"\\u003" not in whole:
        check_bundle(whole)


# ------------------------------------------------------------------------------------------------------------ Bundles
GET: Resource = {"request": {"method": "GET", "url": "Patient"}}
SHAPES: list[tuple[str, str]] = [
    ('"entry":{}', "Bundle.entry"), ('"entry":null', "Bundle.entry"), ('"entry":[null]', "Bundle.entry[0]"),
    ('"entry":[1]', "Bundle.entry[0]"), ('"entry":[[]]', "Bundle.entry[0]"), ('"entry":"x"', "Bundle.entry"),
    ('"entry":[{"request":[]}]', "Bundle.entry[0].request"),
    ('"entry":[{"request":"GET"}]', "Bundle.entry[0].request"),
    ('"entry":[{"request":{"url":"Patient"}}]', "Bundle.entry[0].request"),
    ('"entry":[{"request":{"method":"GET"}}]', "Bundle.entry[0].request"),
    ('"entry":[{"request":{"method":1,"url":"Patient"}}]', "Bundle.entry[0].request.method"),
    ('"entry":[{"request":{"method":"GET","url":null}}]', "Bundle.entry[0].request.url"),
    ('"entry":[{"fullUrl":1,"request":{"method":"GET","url":"Patient"}}]', "Bundle.entry[0].fullUrl"),
    ('"entry":[{"request":{"method":"GET","url":"Patient","ifMatch":1}}]', "Bundle.entry[0].request.ifMatch"),
    ('"type":["batch"]', "Bundle.type"), ('"type":null', "Bundle.type"),
]  # fmt: skip


@pytest.mark.parametrize(("members", "expression"), SHAPES)
async def test_a_bundle_of_a_wrong_shape_is_refused_by_the_element(face: Fhir, members: str, expression: str) -> None:
    for type in ("batch", "transaction"):
        named = "" if '"type"' in members else f'"type":"{type}",'
        issue = refused(await face.post("", f'{{"resourceType":"Bundle",{named}{members}}}'), 400)
        assert issue["expression"] == [expression]


ENTRIES: list[tuple[Resource, str]] = [
    ({}, "400"), ({"request": None}, "400"), ({**GET, "resource": None}, "400"), ({**GET, "resource": PATIENT}, "400"),
    ({"request": {"method": "POST", "url": "Patient"}, "resource": None}, "400"),
    ({"request": {"method": "POST", "url": "Patient"}, "resource": []}, "400"),
    ({"request": {"method": "POST", "url": "Patient"}, "resource": "x"}, "400"),
    ({"request": {"method": "POST", "url": "Patient"}}, "400"),
    ({"request": {"method": "POST", "url": "Patient/x"}, "resource": PATIENT}, "400"),
    ({"request": {"method": "POST", "url": "Nope"}, "resource": PATIENT}, "400"),
    ({"request": {"method": "POST", "url": "Observation"}, "resource": PATIENT}, "400"),
    ({"request": {"method": "PUT", "url": "Patient"}, "resource": PATIENT}, "400"),
    ({"request": {"method": "PUT", "url": "Patient/%zz"}, "resource": PATIENT}, "400"),
    ({"request": {"method": "PUT", "url": f"Patient/{'a' * 65}"}, "resource": {**PATIENT, "id": "a" * 65}}, "400"),
    ({"request": {"method": "PUT", "url": "Patient/a", "ifMatch": "x"}, "resource": {**PATIENT, "id": "a"}}, "400"),
    ({"request": {"method": "DELETE", "url": "Patient"}}, "400"),
    ({"request": {"method": "FETCH", "url": "Patient"}}, "400"),
    ({"request": {"method": "get", "url": "Patient"}}, "400"),
    ({"request": {"method": "GET", "url": ""}}, "400"),
    ({"request": {"method": "GET", "url": "Patient?nope=1"}}, "400"),
    ({"request": {"method": "GET", "url": "Patient?name=%zz"}}, "400"),
    ({"request": {"method": "GET", "url": "Patient/a\0b"}}, "400"),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "status"), ENTRIES)
async def test_a_wrong_entry_is_named_and_leaves_the_others_alone_in_a_batch(
    fhir: Fhir, mark: str, entry: Resource, status: str
) -> None:
    good = put({**PATIENT, "id": mark})
    issue = refused(await fhir.post("", bundle("transaction", good, entry)), int(status))
    assert issue["expression"][0].startswith("Bundle.entry[1]")
    refused(await fhir.get(f"Patient/{mark}"), 404)
    assert statuses(done(await fhir.post("", bundle("batch", good, entry)))) == ["201", status]


# ------------------------------------------------------------------------------------------ addresses and parameters
@pytest.mark.parametrize("path", ["Patient/%zz", "Patient/a%", "%", "Patient?name=%zz", "Patient?name=a%",
                                  "Patient/_history?_since=%2", "metadata?x=%"])  # fmt: skip
async def test_a_percent_sign_without_two_digits_is_refused(face: Fhir, path: str) -> None:
    url = httpx.URL(servers.BASE).copy_with(raw_path=f"/fhir/{path}".encode())
    response = await face.http.get(url)
    if response.request.url.raw_path != f"/fhir/{path}".encode():
        pytest.fail("the client has changed the address")
    assert refused(response, 400)["expression"][0].startswith("http.")


async def test_a_percent_sign_in_a_form_is_refused(face: Fhir) -> None:
    refused(await face.post("Patient/_search", "name=%g0", content_type=FORM), 400)


@pytest.mark.parametrize("query", ["name=a%00b", "name:exact=a%00b", "identifier=%00", "identifier=a%00|b", "_id=%00",
                                   "organization=Organization/%00", "_tag=%00|%00", "name:contains=%00"])  # fmt: skip
async def test_nul_in_a_search_finds_nothing(fhir: Fhir, query: str) -> None:
    response = await fhir.get(f"Patient?{query}")
    assert response.status_code == 400 or done(response)["total"] == 0


@pytest.mark.parametrize("query", ["name=%ED%A0%80", "name=%ff", "_id=%C0%80", "%ff=a"])
async def test_a_query_that_is_no_utf8_is_refused(face: Fhir, query: str) -> None:
    url = httpx.URL(servers.BASE).copy_with(raw_path=f"/fhir/Patient?{query}".encode())
    refused(await face.http.get(url), 400)


FLOODS = {
    "alternatives": "identifier=" + ",".join(f"i{n}" for n in range(2000)),
    "parameters": "&".join(f"identifier=i{n}" for n in range(2000)),
    "dates": "birthdate=" + ",".join(f"ne{1900 + n % 100}" for n in range(2000)),
    "inclusions": "&".join(["_include=Patient:organization"] * 2000),
    "ids": "_id=" + ",".join(f"i{n}" for n in range(100_000)),
    "keys to sort by": "_sort=" + ",".join(["name"] * 20),
}


@pytest.mark.parametrize("what", FLOODS)
async def test_a_search_of_too_many_values_is_too_costly(fhir: Fhir, what: str) -> None:
    issue = refused(await fhir.post("Patient/_search", FLOODS[what], content_type=FORM), 422)
    assert issue["code"] == "too-costly"
    assert "search_values_max" in issue["diagnostics"] or "_sort" in issue["diagnostics"]
    condition = FLOODS["alternatives"]
    refused(await fhir.post("Patient", PATIENT, if_none_exist=condition), 422)


@pytest.mark.parametrize(
    "query",
    ["identifier=" + ",".join(f"i{n}" for n in range(390)), "&".join(f"name=i{n}" for n in range(390)),
     "&".join(f"birthdate=ne{1900 + n % 100}" for n in range(390)), "_lastUpdated=" + ",".join(["ne2000"] * 390),
     "_id=" + ",".join(f"i{n}" for n in range(19_000)),
     "_sort=name,family,given,-birthdate,gender,_id,-_lastUpdated,identifier"],
    ids=["alternatives", "parameters", "dates", "stamps", "ids", "sorts"],
)  # fmt: skip
async def test_a_search_within_the_limit_is_answered(empty: Fhir, query: str) -> None:
    assert done(await empty.post("Patient/_search", query, content_type=FORM))["total"] == 0


async def test_a_query_that_is_too_long_is_refused(face: Fhir) -> None:
    assert refused(await face.get(f"Patient?name={'a' * 40_000}"), 413)["expression"] == ["http.query"]


@pytest.mark.parametrize("tag", ["x", '"', 'W/"x"', 'W/"1', '"1", "2"', 'W/"-1"', 'W/"1.5"', '"' + "9" * 400 + '"'])
async def test_an_if_match_that_is_no_etag_is_refused(fhir: Fhir, mark: str, tag: str) -> None:
    await fhir.store({**PATIENT, "id": mark})
    for method, body in (("PUT", {**PATIENT, "id": mark, "active": True}), ("DELETE", None)):
        response = await fhir.send(method, f"Patient/{mark}", body, if_match=tag)
        assert refused(response, 400)["expression"] == ["http.If-Match"]
    assert version_of(await fhir.get(f"Patient/{mark}")) == 1


# -------------------------------------------------------------------------------------------------------- body content
@pytest.mark.parametrize("levels", [101, 300, 1000, 100_000])
@pytest.mark.parametrize("close", [True, False])
async def test_bodies_that_nest_too_deep_are_refused(fhir: Fhir, levels: int, close: bool) -> None:
    objects = b'{"resourceType":"Patient","extension":[' + b'{"url":"u","extension":[' * levels
    objects += b'{"url":"u","valueCode":"x"}' + b"]}" * (levels + 1) if close else b""
    elements = '<Patient xmlns="http://hl7.org/fhir">' + '<extension url="u">' * levels
    elements += "</extension>" * levels + "</Patient>" if close else ""
    for body, format in ((objects, FHIR_JSON), (elements.encode(), XML), (b"[" * levels + b"]" * levels, FHIR_JSON)):
        refused(await fhir.post("Patient", body, content_type=format), 400)
        whole = b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"POST","url":"Patient"},'
        if format == FHIR_JSON and close:
            response = await fhir.post("", whole + b'"resource":%b}]}' % body)
            assert response.status_code == 400 or statuses(response.json()) == ["400"]


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 100_000, "1e999999999999", "0." + "1" * 100_000, "1e-400"])
async def test_numbers_past_all_bounds_are_refused_or_kept_to_the_digit(fhir: Fhir, number: str) -> None:
    refused(await fhir.post("Patient", f'{{"resourceType":"Patient","multipleBirthInteger":{number}}}'), 400)
    extension = f'[{{"url":"urn:x","valueDecimal":{number}}}]'
    body = f'{{"resourceType":"Basic","code":{{"text":"x"}},"extension":{extension}}}'
    response = await fhir.post("Basic", body)
    if response.status_code == 201:
        assert number in (await fhir.get(f"Basic/{response.json()['id']}")).text
    else:
        refused(response, 400)


BOMBS = {
    "entities": '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><Patient '
                'xmlns="http://hl7.org/fhir"><language value="&b;"/></Patient>',
    "an external entity": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><Patient xmlns="http://hl7.org/fhir">'
                          '<language value="x"/></Patient>',
    "an external DTD": '<!DOCTYPE Patient SYSTEM "http://127.0.0.1:1/x.dtd"><Patient xmlns="http://hl7.org/fhir"/>',
    "an entity in the narrative": '<Patient xmlns="http://hl7.org/fhir"><text><status value="generated"/>'
                                  '<div xmlns="http://www.w3.org/1999/xhtml">&nbsp;</div></text></Patient>',
    "a doctype in the narrative": json.dumps({**PATIENT, "text": {"status": "generated", "div":
        '<!DOCTYPE div [<!ENTITY a "b">]><div xmlns="http://www.w3.org/1999/xhtml">&a;</div>'}}),
    "half a document": '<Patient xmlns="http://hl7.org/fhir"><name>',
    "two documents": '<Patient xmlns="http://hl7.org/fhir"/><Patient xmlns="http://hl7.org/fhir"/>',
    "UTF-16": '<?xml version="1.0" encoding="UTF-16"?><Patient xmlns="http://hl7.org/fhir"/>',
    "a character that is none": '<Patient xmlns="http://hl7.org/fhir"><language value="&#0;"/></Patient>',
    "JSON": '{"resourceType":"Patient"}',
}  # fmt: skip


@pytest.mark.parametrize("what", BOMBS)
async def test_xml_that_is_unsafe_or_broken_is_refused(face: Fhir, what: str) -> None:
    format = FHIR_JSON if "narrative" in what and what.startswith("a doctype") else XML
    refused(await face.post("Patient", BOMBS[what], content_type=format), 400)


async def test_gzip_that_is_a_bomb_or_none_is_refused(tmp_path: Path) -> None:
    async with servers.in_process(servers.app_on("", tmp_path, body_max_bytes=100_000)) as http:
        fhir = Fhir(http, servers.BASE)
        bomb = gzip.compress(b" " * 50_000_000)
        assert len(bomb) < 100_000
        assert refused(await fhir.post("Patient", bomb, content_encoding="gzip"), 413)["code"] == "too-long"
        whole = gzip.compress(b'{"resourceType":"Patient"}')
        for body in (b'{"resourceType":"Patient"}', whole[:-5], whole + b"x", zlib.compress(b"{}"), whole + whole):
            refused(await fhir.post("Patient", body, content_encoding="gzip"), 400)
        refused(await fhir.post("Patient", whole, content_encoding="br"), 415)
        refused(await fhir.post("Patient", whole, content_encoding="gzip, gzip"), 415)
        done(await fhir.post("Patient", whole, content_encoding="gzip"), 201)


async def test_a_body_of_the_limit_is_taken_and_one_byte_more_is_not(face: Fhir) -> None:
    limit = 50 * 2**20
    body = b'{"resourceType":"Patient"}'
    done(await face.post("Patient", body.ljust(limit)), 201)
    assert refused(await face.post("Patient", body.ljust(limit + 1)), 413)["code"] == "too-long"


async def test_a_div_has_no_id_and_no_extension_of_its_own(fhir: Fhir, mark: str) -> None:
    narrative = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>', "_div": {"id": "a"}}
    issue = refused(await fhir.put(f"Patient/{mark}", {**PATIENT, "id": mark, "text": narrative}), 400)
    assert issue["expression"] == ["Patient.text._div"]


@pytest.mark.parametrize("reference", ["", "a b", "Patient/a/b/c", "Nope/1", "Patient/", "Patient?", "#", "P/a\0b"])
async def test_references_that_are_none_are_no_error_of_the_server(fhir: Fhir, mark: str, reference: str) -> None:
    resource = {"resourceType": "Basic", "id": mark, "code": {"text": "x"}, "subject": {"reference": reference}}
    for response in (
        await fhir.put(f"Basic/{mark}", resource),
        await fhir.post("", bundle("transaction", put(resource))),
        await fhir.post("", bundle("transaction", post({k: v for k, v in resource.items() if k != "id"}))),
    ):
        assert response.status_code in (200, 201) or refused(response, response.status_code)
        assert response.status_code in (200, 201, 400, 412)


# ----------------------------------------------------------------------------------------- what XML cannot carry
async def test_what_xml_cannot_carry_is_406_and_what_was_written_stays_written(fhir: Fhir, mark: str) -> None:
    resource = {"resourceType": "Basic", "id": mark, "code": {"text": "a\uffffb"}}
    written = await fhir.put(f"Basic/{mark}", resource, accept=XML)
    assert written.status_code == 201
    assert written.headers["location"]
    assert '<severity value="warning"/>' in written.text
    read = await fhir.get(f"Basic/{mark}", accept=XML)
    assert read.status_code == 406
    assert '<expression value="text"/>' in read.text
    found = await fhir.get(f"Basic?_id={mark}", accept=XML)
    assert found.status_code == 406
    assert done(await fhir.get(f"Basic/{mark}"))["code"]["text"] == "a\uffffb"


async def test_an_outcome_that_quotes_what_no_string_may_hold_is_one_in_both_formats(face: Fhir) -> None:
    for format in (FHIR_JSON, XML):
        response = await face.get("Patient%00%EF%BF%BF", accept=format)
        assert response.status_code == 404
        assert "Patient\ufffd\ufffd" in response.text
    long = refused(await face.post("Patient", {**PATIENT, "id": "x" * 100_000}), 400)
    assert len(long["diagnostics"]) < 20_000


# -------------------------------------------------------------------------------------------------------- slow clients
async def test_a_body_that_drips_is_answered_408(tmp_path: Path) -> None:
    sent: list[dict[str, Any]] = []
    app = servers.app_on("", tmp_path, body_timeout=1)

    async def drip() -> dict[str, Any]:
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def keep(message: Any) -> None:
        sent.append(message)

    async with servers.in_process(app):
        scope = {"type": "http", "method": "POST", "path": "/fhir/Patient", "raw_path": b"/fhir/Patient",
                 "query_string": b"", "headers": [(b"content-type", FHIR_JSON.encode())]}  # fmt: skip
        await app(scope, drip, keep)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    issue = json.loads(sent[1]["body"])["issue"][0]
    assert (issue["code"], issue["expression"]) == ("timeout", ["http.body"])


def test_a_connection_whose_body_stops_is_answered_and_closed(tmp_path: Path) -> None:
    with servers.tiercare(tmp_path, environment={"TIERCARE_BODY_TIMEOUT": "1"}) as running:
        port = httpx.URL(running.base).port
        assert port is not None
        with socket.create_connection(("127.0.0.1", port), servers.START) as connection:
            head = [
                "POST /fhir/Patient HTTP/1.1",
                "Host: x",
                f"Content-Type: {FHIR_JSON}",
                "Content-Length: 100",
                "",
                "{",
            ]
            connection.sendall("\r\n".join(head).encode())
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 408")
        assert b'"OperationOutcome"' in answer
        assert httpx.get(f"{running.base}/Patient").status_code == 200
