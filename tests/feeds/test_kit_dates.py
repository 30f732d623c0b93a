"""adapters.kit.dates: the date forms of legacy systems."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kit import dates


@pytest.mark.parametrize(
    ("text", "date", "date_time"),
    [
        ("2023", "2023", "2023"),
        ("202305", "2023-05", "2023-05"),
        ("20230512", "2023-05-12", "2023-05-12"),
        ("2023051209", "2023-05-12", "2023-05-12T09:00:00+08:00"),
        ("202305120930", "2023-05-12", "2023-05-12T09:30:00+08:00"),
        ("20230512093015", "2023-05-12", "2023-05-12T09:30:15+08:00"),
        ("20230512093015123", "2023-05-12", "2023-05-12T09:30:15.123+08:00"),
        ("20230512093015.1234+0800", "2023-05-12", "2023-05-12T09:30:15.1234+08:00"),
        ("20230512093015-0500", "2023-05-12", "2023-05-12T09:30:15-05:00"),
        ("2023-05", "2023-05", "2023-05"),
        ("2023-05-12", "2023-05-12", "2023-05-12"),
        ("2023/5/1", "2023-05-01", "2023-05-01"),
        ("2023.05.12", "2023-05-12", "2023-05-12"),
        ("2023/5/1 9:30", "2023-05-01", "2023-05-01T09:30:00+08:00"),
        ("2023-05-12 09:30:00.0", "2023-05-12", "2023-05-12T09:30:00.0+08:00"),
        ("2023-05-12T09:30:15Z", "2023-05-12", "2023-05-12T09:30:15Z"),
        ("2023-05-12T09:30:15.5+08:00", "2023-05-12", "2023-05-12T09:30:15.5+08:00"),
        ("2016-12-31T23:59:60Z", "2016-12-31", "2016-12-31T23:59:60Z"),
        ("2023年5月1日", "2023-05-01", "2023-05-01"),
        ("2023年5月", "2023-05", "2023-05"),
        ("2023年5月1日 9时30分", "2023-05-01", "2023-05-01T09:30:00+08:00"),
        ("２０２３－０５－１２", "2023-05-12", "2023-05-12"),
    ],
)
def test_a_date_form_of_the_field_becomes_a_fhir_date(text: str, date: str, date_time: str) -> None:
    assert (dates.date(text), dates.date_time(text)) == (date, date_time)


@pytest.mark.parametrize("text", ["", " ", "-", "/", "无", "0000-00-00", "0000-00-00 00:00:00", "00000000"])
def test_an_empty_form_is_no_date(text: str) -> None:
    assert dates.date(text) == dates.date_time(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-30",
        "20231301",
        "2023051225",
        "202305126030",
        "2023-0512",
        "12/05/2023",
        "2023-05/12",
        "abc",
        "1683856200",
        "20230512093015+9900",
        "2023-5-",
    ],
)
def test_an_impossible_date_is_an_error_that_quotes_it(text: str) -> None:
    with pytest.raises(ValueError, match="is not a date") as raised:
        dates.date_time(text)
    assert text in str(raised.value)
    with pytest.raises(ValueError, match="is not a date"):
        dates.date(text)


def test_a_caller_may_give_another_zone() -> None:
    assert dates.date_time("202305120930", "Z") == "2023-05-12T09:30:00Z"


def test_an_instant_needs_a_time() -> None:
    assert dates.instant("2023-05-12") == ""
    assert dates.instant("2023-05-12 08:00") == "2023-05-12T08:00:00+08:00"


@given(st.datetimes(min_value=datetime.datetime(1000, 1, 1)))
def test_compact_and_spelled_out_forms_of_a_moment_agree(at: datetime.datetime) -> None:
    at = at.replace(microsecond=0)
    compact, spelled = f"{at:%Y%m%d%H%M%S}", f"{at.year}/{at.month}/{at.day} {at.hour}:{at.minute}:{at.second}"
    assert dates.date_time(compact) == dates.date_time(spelled) == f"{at.isoformat()}+08:00"


@given(st.text(max_size=24))
def test_any_text_is_a_date_or_a_value_error(text: str) -> None:
    try:
        found = dates.date_time(text)
    except ValueError:
        return
    assert found == "" or found[:4].isdigit()
