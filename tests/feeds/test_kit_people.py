"""adapters.kit.people: names, identity numbers, codes of sex and marriage, phones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kit import people


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("周晓岚", {"text": "周晓岚", "family": "周", "given": ["晓岚"]}),
        ("欧阳启明", {"text": "欧阳启明", "family": "欧阳", "given": ["启明"]}),
        ("欧阳慧", {"text": "欧阳慧", "family": "欧阳", "given": ["慧"]}),
        ("王 芳", {"text": "王芳", "family": "王", "given": ["芳"]}),
        ("阿卜杜拉", {"text": "阿卜杜拉"}),
        ("买买提·艾力", {"text": "买买提·艾力"}),
        ("周*岚", {"text": "周*岚"}),
        ("Smith^John^Q", {"text": "John Q Smith", "family": "Smith", "given": ["John", "Q"]}),
        ("Smith, John", {"text": "John Smith", "family": "Smith", "given": ["John"]}),
        ("周^晓岚", {"text": "周晓岚", "family": "周", "given": ["晓岚"]}),
        ("周晓岚^^^", {"text": "周晓岚", "family": "周", "given": ["晓岚"]}),
        ("ZHOUXIAOLAN^周晓岚", {"text": "周晓岚", "family": "周", "given": ["晓岚"]}),
    ],
)
def test_a_name_keeps_its_text_and_is_split_when_that_is_safe(text: str, name: dict[str, object]) -> None:
    assert people.name(text) == name


@pytest.mark.parametrize("text", ["", " ", "-", "无", "NA", "^", "^^"])
def test_an_empty_form_is_no_name(text: str) -> None:
    assert people.name(text) is None


def test_an_identity_number_with_its_checksum_holds() -> None:
    assert people.resident_id_problem("11010519491231002X") == ""  # the example of GB 11643
    assert people.resident_id_problem("１１０１０５１９４９１２３１００２ｘ") == ""
    assert people.resident_id_problem("110105491231002") == ""


@pytest.mark.parametrize(
    ("number", "why"),
    [
        ("110105194912310021", "should be X"),
        ("11010519490230002X", "19490230"),
        ("00010519491231002X", "begin with 00"),
        ("1101051949123100", "18 characters"),
        ("patient 17", "18 characters"),
    ],
)
def test_what_is_wrong_with_an_identity_number_is_said(number: str, why: str) -> None:
    assert why in people.resident_id_problem(number)


@given(st.integers(0, 16), st.integers(1, 9))
def test_any_single_wrong_digit_of_an_identity_number_is_noticed(place: int, shift: int) -> None:
    good = "11010519491231002X"
    wrong = good[:place] + str((int(good[place]) + shift) % 10) + good[place + 1 :]
    assert people.resident_id_problem(wrong) != ""


@pytest.mark.parametrize(
    ("code", "gender"),
    [
        ("1", "male"),
        ("2", "female"),
        ("0", "unknown"),
        ("9", "unknown"),
        ("f", "female"),
        ("男", "male"),
        ("O", "other"),
    ],
)
def test_codes_of_sex_become_administrative_gender(code: str, gender: str) -> None:
    assert people.gender(code) == gender


def test_an_unknown_code_of_sex_is_none() -> None:
    assert people.gender("7") is None


def test_marital_status_keeps_what_has_no_code() -> None:
    assert people.marital("20") == {"coding": [{"system": people.MARITAL, "code": "M"}], "text": "已婚"}
    assert people.marital("90", "未说明") == {"text": "未说明"}
    assert people.marital("x7") == {"text": "X7"}
    assert people.marital("") is None


def test_a_mobile_number_is_marked() -> None:
    assert people.phone("138 0000 0044") == {"system": "phone", "value": "138 0000 0044", "use": "mobile"}
    assert people.phone("010-66000000") == {"system": "phone", "value": "010-66000000"}
    assert people.phone("无") is None
