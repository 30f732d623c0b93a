"""From bytes to HL7 v2 messages: delimiters, charsets, line ends, escapes, batches, line numbers."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.hl7v2 import ADAPTER
from adapters.hl7v2.delimiters import Delimiters, Escapes
from adapters.hl7v2.message import Line, Message

SAMPLES = Path(__file__).parents[2] / "adapters" / "samples" / "hl7v2"
HEADER = "MSH|^~\\&|HIS|TEST_HOSPITAL|||20240101||ADT^A01|1|P|2.4"


def read(text: str, charset: str = "utf-8") -> Message:
    (parsed,) = ADAPTER.parse(text.encode(charset), "")
    assert isinstance(parsed.record, Message)
    return parsed.record


def segment_names(text: str) -> list[str]:
    return [segment.name for segment in read(text).segments]


# ------------------------------------------------------------------------------------------------ line ends
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_every_line_end_gives_the_same_segments_and_line_numbers(end: str) -> None:
    message = read(end.join([HEADER, "EVN|A01", "PID|1||7"]) + end)
    assert [(segment.name, segment.line) for segment in message.segments] == [("MSH", 1), ("EVN", 2), ("PID", 3)]


def test_a_line_feed_inside_a_field_is_data_when_segments_end_with_carriage_returns() -> None:
    message = read(f"{HEADER}\rOBX|1|TX|R||first line\nsecond line||\rNTE|1||x\r")
    assert message.segments[1].value(5).whole == "first line\nsecond line"
    assert message.segments[2].line == 4


def test_mixed_line_ends_are_understood() -> None:
    assert segment_names(f"{HEADER}\rEVN|A01\nPID|1\r\nPV1|1\n") == ["MSH", "EVN", "PID", "PV1"]


def test_blank_lines_are_skipped_and_counted() -> None:
    assert [segment.line for segment in read(f"{HEADER}\n\nPID|1\n").segments] == [1, 3]


def test_a_line_that_is_no_segment_is_an_error_with_its_line() -> None:
    (parsed,) = ADAPTER.parse(f"{HEADER}\nPID|1||7\nP".encode(), "")
    assert [(p.severity, p.line) for p in parsed.problems] == [("error", 3)]


# ----------------------------------------------------------------------------------------------- delimiters
def test_delimiters_are_read_from_the_header() -> None:
    message = read("MSH$*!?@$HIS$$$$$$ADT*A01$1$P$2.4\rPID$1$$a*b@c!d*e$\r")
    field = message.segments[1].values(3)
    assert [(value.component(1), value.component(2), value.component(2, 2)) for value in field] == [
        ("a", "b", "c"),
        ("d", "e", ""),
    ]
    assert message.type == "ADT^A01"


def test_a_short_msh_2_means_that_the_other_delimiters_are_not_used() -> None:
    message = read("MSH|^~|HIS|||||ADT^A01|1|P|2.4\rPID|1||a&b\\F\\c\r")
    assert message.segments[1].value(3).component(1) == "a&b\\F\\c"


def test_a_fifth_character_of_msh_2_is_the_truncation_mark() -> None:
    message = read("MSH|^~\\&#|HIS|||||ADT^A01|1|P|2.7\rNTE|1||a\\P\\b\r")
    assert message.delimiters.truncation == "#"
    assert message.segments[1].value(3).whole == "a#b"


def test_null_is_not_the_same_as_absent() -> None:
    segment = read(f'{HEADER}\rPID|1||7|""||\r').segments[1]
    assert (segment.value(4).null, segment.value(4).whole, bool(segment.value(4))) == (True, "", True)
    assert (segment.value(5).null, segment.value(5).whole, bool(segment.value(5))) == (False, "", False)


def test_blanks_around_values_are_trimmed() -> None:
    assert read(f"{HEADER}\rPID|1||  7 ^  x  \r").segments[1].value(3).component(2) == "x"


# -------------------------------------------------------------------------------------------------- escapes
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"),
        ("one\\.br\\two\\.sp2\\three", "one\ntwo\n\nthree"),
        ("\\H\\bold\\N\\", "bold"),
        ("\\X41\\\\X0D0A\\", "A\r\n"),
        ("C:\\data\\new", "C:\\data\\new"),
        ("\\Zxy\\ and \\C2842\\", "\\Zxy\\ and \\C2842\\"),
        ("50\\ off \\T\\ more", "50\\ off & more"),
    ],
)
def test_escape_sequences_are_decoded_and_unknown_ones_kept(written: str, meant: str) -> None:
    assert Escapes(Delimiters(), "utf-8").decode(written) == meant


@pytest.mark.parametrize(("charset", "codes"), [("utf-8", "E782BA"), ("gb18030", "9EE9")])
def test_hexadecimal_escapes_are_of_the_message_charset(charset: str, codes: str) -> None:
    assert Escapes(Delimiters(), charset).decode(f"\\X{codes}\\") == "為"


@given(st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"])))
def test_any_text_survives_escaping(text: str) -> None:
    escapes = Escapes(Delimiters(), "utf-8")
    written = escapes.encode(text)
    assert not set("|^~&\r\n") & set(written)
    assert escapes.decode(written) == text


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_line_ends_become_line_breaks_in_escaped_text(text: str) -> None:
    escapes = Escapes(Delimiters(), "utf-8")
    assert escapes.decode(escapes.encode(text)) == text.replace("\r\n", "\n").replace("\r", "\n")


@given(st.lists(st.text('abc^~\\&|é中"\x0b', max_size=20), max_size=8))
def test_reading_any_segment_never_raises(fields: list[str]) -> None:
    message = Message([Line("MSH", HEADER, 1), Line("PID", "|".join(["PID", *fields]), 2)], "utf-8")
    segment = message.segments[1]
    for number in range(10):
        for value in segment.values(number):
            value.component(1), value.component(2, 2), value.whole, value.null
    assert isinstance(list(segment.leaves()), list)


# -------------------------------------------------------------------------------------------------- charset
def test_gb18030_ideographs_whose_second_byte_is_a_delimiter_stay_whole() -> None:
    content = (SAMPLES / "ADT_A08_gb18030.hl7").read_bytes()
    assert "珅".encode("gb18030")[1:] == b"|"
    assert "璡".encode("gb18030")[1:] == b"\\"
    (parsed,) = ADAPTER.parse(content, "")
    assert parsed.record.charset == "gb18030"
    assert parsed.record.first("PID").value(5).component(1) == "宋珅"
    assert parsed.record.first("PV1").value(7).component(2) == "尹璡"
    assert parsed.problems == []


@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=8))
def test_every_ideograph_survives_gb18030(name: str) -> None:
    # 珅 in front: a few words of GB18030 alone can be good UTF-8 too (联通), and then nobody can tell.
    message = read(f"{HEADER}\rPID|1||7||珅{name}^{name}\r", "gb18030")
    assert message.segments[1].value(5).component(1) == f"珅{name}"
    assert message.segments[1].value(5).component(2) == name


def test_bytes_that_contradict_msh_18_are_read_as_what_they_are_with_a_warning() -> None:
    (parsed,) = ADAPTER.parse(f"{HEADER}||||||UNICODE UTF-8\rPID|1||7||测试患者姓名\r".encode("gb18030"), "")
    assert parsed.record.segments[1].value(5).component(1) == "测试患者姓名"
    assert [(p.severity, p.field) for p in parsed.problems] == [("warning", "MSH-18")]


def test_a_byte_order_mark_is_no_hindrance() -> None:
    content = b"\xef\xbb\xbf" + HEADER.encode()
    assert ADAPTER.recognises(content, "")
    assert ADAPTER.parse(content, "")[0].record.type == "ADT^A01"


# -------------------------------------------------------------------------------------------------- batches
def test_a_batch_is_split_into_its_messages_with_their_own_bytes_and_lines() -> None:
    one, two = f"{HEADER}\rPID|1||7||李某\r", f"{HEADER}\rPID|1||8||王某\r"
    content = f"FHS|^~\\&|X\rBHS|^~\\&|X\r{one}{two}BTS|2\rFTS|1\r".encode("gb18030")
    first, second = ADAPTER.parse(content, "")
    assert first.raw == one.encode("gb18030")
    assert second.raw.startswith(two.encode("gb18030"))
    assert (first.line, second.line) == (3, 5)
    assert [segment.line for segment in second.record.segments] == [1, 2]
    assert first.problems == second.problems == []


def test_a_batch_that_counts_wrong_is_a_warning() -> None:
    (parsed,) = ADAPTER.parse(f"BHS|^~\\&|X\r{HEADER}\rBTS|3\r".encode(), "")
    assert [(p.severity, p.field) for p in parsed.problems] == [("warning", "BTS-1")]


def test_two_messages_in_one_frame_are_two_messages() -> None:
    assert len(ADAPTER.parse(f"{HEADER}\rPID|1||7\r{HEADER}\rPID|1||8\r".encode(), "")) == 2


def test_framed_messages_in_a_file_are_read() -> None:
    content = f"\x0b{HEADER}\rPID|1||7\r\x1c\r\x0b{HEADER}\rPID|1||8\r\x1c\r".encode()
    assert ADAPTER.recognises(content, "")
    assert [len(parsed.record.segments) for parsed in ADAPTER.parse(content, "")] == [2, 2]
    assert not any(parsed.problems for parsed in ADAPTER.parse(content, ""))


# ---------------------------------------------------------------------------------------------- recognition
@pytest.mark.parametrize("content", [b"", b"{}", b"<xml/>", b"MSHX", b"PID|1", b"MSH", "患者".encode()])
def test_other_content_is_not_recognised_and_gives_an_error_when_parsed(content: bytes) -> None:
    assert not ADAPTER.recognises(content, "x.hl7")
    (parsed,) = ADAPTER.parse(content, "")
    assert parsed.record is None
    assert [p.severity for p in parsed.problems if p.severity != "warning"] == ["error"]
    assert parsed.raw == content


@given(st.binary(max_size=200))
def test_parsing_any_bytes_never_raises_and_keeps_them(content: bytes) -> None:
    messages = ADAPTER.parse(b"MSH|^~\\&|" + content, "")
    assert messages
    if len(messages) == 1:
        assert messages[0].raw == b"MSH|^~\\&|" + content
    for parsed in messages:
        if parsed.record is not None:
            ADAPTER.map(parsed.record)


OPEN = "opens a batch or file; it is not closed: its end may be cut off"
HEAD = "FHS|^~\\&|X\r"
BATCH = f"BHS|^~\\&|X\r{HEADER}\rPID|1||7\r{HEADER}\rPID|1||8\rBTS|2\r"
WRONG = BATCH.replace("BTS|2", "BTS|4")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (f"{HEAD}{BATCH}{BATCH}FTS|2\r", []),
        (f"{HEAD}{BATCH}{BATCH}FTS|3\r", [("FTS-1", "the file says 3 batches and holds 2")]),
        (
            f"{HEAD}{BATCH}{BATCH.replace('BTS|2', 'BTS|4')}FTS|2\r",
            [("BTS-1", "the batch says 4 messages and holds 2")],
        ),
        (f"{HEAD}{BATCH}", [("FHS", f"FHS {OPEN}")]),
        (
            BATCH.removesuffix("BTS|2\r"),
            [("BHS", f"BHS {OPEN}")],
        ),
    ],
)
def test_the_counts_of_batches_and_files_are_checked(content: str, found: list[tuple[str, str]]) -> None:
    problems = [problem for parsed in ADAPTER.parse(content.encode(), "") for problem in parsed.problems]
    assert [(problem.field, problem.text) for problem in problems] == found
