"""The answers: AA, AE, AR; MSA-2 byte for byte; ERR with segment, field and line; charset and delimiters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Problem
from adapters.hl7v2 import ADAPTER
from adapters.hl7v2.ack import acknowledge, answer_code, is_acknowledgment
from adapters.hl7v2.message import Message

AT = "20240501120000+0800"


def message(text: str, charset: str = "utf-8") -> Message:
    (parsed,) = ADAPTER.parse(text.encode(charset), "")
    assert isinstance(parsed.record, Message)
    return parsed.record


HEADER = "MSH|^~\\&|HIS|A院|平台|B院|20240101||ADT^A01^ADT_A01|号7|P|2.5|||AL|NE|CHN|GBK"
ERROR = Problem("error", "value", "20230230 is not a date", "PID-7", 3)


def answer(text: str, code: str, problems: list[Problem], charset: str = "utf-8") -> list[list[str]]:
    found = message(text, charset)
    written = acknowledge(found, code, problems, AT, "N1").decode(found.charset)
    assert written.endswith("\r")
    return [line.split(found.delimiters.field) for line in written.rstrip("\r").split("\r")]


def test_an_acceptance_exchanges_the_sides_and_echoes_the_number() -> None:
    header, msa = answer(HEADER, "AA", [])
    assert header[:6] == ["MSH", "^~\\&", "平台", "B院", "HIS", "A院"]
    assert header[6:12] == [AT, "", "ACK^A01^ACK", "N1", "P", "2.5"]
    assert header[17] == "GBK"
    assert msa == ["MSA", "AA", "号7"]


def test_an_error_names_segment_field_and_line() -> None:
    _, msa, err = answer(HEADER + "\rEVN|A01\rPID|1", "AE", [ERROR, Problem("warning", "value", "only a doubt")])
    assert msa == ["MSA", "AE", "号7", "line 3, PID-7: 20230230 is not a date"]
    assert err[2:5] == ["PID^1^7^1", "102^Data type error^HL70357", "E"]
    assert err[7:] == ["line 3", "line 3, PID-7: 20230230 is not a date"]


def test_the_location_counts_segments_repetitions_and_components() -> None:
    text = HEADER + "\rDG1|1\rDG1|2"
    _, _, err = answer(text, "AE", [Problem("error", "code-invalid", "x", "DG1-3[2].4", 3)])
    assert err[2] == "DG1^2^3^2^4"


def test_special_characters_of_a_problem_are_escaped() -> None:
    _, msa, *_ = answer(HEADER, "AE", [Problem("error", "value", "a|b^c&d\r\n~", "PID-7")])
    assert msa[3] == "PID-7: a\\F\\b\\S\\c\\T\\d\\.br\\\\R\\"


def test_unreadable_bytes_get_an_answer_without_a_number() -> None:
    written = acknowledge(None, "AE", [Problem("error", "structure", "no message", line=1)], AT, "N1").decode()
    header, msa, err = (line.split("|") for line in written.rstrip("\r").split("\r"))
    assert (header[2], header[8], msa[1:3]) == ("TIERCARE", "ACK", ["AE", ""])
    assert err[3].startswith("100^")


def test_the_answer_speaks_in_the_senders_delimiters() -> None:
    header, msa = answer("MSH$*!?@$HIS$A$$$$$ADT*A01$9$P$2.4", "AA", [])
    assert header[1] == "*!?@"
    assert header[8] == "ACK*A01*ACK"
    assert msa == ["MSA", "AA", "9"]


@pytest.mark.parametrize("charset", ["utf-8", "gb18030"])
@given(
    number=st.text(st.characters(blacklist_characters="|\r\n\x0b\x1c\x00", blacklist_categories=["Cs"]), max_size=30)
)
def test_msa_2_is_byte_for_byte_msh_10(charset: str, number: str) -> None:
    content = f"MSH|^~\\&|珅璡|A|||||ADT^A01|{number}|P|2.4\rPID|1||7||测试患者".encode(charset)
    (parsed,) = ADAPTER.parse(content, "")
    if parsed.record.charset != charset:
        return  # the bytes are good UTF-8 too
    written = acknowledge(parsed.record, "AA", [], AT, "N1")
    assert written.split(b"\r")[1] == f"MSA|AA|{number}".encode(charset)


@pytest.mark.parametrize(
    ("problems", "again", "code"),
    [
        ([], False, "AA"),
        ([Problem("warning", "value", "x")], False, "AA"),
        ([ERROR], False, "AE"),
        ([Problem("error", "not-supported", "x", "MSH-9", 1)], False, "AR"),
        ([Problem("error", "transient", "x")], True, "AR"),
    ],
)
def test_the_code_says_whether_sending_again_helps(problems: list[Problem], again: bool, code: str) -> None:
    assert answer_code(problems, again) == code


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("MSH|^~\\&|A|B|||||ACK^A01|1|P|2.4\rMSA|AA|7", True),
        ("MSH|^~\\&|A|B|||||ORU^R01|1|P|2.4\rMSA|AA|7", True),
        (HEADER, False),
    ],
)
def test_answers_are_known_as_answers(text: str, own: bool) -> None:
    assert is_acknowledgment(message(text)) is own
