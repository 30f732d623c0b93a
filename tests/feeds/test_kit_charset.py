"""adapters.kit.charset: what bytes are read as, whatever is declared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kit.charset import decode

TRAIL_BYTES = "珅|瑋^珇~琝\\璡東乗"  # second bytes are those of | ^ ~ \ in GBK


@pytest.mark.parametrize("declared", ["", "UTF-8", "UNICODE UTF-8", "UNICODE", "utf8"])
def test_utf8_is_read_as_utf8_without_a_warning(declared: str) -> None:
    assert decode("中文".encode(), declared) == decode("中文".encode())
    assert (decode("中文".encode(), declared).text, decode("中文".encode(), declared).warning) == ("中文", "")


def test_a_byte_order_mark_is_dropped() -> None:
    assert decode(b"\xef\xbb\xbfabc").text == "abc"


@pytest.mark.parametrize("declared", ["", "GB 18030-2000", "GB18030-2000", "gbk", "GB2312"])
def test_gbk_bytes_that_look_like_delimiters_stay_inside_their_characters(declared: str) -> None:
    decoded = decode(TRAIL_BYTES.encode("gb18030"), declared)
    assert (decoded.text, decoded.charset, decoded.warning) == (TRAIL_BYTES, "gb18030", "")


def test_a_declaration_that_the_bytes_contradict_is_a_warning_that_names_both() -> None:
    decoded = decode("诊断".encode("gb18030"), "UNICODE UTF-8")
    assert decoded.text == "诊断"
    assert "UNICODE UTF-8" in decoded.warning and "GB18030" in decoded.warning


def test_an_unknown_declaration_is_a_warning_unless_all_is_ascii() -> None:
    assert "KOI8" in decode("诊断".encode(), "KOI8").warning
    assert decode(b"abc", "KOI8").warning == ""
    assert "ISO IR87" in decode(b"\x1b$Babc\x1b(B", "ISO IR87").warning


def test_lone_high_bytes_under_a_declared_latin_1_are_latin_1() -> None:
    assert decode(b"Andr\xe9 M\xfcller", "8859/1").text == "André Müller"


def test_bytes_of_no_known_charset_are_read_with_a_warning() -> None:
    decoded = decode(b"\xff\xff\xff\xffabc")
    assert decoded.charset == "iso-8859-1" and "neither" in decoded.warning


def test_utf_16_is_named_in_the_warning() -> None:
    assert "UTF-16" in decode("诊断 abc".encode("utf-16")).warning


@pytest.mark.parametrize("charset", ["utf-8", "gb18030"])
def test_a_cut_off_last_character_does_not_spoil_the_rest(charset: str) -> None:
    decoded = decode("转诊记录".encode(charset)[:-1])
    assert decoded.text == "转诊记\ufffd"
    assert (decoded.charset, "cut off" in decoded.warning) == (charset, True)


@given(st.text())
def test_every_utf8_text_comes_back(text: str) -> None:
    assert decode(b"\xef\xbb\xbf" + text.encode()).text == text


@given(st.text(alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=3))
def test_chinese_in_gb18030_is_never_reported_as_something_else_when_declared(text: str) -> None:
    decoded = decode(text.encode("gb18030"), "GB18030")
    assert decoded.charset in ("gb18030", "utf-8")
    assert decoded.text == text or decoded.warning  # a few GBK pairs are also UTF-8: then the warning says so
