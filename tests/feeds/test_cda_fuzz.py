"""CDA that somebody or something has damaged: whatever comes in, the adapter answers, and keeps the raw bytes."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.cda import ADAPTER
from adapters.runner import Conversion
from adapters.wire import to_json
from server.validation.structure import check
from tests.feeds.cases.cda_builder import convert_one, document, observation, one, resources, section, told
from tests.feeds.cases.cda_types import DOCUMENTS

CCD = (Path(__file__).parent / "cases" / "cda" / "ccd.xml").read_bytes()
SEEDS = [*DOCUMENTS.values(), CCD]
FUZZ = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
VALUES = st.one_of(
    st.sampled_from(
        (
            *("", "-", "/", "无", "NA", "0000-00-00", "99999999999999", "20230230", "1e9", "NaN", "١٢", "null"),
            *(
                "患者ID",
                "2.16.156.10011.1.3",
                "DE02.Ol.015.00",
                "DE9999999",
                "x" * 5000,
                "－１",
                "\u202e",
                "𠮷",
                "#al1",
            ),
        )
    ),
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=30),
)


def sound(conversion: Conversion, content: bytes) -> None:
    """No exception inside, the raw bytes kept, and every resource fit for a server."""
    assert [p.text for p in conversion.problems if p.code == "exception"] == []
    bundle = json.loads(to_json(conversion.transaction))
    assert base64.b64decode(bundle["entry"][0]["resource"]["data"]) == content
    for entry in bundle["entry"]:
        assert check(entry["resource"]) == [], entry["resource"]["resourceType"]


@FUZZ
@given(st.data())
def test_any_value_in_any_place_is_survived(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SEEDS)).decode()
    quotes = [index for index, character in enumerate(text) if character == '"']
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(3, len(quotes) // 2 - 2)) * 2
        value = data.draw(VALUES).replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
        text = text[: quotes[start] + 1] + value + text[quotes[start + 1] :]
        quotes = [index for index, character in enumerate(text) if character == '"']
    content = text.encode()
    sound(convert_one(content), content)


@FUZZ
@given(st.data())
def test_any_element_lost_doubled_or_renamed_is_survived(data: st.DataObject) -> None:
    lines = data.draw(st.sampled_from(SEEDS)).decode().replace("><", ">\n<").split("\n")
    kept = []
    for number, line in enumerate(lines):
        closed = line.strip().endswith("/>")
        action = data.draw(st.integers(0, 30)) if closed and number > 5 else 99
        if action == 0:
            continue
        kept.append(line.replace("value", "valve", 1) if action == 1 else line)
        if action == 2:
            kept.append(line)
    content = "\n".join(kept).encode()
    sound(convert_one(content), content)


@FUZZ
@given(st.sampled_from(SEEDS), st.data())
def test_any_bytes_cut_or_changed_are_survived(seed: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(seed) - 1))
    content = seed[:at] + data.draw(st.binary(max_size=6)) + seed[at + data.draw(st.integers(0, 40)) :]
    ADAPTER.recognises(content, "x.xml")
    sound(convert_one(content), content)


# ------------------------------------------------------------------------------- damage found in real documents
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('<?xml version="1.0" encoding="UTF-8"?>', '<? xml version="1.0" encoding="UTF-8"?>'),
        ("xmlns:xsi", "xmIns:xsi"),
        ('" codeSystem="2.16.156.10011.2.4"', '"codeSystem="2.16.156.10011.2.4"'),
        ("卢婉清", "卢\x02婉清"),
        ("xsi:type", "xsl:type"),
    ],
)
def test_markup_broken_as_vendors_break_it_is_refused_with_its_place(old: str, new: str) -> None:
    text = DOCUMENTS["C0002"].decode()
    assert old in text
    content = text.replace(old, new).encode()
    conversion = convert_one(content)
    (problem,) = told(conversion, "fatal")
    assert problem.line is not None
    assert problem.column is not None
    sound(conversion, content)


@pytest.mark.parametrize("written", ["DE04.10.I74.00", "DE04.1O.174.00", "DE 04.10.174.00", "DE4.10.174.00"])
def test_slips_in_a_data_element_are_mended(written: str) -> None:
    pressure = observation(written, '<value xsi:type="PQ" value="150" unit="mmHg"/>', "收缩压")
    conversion = convert_one(document(section("8716-3", pressure)))
    codes = [c["code"] for o in resources(conversion, "Observation") for c in o["code"]["coding"]]
    assert "8480-6" in codes
    assert [p.code for p in told(conversion, "information") if "is read as" in p.text] == ["code-invalid"]


@pytest.mark.parametrize("at", ["2024-03-13 10:15:00", "2024/3/13 10:15", "20240313101500", "2024年3月13日10:15"])
def test_a_documents_time_in_any_form_of_the_field_is_read(at: str) -> None:
    content = DOCUMENTS["C0002"].decode().replace('effectiveTime value="20240313101500"', f'effectiveTime value="{at}"')
    assert one(convert_one(content.encode()), "Composition")["date"] == "2024-03-13T10:15:00+08:00"


@pytest.mark.parametrize("oid", ["2.16.156.10011.2.3.3.11", "2.16.156.10011.2.3.3.11.3", "2.16.156.10011.2.3.3.11.5"])
def test_every_oid_of_icd_10_is_one_system(oid: str) -> None:
    content = DOCUMENTS["C0004"].decode().replace("2.16.156.10011.2.3.3.11.5", oid).encode()
    assert one(convert_one(content), "Condition")["code"]["coding"][0]["system"] == "http://hl7.org/fhir/sid/icd-10"


def test_one_unreadable_date_does_not_cost_a_whole_summary() -> None:
    content = CCD.replace(b'<low value="20080512"/>', b'<low value="200805123"/>', 2)
    conversion = convert_one(content)
    assert not conversion.failed
    assert {p.text for p in told(conversion, "warning")} == {"200805123 is not a date (low): left out"}
    assert "onsetDateTime" not in resources(conversion, "Condition")[0]
    sound(conversion, content)
