"""_pretty, gzip in both directions and Vary (https://hl7.org/fhir/R4/http.html#parameters, RFC 9110)."""

import gzip
import random
import zlib
from pathlib import Path

import httpx
import pytest

from server.model.raw import compact, pretty
from server.rest.coding import deflate, takes_gzip
from tests import servers
from tests.client import Fhir, done, refused

LONG = {"resourceType": "Patient", "id": "long", "name": [{"text": f"王 {n} {n * n}"} for n in range(200)]}
SHORT = {"resourceType": "Patient", "id": "short"}
BODY = b'{"resourceType":"Patient","active":true}'


@pytest.fixture(scope="module")
async def filled(face: Fhir) -> Fhir:
    await face.store(LONG, SHORT)
    return face


# ---------------------------------------------------------------------------------------------------------- pretty
async def test_pretty_changes_white_space_outside_strings_and_nothing_else(face: Fhir) -> None:
    body = (
        b'{"resourceType":"Observation","id":"pretty","status":"final","code":{"text":"{ [ , : \\" \\u738b \\/"},'
        b'"valueQuantity":{"value":12345678901234567890.10,"unit":"\xe7\x8e\x8b"},'
        b'"component":[{"code":{"text":"x"},"valueQuantity":{"value":-0.00}},'
        b'{"code":{"text":"y"},"valueQuantity":{"value":1E+2}}]}'
    )
    done(await face.put("Observation/pretty", body))
    plain = (await face.get("Observation/pretty?_pretty=false")).content
    shown = (await face.get("Observation/pretty?_pretty=true")).content
    assert b"\n" not in plain
    assert shown.startswith(b'{\n  "resourceType": "Observation",\n  "meta": {\n    "versionId": "1",\n')
    assert compact(shown) == plain


async def test_pretty_holds_for_pages_writes_and_errors(face: Fhir) -> None:
    for response in (
        await face.get("Patient?_count=1&_pretty=true"),
        await face.get("Patient/nobody?_pretty=true"),
        await face.get("metadata?_pretty=true"),
        await face.put("Patient/pretty?_pretty=true", {"resourceType": "Patient", "id": "pretty"}),
    ):
        assert response.content.startswith(b'{\n  "resourceType"')


async def test_the_deepest_body_that_is_accepted_can_be_shown_pretty_and_in_part(face: Fhir) -> None:
    accepted = 0
    for depth in (20, 60, 95, 400):
        text = '"valueCode":"x"'
        for _ in range(depth):
            text = f'"extension":[{{"url":"urn:x",{text}}}]'
        response = await face.put("Basic/deep", f'{{"resourceType":"Basic","id":"deep","code":{{{text}}}}}'.encode())
        if response.status_code >= 400:
            break
        accepted += 1
        assert (await face.get("Basic/deep?_pretty=true")).status_code == 200
        assert (await face.get("Basic?_id=deep&_pretty=true")).status_code == 200
        assert (await face.get("Basic?_id=deep&_summary=true")).status_code == 200
    assert accepted


@pytest.mark.parametrize("raw", [b"{}", b"[]", b'{"a":[]}', b'{"a":{},"a":1.0}', b'{"a":"\\n  {"}', b'[1.00,"1.00"]'])
def test_the_formatter_keeps_tokens_as_they_are(raw: bytes) -> None:
    assert compact(pretty(raw)) == raw


# ------------------------------------------------------------------------------------------------------------- out
async def raw_get(face: Fhir, path: str, accept_encoding: str) -> tuple[httpx.Response, bytes]:
    """The answer, and its bytes as they went over the line."""
    request = face.http.build_request("GET", f"{face.base}/{path}", headers={"accept-encoding": accept_encoding})
    response = await face.http.send(request, stream=True)
    return response, b"".join([chunk async for chunk in response.aiter_raw()])


@pytest.mark.parametrize(
    ("path", "accept", "zipped"),
    [
        ("Patient/long", "gzip", True),
        ("Patient/long", "gzip, deflate, br", True),
        ("Patient/long", "*", True),
        ("Patient/long", "identity", False),
        ("Patient/long", "gzip;q=0", False),
        ("Patient/long", "br", False),
        ("Patient/long", "", False),
        ("Patient/short", "gzip", False),
        ("Patient?_id=long", "gzip", True),
        ("metadata", "gzip", True),
        ("Patient/nobody", "gzip", False),
    ],
)
async def test_long_answers_are_gzipped_for_clients_that_take_it(
    filled: Fhir, path: str, accept: str, zipped: bool
) -> None:
    response, sent = await raw_get(filled, path, accept)
    assert ("content-encoding" in response.headers) == zipped
    assert response.headers["content-length"] == str(len(sent))
    assert response.headers["vary"] == "accept, accept-encoding"
    plain = await filled.get(path, accept_encoding="identity")
    assert (gzip.decompress(sent) if zipped else sent) == plain.content
    assert not zipped or len(sent) < len(plain.content)


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("gzip", True), ("x-gzip", True), ("GZIP;q=0.5", True), ("br;q=1, *;q=0.1", True), ("gzip;q=0.000", False),
        ("gzip;q=0, *", False), ("*;q=0", False), ("", False), ("gzipped", False), ("deflate", False), (";;,", False),
    ],
)  # fmt: skip
def test_an_accept_encoding_is_read_as_rfc_9110_says(header: str, taken: bool) -> None:
    assert takes_gzip(header) is taken


async def test_a_head_request_has_the_headers_of_the_get(filled: Fhir) -> None:
    head = await filled.send("HEAD", "Patient/long", accept_encoding="gzip")
    response, sent = await raw_get(filled, "Patient/long", "gzip")
    assert head.headers["content-length"] == str(len(sent))
    assert head.headers["content-encoding"] == response.headers["content-encoding"] == "gzip"
    assert head.headers["etag"] == response.headers["etag"]


async def test_not_modified_names_what_the_answer_depends_on(filled: Fhir) -> None:
    response = await filled.get("Patient/long", if_none_match='W/"1"')
    assert (response.status_code, response.headers["vary"]) == (304, "accept, accept-encoding")


# -------------------------------------------------------------------------------------------------------------- in
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip"])
async def test_a_gzipped_body_is_stored_as_it_was_before(face: Fhir, coding: str) -> None:
    stored = done(await face.post("Patient", gzip.compress(BODY, mtime=0), content_encoding=coding), 201)
    assert stored["active"] is True


async def test_gzipped_forms_and_transactions_are_read(face: Fhir) -> None:
    form = {"content_type": "application/x-www-form-urlencoded", "content_encoding": "gzip"}
    assert done(await face.post("Patient/_search", gzip.compress(b"_id=nobody"), **form))["total"] == 0
    batch = gzip.compress(b'{"resourceType":"Bundle","type":"batch"}')
    assert done(await face.post("", batch, content_encoding="gzip"))["type"] == "batch-response"


@pytest.mark.parametrize(
    ("body", "coding", "status", "expression"),
    [
        (BODY, "br", 415, "http.Content-Encoding"),
        (BODY, "deflate", 415, "http.Content-Encoding"),
        (gzip.compress(gzip.compress(BODY, mtime=0), mtime=0), "gzip, gzip", 415, "http.Content-Encoding"),
        (BODY, "gzip", 400, "http.body"),
        (zlib.compress(BODY), "gzip", 400, "http.body"),
        (gzip.compress(BODY, mtime=0)[:-4], "gzip", 400, "http.body"),
        (gzip.compress(BODY, mtime=0) + b"x", "gzip", 400, "http.body"),
        (gzip.compress(BODY, mtime=0) * 2, "gzip", 400, "http.body"),
        (gzip.compress(b"[" * (52428800 + 1), mtime=0), "gzip", 413, "http.body"),
    ],
)
async def test_a_coded_body_that_cannot_be_read_is_refused(
    face: Fhir, body: bytes, coding: str, status: int, expression: str
) -> None:
    issue = refused(await face.post("Patient", body, content_encoding=coding), status)
    assert issue["expression"] == [expression]


async def test_identity_is_a_coding_that_changes_nothing(face: Fhir) -> None:
    done(await face.post("Patient", BODY, content_encoding="identity"), 201)


# ------------------------------------------------------------------------------------------- settings, description
@pytest.mark.parametrize("size", [0, 1, 1400, 16 * 1024, 16 * 1024 + 1, 64 * 1024, 300_000])
async def test_what_is_gzipped_is_the_same_again_at_every_size(size: int) -> None:
    body = bytes(random.Random(size).choices(b'{"a":1.0},', k=size))
    assert gzip.decompress(await deflate(body)) == body


@pytest.mark.parametrize(("least", "zipped"), [(0, False), (10, True), (1_000_000, False)])
async def test_the_setting_says_from_which_size_on(tmp_path: Path, least: int, zipped: bool) -> None:
    async with servers.in_process(servers.app_on("", tmp_path, gzip_min_bytes=least)) as http:
        response = await http.get(f"{servers.BASE}/metadata", headers={"accept-encoding": "gzip"})
        assert ("content-encoding" in response.headers) == zipped
        assert response.json()["resourceType"] == "CapabilityStatement"


async def test_the_limit_of_a_body_holds_for_what_it_inflates_to(tmp_path: Path) -> None:
    async with servers.in_process(servers.app_on("", tmp_path, body_max_bytes=2000)) as http:
        fhir = Fhir(http, servers.BASE)
        for spaces, status in ((2000 - len(BODY), 201), (2001 - len(BODY), 413)):
            sent = gzip.compress(BODY + b" " * spaces)
            assert (await fhir.post("Patient", sent, content_encoding="gzip")).status_code == status


async def test_openapi_names_the_parameters_of_a_read(face: Fhir) -> None:
    outside = face.base.removesuffix("/fhir")
    read = done(await face.get(f"{outside}/openapi.json"))["paths"]["/fhir/{type}/{id}"]["get"]
    assert {"_summary", "_elements"} <= {parameter["name"] for parameter in read["parameters"]}
