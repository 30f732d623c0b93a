"""The whole API under random requests: method, address, headers, and bodies that were valid before they were changed.

Whatever comes in, there is no 500, a refusal is an OperationOutcome that R4 and XML can carry, and what was stored
before can still be read.
"""

import copy
import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.model.xml_read import read
from server.model.xml_write import write
from server.validation.structure import check
from tests import servers
from tests.client import FHIR_JSON, Fhir, bundle, done, entry, post, put
from tests.instances import minimal

XML, FORM, JSON_PATCH = "application/fhir+xml", "application/x-www-form-urlencoded", "application/json-patch+json"
TYPES = ["Patient", "Observation", "Bundle", "Parameters", "Basic", "ValueSet", "Binary"]
ODD = st.sampled_from([
    "", " ", "\0", "\ud800", "\uffff", "a" * 70, "%", "%zz", "../..", "$", "_history", "-1", "0", "1e400", "null", "王",
    "\u202e", "a|b", "|", ",", "\\", "a\\,b", "Patient/1", "urn:uuid:x", "*", '"',
])  # fmt: skip
TEXT = st.one_of(ODD, st.text(max_size=8))
LEAF: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT,
    st.sampled_from([[], {}, [[]], [None], {"a": None}, 2**63, -(2**63), 10**25]),
)  # fmt: skip

SEGMENT = st.one_of(
    st.sampled_from([*TYPES, *["Nope", "_history", "_search", "metadata", "fuzz", "1", "$validate"]]), TEXT
)
KNOWN = """Patient Patient/fuzz Patient/fuzz/_history Patient/fuzz/_history/1 _history metadata Observation
    Patient/_search Bundle Bundle/fuzz Patient/_history"""
ADDRESS = st.one_of(
    st.sampled_from(["", *KNOWN.split()]),
    st.lists(SEGMENT, max_size=4).map(
        lambda parts: "/".join(quote(part, safe="%", errors="replace") for part in parts)
    ),
)
PARAMETERS = """_id name identifier birthdate organization _lastUpdated _sort _count _include _summary _elements _format
    _pretty _total _cursor _since _at name:exact gender:not _has:Observation:subject:code _revinclude date code
    subject:Patient.name"""
WORDS = """true 1 fuzz ge2020-01-01 eq2020 male a|b Patient:organization -name,_id json xml 2020 count id,name
    Patient/fuzz 999999999999999999999999999999 sa2020-13 0001 9999-12-31"""
NAME = st.one_of(st.sampled_from(PARAMETERS.split()), TEXT)
VALUE = st.one_of(st.sampled_from(WORDS.split()), TEXT)
QUERY = st.lists(st.tuples(NAME, VALUE), max_size=4).map(
    lambda pairs: "&".join(f"{quote(n, errors='replace')}={quote(v, safe='%', errors='replace')}" for n, v in pairs)
)
NAMES = """if-match if-none-match if-none-exist if-modified-since prefer accept accept-encoding content-encoding"""
HEADERS = st.dictionaries(
    st.sampled_from(NAMES.split()),
    st.sampled_from([
        'W/"1"', "*", "x", '"9"', "identifier=fuzz", "nope=1", "_id=fuzz", "return=minimal", FHIR_JSON, XML, "gzip",
        "return=representation", "handling=lenient", "text/turtle", "", ",", "=", "identifier=%zz", "\xff",
        "Sat, 29 Oct 1994 19:43:31 GMT",
    ]),
    max_size=3,
)  # fmt: skip
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
PATCHES = [
    [{"op": "replace", "path": "/gender", "value": "male"}, {"op": "move", "from": "/name", "path": "/contact"}],
    {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "add"}, {"name": "path", "valueString": "Patient.name.where(use = 'old')"},
        {"name": "name", "valueString": "given"}, {"name": "value", "valueString": "x"}]}]},
]  # fmt: skip


def seeds() -> list[Any]:
    """Bodies that are valid as they are."""
    patient = {**minimal("Patient"), "id": "fuzz", "gender": "male", "name": [{"use": "old", "given": ["a"]}],
               "identifier": [{"system": "urn:x", "value": "1"}], "birthDate": "1949-12-31"}  # fmt: skip
    transaction = bundle(
        "transaction", put(patient), post(minimal("Observation"), "urn:uuid:8d2ae2a4-4d5c-4a3c-9fd3-4e6a3a1b9f10"),
        entry("GET", "Patient/fuzz", ifNoneMatch='W/"1"'), entry("PATCH", "Patient/fuzz2", PATCHES[1]),
        entry("DELETE", "Basic/none"),
    )  # fmt: skip
    return [patient, transaction, {**transaction, "type": "batch"}, *PATCHES, *map(minimal, TYPES)]


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where something could be changed."""
    found = [path] if path else []
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [place for step, part in steps for place in places(part, (*path, step))]


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, str]:
    """(a body, the Content-Type that says what it is, mostly)."""
    value = json.loads(json.dumps(draw(st.sampled_from(seeds()))))
    for _ in range(draw(st.integers(0, 3))):
        found = places(value)
        if not found:
            break
        *way, last = draw(st.sampled_from(found))
        owner = value
        for step in way:
            owner = owner[step]
        match draw(st.sampled_from(["set", "drop", "double", "rename", "list", "unlist"])):
            case "drop":
                del owner[last]
            case "double" if isinstance(owner, list):
                owner.append(copy.deepcopy(owner[last]))
            case "rename" if isinstance(owner, dict):
                owner[draw(TEXT)] = owner.pop(last)
            case "list":
                owner[last] = [owner[last]]
            case "unlist" if isinstance(owner[last], list) and owner[last]:
                owner[last] = owner[last][0]
            case _:
                owner[last] = copy.deepcopy(draw(LEAF))
    raw = json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    type = JSON_PATCH if isinstance(value, list) else FHIR_JSON
    if type == FHIR_JSON and draw(st.booleans()):
        try:
            raw, type = write(raw), XML
        except Exception:  # no XML of this: it stays JSON
            pass
    match draw(st.sampled_from(["whole"] * 5 + ["cut", "bytes", "none", "type", "again"])):
        case "cut":
            raw = raw[: draw(st.integers(0, len(raw)))]
        case "bytes":
            place = draw(st.integers(0, len(raw)))
            raw = raw[:place] + draw(st.binary(max_size=4)) + raw[place + draw(st.integers(0, 3)) :]
        case "none":
            raw = b""
        case "type":
            type = draw(st.sampled_from([FHIR_JSON, XML, FORM, JSON_PATCH, "text/plain", "", "application/json"]))
        case "again":
            raw += raw
    return raw, type


def judged(response: httpx.Response) -> None:
    """No 5xx but 501; a refusal carries an OperationOutcome that is valid."""
    assert response.status_code < 500 or response.status_code == 501, response.text[:600]
    if response.status_code < 400 or response.request.method == "HEAD":
        return
    body = response.content if response.headers["content-type"].startswith(FHIR_JSON) else read(response.content)
    outcome = json.loads(body)
    assert outcome["resourceType"] == "OperationOutcome"
    assert not [issue for issue in check(outcome) if issue.severity != "warning"], outcome
    assert all(issue["diagnostics"] for issue in outcome["issue"])


REQUESTS = st.tuples(st.sampled_from(METHODS), ADDRESS, QUERY, HEADERS, bodies())


async def _try(fhir: Fhir, request: tuple[str, str, str, dict[str, str], tuple[bytes, str]]) -> None:
    method, path, query, headers, (body, type) = request
    target = f"/fhir/{path}{'?' + query if query else ''}".encode("ascii", "replace")
    url = httpx.URL(servers.BASE).copy_with(raw_path=target)
    sends = body if method in ("POST", "PUT", "PATCH") else b""
    given = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    if sends:
        given[b"content-type"] = type.encode()
    judged(await fhir.http.request(method, url, content=sends, headers=list(given.items())))


async def _fuzz(fhir: Fhir, examples: int) -> None:
    await fhir.store({"resourceType": "Patient", "id": "kept"})
    drawn: list[Any] = []

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(REQUESTS)
    def draw(request: Any) -> None:
        drawn.append(request)

    draw()
    for request in drawn:
        try:
            await _try(fhir, request)
        except AssertionError as failed:
            raise AssertionError(f"{request!r}: {failed}") from failed
    done(await fhir.get("Patient/kept"))


async def test_random_requests_are_answered_or_refused_and_nothing_fails(fhir: Fhir) -> None:
    await _fuzz(fhir, 300)


@pytest.mark.long
async def test_many_random_requests_are_answered_or_refused_and_nothing_fails(fhir: Fhir) -> None:
    await _fuzz(fhir, 8000)
