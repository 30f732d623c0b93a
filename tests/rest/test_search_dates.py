"""search by date: every prefix on every precision, points and periods, against the specification's own words
(https://hl7.org/fhir/R4/search.html#prefix, #date)."""

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.client import Fhir, done, refused

CHINA = timezone(timedelta(hours=8))
MICRO = timedelta(microseconds=1)
TAG = "dates"

STORED = {
    "year": "2024",
    "month": "2024-05",
    "day": "2024-05-17",
    "minute0": "2024-05-17T08:30:00+08:00",
    "utc": "2024-05-17T00:30:00Z",
    "other-zone": "2024-05-16T18:30:00-06:00",
    "late": "2024-05-17T23:59:59+08:00",
    "next": "2024-05-18T00:00:00+08:00",
    "milli": "2024-05-17T08:30:00.500+08:00",
    "before": "2023-12-31",
    "leap": "2024-02-29",
    "old": "1949-10-01",
    "far": "9999-12-31",
    "far-month": "9999-12",
    "far-year": "9999",
}
PERIODS = {
    "within": ("2024-05-17T08:00:00+08:00", "2024-05-17T09:00:00+08:00"),
    "days": ("2024-05-16", "2024-05-18"),
    "one-day": ("2024-05-17", "2024-05-17"),
    "open-end": ("2024-05-17", None),
    "open-start": (None, "2024-05-17"),
    "past": ("2020", "2021"),
    "for-ever": ("2024-05-01", "9999-12-31"),
    "backwards": ("2024-05-18T10:00:00+08:00", "2024-05-16T10:00:00+08:00"),
}
ASKED = (
    "2024",
    "2024-05",
    "2024-05-17",
    "2024-05-17T08:30",
    "2024-05-17T08:30+08:00",
    "2024-05-17T08:30:00+08:00",
    "2024-05-17T00:30:00Z",
    "2024-05-17T08:30:00.5+08:00",
    "2024-02-29",
    "2023",
    "9999-12-31",
    "0001-01-01",
)
PREFIXES = ("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
EVER = datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), datetime.max.replace(tzinfo=UTC)
Range = tuple[datetime, datetime]


def span(text: str) -> Range:
    """First and last instant of a date, by the words of the specification; without a zone it is China's."""
    date, _, time = text.partition("T")
    if not time:
        year, month, day = (*(int(part) for part in date.split("-")), 0, 0)[:3]
        last = day or monthrange(year, month or 12)[1]
        end = datetime(year, month or 12, last, 23, 59, 59, 999999, tzinfo=CHINA)
        return datetime(year, month or 1, day or 1, tzinfo=CHINA), end
    found = re.fullmatch(r"(\d\d:\d\d)(:\d\d)?(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?", time)
    assert found
    clock, second, fraction, zone = found.groups()
    start = datetime.fromisoformat(f"{date}T{clock}{second or ''}{(zone or '+08:00').replace('Z', '+00:00')}")
    if fraction:
        start += timedelta(seconds=int(fraction) / 10 ** len(fraction))
        return start, start + timedelta(seconds=10 ** -len(fraction)) - MICRO
    return start, start + timedelta(seconds=1 if second else 60) - MICRO


def period(start: str | None, end: str | None) -> Range:
    first, last = span(start)[0] if start else EVER[0], span(end)[1] if end else EVER[1]
    return min(first, last), max(first, last)


def _inside(asked: Range, target: Range) -> bool:
    return asked[0] <= target[0] and target[1] <= asked[1]


MEANING: dict[str, Callable[[Range, Range], bool]] = {
    # "the range of the search value fully contains the range of the target value"
    "eq": _inside,
    "ne": lambda asked, target: not _inside(asked, target),
    # "the range above the search value intersects the range of the target value"
    "gt": lambda asked, target: target[1] > asked[1],
    "lt": lambda asked, target: target[0] < asked[0],
    "ge": lambda asked, target: target[1] > asked[1] or _inside(asked, target),
    "le": lambda asked, target: target[0] < asked[0] or _inside(asked, target),
    # "the range of the search value does not overlap, and the range above contains the target"
    "sa": lambda asked, target: target[0] > asked[1],
    "eb": lambda asked, target: target[1] < asked[0],
}


@pytest.fixture(scope="module", autouse=True)
async def stored(fhir: Fhir) -> None:
    resources = [
        {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "id": f"{TAG}-{id}",
         "meta": {"tag": [{"code": TAG}]}, **effective}
        for id, effective in {
            **{id: {"effectiveDateTime": text} for id, text in STORED.items()},
            **{
                id: {"effectivePeriod": {k: v for k, v in (("start", start), ("end", end)) if v}}
                for id, (start, end) in PERIODS.items()
            },
        }.items()
    ]  # fmt: skip
    await fhir.store(*resources)


async def found(fhir: Fhir, query: str) -> set[str]:
    return {id.removeprefix(f"{TAG}-") for id in await fhir.ids(f"Observation?{query}&_tag={TAG}&_count=100")}


@pytest.mark.parametrize("asked", ASKED)
async def test_every_prefix_finds_what_the_specification_says(fhir: Fhir, asked: str) -> None:
    ranges = {id: span(text) for id, text in STORED.items()} | {id: period(*ends) for id, ends in PERIODS.items()}
    for prefix in PREFIXES:
        meaning = MEANING[prefix or "eq"]
        expected = {id for id, target in ranges.items() if meaning(span(asked), target)}
        assert await found(fhir, f"date={prefix}{asked.replace('+', '%2B')}") == expected, prefix


async def test_alternatives_and_ranges(fhir: Fhir) -> None:
    ranges = {id: span(text) for id, text in STORED.items()} | {id: period(*ends) for id, ends in PERIODS.items()}
    asked = [("ge", "2024-05-18"), ("lt", "2024-06")]
    both = {id for id, target in ranges.items() if all(MEANING[how](span(at), target) for how, at in asked)}
    assert "next" in both
    assert await found(fhir, "date=ge2024-05-18&date=lt2024-06") == both
    assert await found(fhir, "date=1949-10-01,2024-02-29") == {"old", "leap"}
    assert await found(fhir, "date=sa2024-05-17&date=eb2024-05-19") == {"next"}


async def test_approximately_is_near(fhir: Fhir, mark: str) -> None:
    now = datetime.now(UTC)
    for id, at in (("near", now - timedelta(hours=5)), ("far", now - timedelta(days=400))):
        await fhir.store(
            {"resourceType": "Observation", "id": f"{mark}{id}", "status": "final", "code": {"text": "x"},
             "effectiveDateTime": at.isoformat(timespec="seconds"), "identifier": [{"value": mark}]}
        )  # fmt: skip
    assert await fhir.ids(f"Observation?identifier={mark}&date=ap{now:%Y-%m-%d}") == [f"{mark}near"]


async def test_a_date_without_zone_is_local_to_the_setting(fhir: Fhir, mark: str) -> None:
    await fhir.store({"resourceType": "Patient", "id": mark, "birthDate": "2000-01-01"})
    assert await fhir.ids(f"Patient?_id={mark}&birthdate=2000-01-01T00:00:00%2B08:00") == []
    assert await fhir.ids(f"Patient?_id={mark}&birthdate=ge1999-12-31T16:00:00Z") == [mark]
    assert await fhir.ids(f"Patient?_id={mark}&birthdate=sa1999-12-31T16:00:00Z") == []
    assert await fhir.ids(f"Patient?_id={mark}&birthdate=sa1999-12-31T15:59:59Z") == [mark]


async def test_last_updated_finds_by_the_time_of_the_last_write(fhir: Fhir, mark: str) -> None:
    resource = {"resourceType": "Basic", "id": mark, "code": {"text": "x"}}
    at = done(await fhir.put(f"Basic/{mark}", resource))["meta"]["lastUpdated"]
    moment = datetime.fromisoformat(at)
    rows = {
        at: True,
        f"eq{at}": True,
        f"ne{at}": False,
        f"gt{at}": False,
        f"lt{at}": False,
        f"ge{at}": True,
        f"le{at}": True,
        f"sa{at}": False,
        f"eb{at}": False,
        f"{moment:%Y-%m-%dT%H:%M}Z": True,
        f"{moment.astimezone(CHINA):%Y-%m-%d}": True,
        f"gt{(moment - timedelta(milliseconds=1)).isoformat()}".replace("+", "%2B"): True,
        f"lt{(moment + timedelta(milliseconds=1)).isoformat()}".replace("+", "%2B"): True,
        f"gt{(moment + timedelta(days=1)):%Y-%m-%d}": False,
        f"ne{(moment - timedelta(days=3)):%Y-%m-%d}": True,
        "ge1970,lt1970": True,
        "lt1970": False,
        "0001": False,
        "gt9999": False,
        "lt9999-12-31": True,
    }
    for asked, expected in rows.items():
        assert bool(await fhir.ids(f"Basic?_id={mark}&_lastUpdated={asked}")) == expected, asked


@pytest.mark.parametrize(
    "text",
    ["x", "2024-13", "2024-02-30", "24-01-01", "2024-1-1", "2024-05-17T25:00", "2024-05-17T08", "20240517",
     "ge", "2024-05-17 08:30", "xx2024", "2024-05-17T08:30:00.+08:00", "２０２４", "0000", "10000", ""],
)  # fmt: skip
async def test_what_is_no_date_is_refused_by_name(face: Fhir, text: str) -> None:
    for name in ("birthdate", "_lastUpdated"):
        issue = refused(await face.get(f"Patient?{name}={text.replace('+', '%2B')}"), 400)
        assert issue["expression"] == [name]


async def test_impossible_dates_in_a_body_are_refused_and_the_last_day_is_not(face: Fhir) -> None:
    for text in ("2024-02-30", "2023-02-29", "2024-00-01", "0000", "2024-5-1", "2024-05-17T08:30", ""):
        body = {"resourceType": "Patient", "birthDate": text}
        assert refused(await face.post("Patient", body), 400)["expression"] == ["Patient.birthDate"], text
    for text in ("9999-12-31", "9999-12", "9999", "0001-01-01", "0001", "1582-10-10"):
        await face.create({"resourceType": "Patient", "birthDate": text})
    for text in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2016-12-31T23:59:60Z"):
        await face.create({"resourceType": "Patient", "deceasedDateTime": text})
