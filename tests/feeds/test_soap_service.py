"""The SOAP service: answers with the sender's own ids, faults, WSDL, damage; messages end in a real FHIR server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapters.delivery import Delivery, Target
from adapters.listeners.soap import SoapService
from adapters.regional_soap import ADAPTER
from adapters.runner import Conversion, convert
from tests import servers

GOLDEN = Path(__file__).parent / "cases" / "golden" / "regional_soap"
RECORDED = "2026-01-01T00:00:00Z"


def golden(name: str) -> bytes:
    return (GOLDEN / name / "input.xml").read_bytes()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.tiercare(tmp_path_factory.mktemp("soap")) as server:
        yield server.base


@pytest.fixture(scope="module")
def target(base: str) -> Iterator[Target]:
    found = Target(base)
    yield found
    found.close()


async def post(service: SoapService, content: bytes) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://hub.test") as client:
        return await client.post("/", content=content, headers={"content-type": "text/xml"})


def text(content: bytes, path: str) -> list[str]:
    root = etree.fromstring(content)
    found = root.xpath(path, namespaces={"v3": "urn:hl7-org:v3"})
    assert isinstance(found, list)
    return [str(value) for value in found]


async def test_a_stored_message_is_accepted_with_its_own_ids(target: Target, base: str) -> None:
    answer = await post(SoapService(target.deliver), golden("person_iso"))
    assert answer.status_code == 200
    assert etree.QName(etree.fromstring(answer.content)).localname == "PRPA_IN201312UV02"
    assert text(answer.content, "//v3:acknowledgement/@typeCode") == ["AA"]
    assert text(answer.content, "//v3:targetMessage/v3:id/@extension") == ["M-1"]
    assert text(answer.content, "//v3:receiver//@extension") == ["HIS1"]
    assert text(answer.content, "//v3:sender//@extension") == ["HUB"]
    found = httpx.get(f"{base}/Patient", params={"identifier": "urn:oid:2.16.156.10011.1.3|429900195603140175"}).json()
    assert [entry["resource"]["name"][0]["text"] for entry in found["entry"]] == ["苏映雪"]


async def test_an_update_in_the_classic_dialect_changes_the_same_patient(target: Target, base: str) -> None:
    service = SoapService(target.deliver)
    await post(service, golden("person_iso"))
    answer = await post(service, golden("person_classic_soap"))
    payload = text(answer.content, "//v3:payload/text()")
    assert len(payload) == 1 and 'typeCode="AA"' in payload[0] and "PRPA_IN201315UV02" in payload[0]
    found = httpx.get(f"{base}/Patient", params={"identifier": "urn:oid:2.16.156.10011.1.3|429900195603140175"}).json()
    (patient,) = [entry["resource"] for entry in found["entry"]]
    assert patient["telecom"][0]["value"] == "13800000009"


async def test_a_discharge_finishes_the_stay_of_the_admission(target: Target, base: str) -> None:
    service = SoapService(target.deliver)
    for name in ("admission", "discharge"):
        await post(service, golden(name))
    found = httpx.get(f"{base}/Encounter", params={"identifier": "ZY0001"}).json()
    assert [entry["resource"]["status"] for entry in found["entry"]] == ["finished"]


async def test_a_referral_by_soap_12_is_answered_in_soap_12(target: Target, base: str) -> None:
    answer = await post(SoapService(target.deliver), golden("referral"))
    assert answer.headers["content-type"].startswith("application/soap+xml")
    assert b"<code>AA</code>" in answer.content
    found = httpx.get(f"{base}/ServiceRequest", params={"identifier": "ZZ0009"}).json()
    assert len(found["entry"]) == 1


async def test_a_message_at_fault_is_refused_and_its_bytes_are_kept(target: Target, base: str) -> None:
    content = (
        golden("referral").replace(b"<zxjgdm>H9001</zxjgdm>", b"").replace("<zxjgmc>示例医院</zxjgmc>".encode(), b"")
    )
    answer = await post(SoapService(target.deliver), content)
    assert answer.status_code == 200
    assert b"<code>AE</code>" in answer.content and b"receiving institution" in answer.content
    kept = httpx.get(f"{base}/DocumentReference", params={"_tag": "not-converted"}).json()
    assert any("receiving institution" in entry["resource"]["description"] for entry in kept["entry"])


async def test_a_server_that_is_away_asks_to_send_again() -> None:
    answer = await post(SoapService(lambda _: Delivery("again")), golden("person_iso"))
    assert text(answer.content, "//v3:acknowledgement/@typeCode") == ["AR"]
    assert etree.QName(etree.fromstring(answer.content)).localname == "PRPA_IN201313UV02"


@pytest.mark.parametrize(
    "content",
    [
        b"<a",
        b"not xml",
        b'<!DOCTYPE a [<!ENTITY b "c">]><PRPA_IN201311UV02>&b;</PRPA_IN201311UV02>',
        b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>',
        b'<Envelope xmlns="urn:other"><Body><x/></Body></Envelope>',
    ],
)
async def test_what_is_no_message_gets_a_fault(content: bytes) -> None:
    kept: list[Conversion] = []

    def deliver(conversion: Conversion) -> Delivery:
        kept.append(conversion)
        return Delivery("stored")

    answer = await post(SoapService(deliver), content)
    assert answer.status_code == 500
    assert text(answer.content, "//faultcode/text()") == ["s:Client"]
    assert [conversion.parsed.raw for conversion in kept] == [content]


async def test_an_entity_bomb_is_refused_in_no_time() -> None:
    levels = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    content = f'<!DOCTYPE x [<!ENTITY a0 "ha">{levels}]><PRPA_IN201311UV02>&a11;</PRPA_IN201311UV02>'.encode()
    answer = await post(SoapService(lambda _: Delivery("stored")), content)
    assert answer.status_code == 500


async def test_an_unknown_service_is_refused_by_name() -> None:
    content = b'<PRPA_IN999999UV xmlns="urn:hl7-org:v3"><id root="1" extension="X-1"/></PRPA_IN999999UV>'
    answer = await post(SoapService(lambda _: Delivery("stored")), content)
    assert text(answer.content, "//v3:acknowledgement/@typeCode") == ["AE"]
    assert "PRPA_IN999999UV" in answer.text and "X-1" in answer.text


async def test_a_body_past_the_limit_is_refused() -> None:
    answer = await post(SoapService(lambda _: Delivery("stored"), body_bytes=100), golden("person_iso"))
    assert answer.status_code == 413


async def test_the_wsdl_names_the_operation_and_the_address() -> None:
    service = SoapService(lambda _: Delivery("stored"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://hub.test") as client:
        answer = await client.get("/hip?wsdl")
        assert (await client.put("/hip")).status_code == 405
        assert (await client.get("/hip")).status_code == 404
    assert answer.status_code == 200
    names = {"w": "http://schemas.xmlsoap.org/wsdl/"}
    root = etree.fromstring(answer.content)
    assert root.xpath("//w:portType/w:operation/@name", namespaces=names) == ["HIPMessageServer"]
    assert b'location="http://hub.test/hip"' in answer.content


def test_both_dialects_say_the_same() -> None:
    def patient(name: str) -> dict[str, Any]:
        (conversion,) = convert(golden(name), "x.xml", ADAPTER, RECORDED)
        found = [e["resource"] for e in conversion.transaction["entry"] if e["resource"]["resourceType"] == "Patient"]
        return {key: found[0][key] for key in ("name", "gender", "birthDate")}

    assert patient("person_iso") == patient("person_classic_soap")


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_the_bytes_decide_the_charset_whatever_is_declared(encoding: str) -> None:
    body = '<?xml version="1.0" encoding="GBK"?>' + golden("person_iso").decode()
    (conversion,) = convert(body.encode(encoding), "x.xml", ADAPTER, RECORDED)
    assert not conversion.failed
    assert "苏映雪" in str(conversion.transaction)


good = golden("person_iso")


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(good) - 1), st.binary(min_size=0, max_size=6), st.integers(0, 20))
def test_no_damage_to_a_message_makes_the_adapter_raise(at: int, put: bytes, cut: int) -> None:
    content = good[:at] + put + good[at + cut :]
    ADAPTER.recognises(content, "x.xml")
    for conversion in convert(content, "x.xml", ADAPTER, RECORDED):
        assert not any(problem.code == "exception" for problem in conversion.problems), conversion.problems


names = st.sampled_from(
    ["controlActProcess", "subject", "patient", "patientPerson", "id", "item", "name", "part", "addr", "code",
     "effectiveTime", "encounterEvent", "low", "high", "value", "observationDx", "placerGroup", "component2",
     "displayName"]
)  # fmt: skip
values = st.text(alphabet="abc123-/无<&\"'", max_size=6)
trees = st.recursive(
    st.tuples(
        names, st.dictionaries(st.sampled_from(["root", "extension", "value", "code", "xsi"]), values), st.just([])
    ),
    lambda inner: st.tuples(names, st.just({}), st.lists(inner, max_size=4)),
    max_leaves=12,
)


def built(tree: Any, parent: etree._Element) -> None:
    name, attributes, children = tree
    node = etree.SubElement(parent, name, attributes)
    for child in children:
        built(child, node)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        ["PRPA_IN201311UV02", "PRPA_IN400001UV", "POOR_IN200901UV", "PRSC_IN010101UV01", "ReferralRequest"]
    ),
    trees,
)
def test_no_tree_makes_the_mapping_break_off(service: str, tree: Any) -> None:
    root = etree.Element(service)
    built(tree, root)
    for conversion in convert(etree.tostring(root), "x.xml", ADAPTER, RECORDED):
        assert not any(problem.code == "exception" for problem in conversion.problems), conversion.problems
