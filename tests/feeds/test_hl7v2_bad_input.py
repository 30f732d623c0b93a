"""Bad HL7 v2: a clear problem that names field and line, nothing of the message written, the raw bytes kept."""

import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.contract import Problem
from adapters.hl7v2 import ADAPTER
from adapters.runner import Conversion, convert

SAMPLES = Path(__file__).parents[2] / "adapters" / "samples" / "hl7v2"
A01 = (SAMPLES / "ADT_A01.hl7").read_bytes()
REF = (SAMPLES / "REF_I12.hl7").read_bytes()


def converted(content: bytes) -> Conversion:
    (conversion,) = convert(content, "", ADAPTER, "2024-05-01T00:00:00Z")
    return conversion


def errors(conversion: Conversion) -> list[Problem]:
    return [problem for problem in conversion.problems if problem.severity in ("fatal", "error")]


def assert_only_the_raw_message_is_kept(conversion: Conversion, content: bytes) -> None:
    assert conversion.failed
    binary, document = (entry["resource"] for entry in conversion.transaction["entry"])
    assert base64.b64decode(binary["data"]) == content
    assert document["meta"]["tag"][0]["code"] == "not-converted"
    assert document["description"].startswith("not converted: ")


def changed(content: bytes, old: bytes, new: bytes) -> bytes:
    assert content.count(old) == 1
    return content.replace(old, new)


@pytest.mark.parametrize(
    ("content", "field", "line", "text"),
    [
        (A01.split(b"|ADT^A01")[0], "MSH-9", 1, "no message type"),
        (A01.split(b"\rPID")[0], "PID", 2, "the message has no PID segment"),
        (A01.split(b"|P00417733")[0], "PID-3", 3, "no identifier"),
        (changed(A01, b"|19640512|", b"|20230230|"), "PID-7", 3, "20230230 is not a date"),
        (changed(A01, b"^VN|||||||||||||||||||||||||2024", b"^VN|||||||||||||||||||||||||2O24"), "PV1-44", 5, "is not"),
        (changed(REF, b"PRD|RT", b"PRD|CP"), "PRD-1", 2, "names no receiver"),
        (changed(REF, b"RF1|", b"ZF1|"), "RF1", 1, "without an RF1"),
        (b"%PDF-1.7", "", 1, "begins with '%PDF-1.7'"),
        (b"", "", 1, "empty"),
    ],
)
def test_content_at_fault_is_an_error_with_its_place(content: bytes, field: str, line: int, text: str) -> None:
    conversion = converted(content)
    assert [(p.field, p.line) for p in errors(conversion)] == [(field, line)]
    assert text in errors(conversion)[0].text
    assert_only_the_raw_message_is_kept(conversion, content)


@pytest.mark.parametrize("cut", range(60, len(A01), 97))
def test_a_message_cut_off_anywhere_never_breaks_the_adapter(cut: int) -> None:
    conversion = converted(A01[:cut])
    assert all(problem.code != "exception" for problem in conversion.problems)
    assert conversion.transaction["entry"][0]["resource"]["resourceType"] == "Binary"


def test_a_failing_identity_card_checksum_is_a_warning_and_the_number_is_kept() -> None:
    conversion = converted(changed(A01, b"320507196405123011", b"320507196405123012"))
    assert not conversion.failed
    found = [p for p in conversion.problems if p.severity == "warning"]
    assert [(p.field, p.line) for p in found] == [("PID-3[2]", 3)]
    assert "checksum" in found[0].text
    patient = next(i.resource for i in conversion.mapped.items if i.resource["resourceType"] == "Patient")  # type: ignore[union-attr]
    assert patient["identifier"][0]["value"] == "320507196405123012"


def test_a_message_without_a_number_is_taken_with_a_warning() -> None:
    conversion = converted(changed(A01, b"|JN240306000117|", b"||"))
    assert not conversion.failed
    assert [p.field for p in conversion.problems if p.severity == "warning"] == ["MSH-10"]


def test_an_impossible_time_of_sending_does_not_stop_the_content() -> None:
    conversion = converted(changed(A01, b"|20240306093015+0800|", b"|20249999|"))
    assert not conversion.failed
    assert [p.field for p in conversion.problems if p.severity == "warning"] == ["MSH-7"]


def test_the_same_message_twice_is_the_same_transaction() -> None:
    assert converted(A01).transaction == converted(A01).transaction


def test_all_errors_of_a_message_are_found_at_once() -> None:
    content = changed(changed(A01, b"|19640512|", b"|19641332|"), b"|20240306101000+0800|", b"|20240306251000|")
    assert [p.field for p in errors(converted(content))] == ["PID-7", "DG1-5"]


@settings(max_examples=150)
@given(st.data())
def test_any_single_changed_byte_never_breaks_the_adapter(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from([A01, REF])))
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    for conversion in convert(bytes(content), "", ADAPTER, "2024-05-01T00:00:00Z"):
        assert [p.text for p in conversion.problems if p.code == "exception"] == []
