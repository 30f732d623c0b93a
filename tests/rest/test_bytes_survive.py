"""Bytes in, bytes out: whatever was sent comes back as it was written, but for `id` and `meta`.

Bodies are made as text, so that decimals, escapes, key order and white space are what the test chose.
"""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.client import Fhir, done

EXAMPLES = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
_numbers = itertools.count()

SPACE = st.sampled_from(["", "", "", " ", "\n", "\t ", " \r\n  "])
DECIMALS = st.one_of(
    st.sampled_from(
        ["1.00", "0.10", "-0.0", "1e2", "1E+2", "12345678901234567890.12345678901234567890", "0.0000000001"]
    ),
    st.from_regex(
        r"-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?", fullmatch=True, alphabet="0123456789.-+eE"
    ),
)
TEXTS = st.one_of(
    st.sampled_from([
        '"x"', '"王小明"', '"\\u738b"', '"𠮷"', '"\\ud842\\udfb7"', '"a\\/b"', '"\\"reference\\":\\"urn:uuid:1\\""',
        '"{}[],: "', '"\\\\"', '"a\\nb"', '"ﬁ ｆｕｌｌ"', '"\\u0022"',
    ]),
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12).map(
        lambda text: json.dumps(text, ensure_ascii=False)
    ),
)  # fmt: skip
URLS = st.sampled_from(['"urn:x"', '"http://example.org/未知"', '"http:\\/\\/example.org\\/x"'])


@st.composite
def objects(draw: st.DrawFn, members: list[tuple[str, str]]) -> str:
    """The members in any order, with any white space."""
    shuffled = draw(st.permutations(members))
    inside = ",".join(
        f'{draw(SPACE)}"{name}"{draw(SPACE)}:{draw(SPACE)}{value}{draw(SPACE)}' for name, value in shuffled
    )
    return "{" + inside + "}"


@st.composite
def extensions(draw: st.DrawFn, depth: int = 2) -> str:
    """A list of extensions that nobody knows, with values of several types or with extensions inside."""
    found = []
    for _ in range(draw(st.integers(1, 2))):
        kinds = ["valueDecimal", "valueString", "valueQuantity", *(["extension"] if depth else [])]
        kind = draw(st.sampled_from(kinds))
        value = {
            "valueDecimal": DECIMALS,
            "valueString": TEXTS,
            "valueQuantity": st.deferred(quantities),
            "extension": extensions(depth - 1) if depth else TEXTS,
        }[kind]
        found.append(draw(objects([("url", draw(URLS)), (kind, draw(value))])))
    return "[" + ",".join(f"{draw(SPACE)}{one}{draw(SPACE)}" for one in found) + "]"


@st.composite
def quantities(draw: st.DrawFn) -> str:
    return draw(objects([("value", draw(DECIMALS)), ("unit", draw(TEXTS))]))


@st.composite
def observations(draw: st.DrawFn) -> tuple[list[tuple[str, str]], str]:
    """An Observation's members (name, value as written), and its whole text."""
    members = [("resourceType", '"Observation"'), ("status", '"final"'), ("valueQuantity", draw(quantities()))]
    members.append(("code", draw(objects([("text", draw(TEXTS)), ("extension", draw(extensions()))]))))
    if draw(st.booleans()):
        members.append(("_status", draw(objects([("extension", draw(extensions(0)))]))))
    if draw(st.booleans()):
        members.append(("extension", draw(extensions())))
    if draw(st.booleans()):
        members.append(
            ("meta", draw(objects([("versionId", '"77"'), ("source", '"urn:x"'), ("extension", draw(extensions()))])))
        )
    if draw(st.booleans()):
        members.append(("id", '"sent"'))
    shuffled = draw(st.permutations(members))
    inside = ",".join(
        f'{draw(SPACE)}"{name}"{draw(SPACE)}:{draw(SPACE)}{value}{draw(SPACE)}' for name, value in shuffled
    )
    return shuffled, draw(SPACE) + "{" + inside + "}" + draw(SPACE)  # fmt: skip


class Exact(str):
    """A number as written."""


def exact(raw: bytes | str) -> Any:
    """JSON with its member order and its numbers as they are written."""
    return json.loads(raw, object_pairs_hook=list, parse_float=Exact, parse_int=Exact)


def unset(pairs: list[Any]) -> list[Any]:
    """Without what the server sets: id, and in meta versionId and lastUpdated."""
    found = []
    for name, value in pairs:
        if name == "meta":
            value = [pair for pair in value if pair[0] not in ("versionId", "lastUpdated")]
        if name != "id" and value != []:
            found.append((name, value))
    return found


def spans(members: list[tuple[str, str]]) -> Iterator[bytes]:
    """What has to stand in the stored body byte for byte, in this order."""
    return (f'"{name}":{value}'.encode() for name, value in members if name not in ("id", "meta"))


def check_same(stored: bytes, members: list[tuple[str, str]], text: str) -> None:
    assert unset(exact(stored)) == unset(exact(text))
    at = 0
    for span in spans(members):
        at = stored.index(span, at) + len(span)


@EXAMPLES
@given(sent=observations())
async def test_a_created_resource_is_read_as_it_was_written(
    fhir: Fhir, sent: tuple[list[tuple[str, str]], str]
) -> None:
    members, text = sent
    response = await fhir.post("Observation", text.encode())
    id = done(response, 201)["id"]
    read = await fhir.get(f"Observation/{id}")
    assert read.content == response.content
    check_same(read.content, members, text)
    assert (await fhir.get(f"Observation/{id}/_history/1")).content == read.content
    for bundle in (f"Observation?_id={id}", f"Observation/{id}/_history"):
        assert b'"resource":' + read.content in (await fhir.get(bundle)).content
    again = await fhir.put(f"Observation/{id}", read.content)
    assert again.headers["etag"] == 'W/"1"', "sent as it was read, nothing has changed"


@EXAMPLES
@given(sent=observations(), space=SPACE)
async def test_a_transaction_stores_and_include_shows_it_as_it_was_written(
    fhir: Fhir, sent: tuple[list[tuple[str, str]], str], space: str
) -> None:
    members, text = sent
    urn = f"urn:uuid:00000000-0000-4000-8000-{next(_numbers):012}"
    report = (
        f'{{"resourceType":"DiagnosticReport","status":"final","code":{{"text":"x"}},'
        f'"result":[{{{space}"display":"1.00","reference"{space}:{space}"{urn}"}}],'
        f'"extension":[{{"url":"urn:x","valueDecimal":{space}1.00}}]}}'
    )
    body = (
        f'{{"resourceType":"Bundle","type":"transaction","entry":[{space}'
        f'{{"fullUrl":"{urn}","resource":{text},"request":{{"method":"POST","url":"Observation"}}}},'
        f'{{"resource":{report},"request":{{"method":"POST","url":"DiagnosticReport"}}}}]}}'
    )
    answer = done(await fhir.post("", body.encode(), prefer="return=representation"), 200)
    observation, diagnostic = ("/".join(e["response"]["location"].split("/")[:2]) for e in answer["entry"])
    read = (await fhir.get(observation)).content
    check_same(read, members, text)
    stored = (await fhir.get(diagnostic)).content
    assert f'"result":[{{{space}"display":"1.00","reference"{space}:{space}"{observation}"}}]'.encode() in stored
    assert f'"valueDecimal":{space}1.00'.encode() in stored
    query = f"DiagnosticReport?_id={diagnostic.split('/')[1]}&_include=DiagnosticReport:result"
    page = (await fhir.get(query)).content
    assert b'"resource":' + stored in page
    assert b'"resource":' + read in page


@pytest.mark.parametrize("number", ["1.00", "0.0", "-0.00", "12345678901234567890", "1.10e1", "0.1234567890123456789"])
async def test_decimals_survive_an_update_too(fhir: Fhir, mark: str, number: str) -> None:
    body = '{"resourceType":"Basic","id":"%s","code":{"text":"%s"},"extension":[{"url":"urn:x","valueDecimal":%s}]}'
    for text in ("a", "b"):
        done(await fhir.put(f"Basic/{mark}", (body % (mark, text, number)).encode()))
    assert f'"valueDecimal":{number}}}'.encode() in (await fhir.get(f"Basic/{mark}")).content
