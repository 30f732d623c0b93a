"""date: every date is a range of microseconds, as wide as its precision (https://hl7.org/fhir/R4/search.html#date)."""

import functools
import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from server.errors import Invalid
from server.keys import SPAN, Span, Test
from server.search.kinds.kind import Add, Asked, Kind, Setting, unescape

EARLIEST, LATEST = -(2**62), 2**62  # the ends of a period that has none
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_FORM = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)
_SECOND = 1_000_000
_Bound = tuple[tuple[str, str, int], ...]


@functools.lru_cache(16_384)
def instants(text: str, zone: tzinfo) -> tuple[int, int]:
    """First and last microsecond (since 1970-01-01T00:00Z) of a FHIR date, dateTime or instant; minutes are enough.

    A text without zone is local to `zone`. Raises ValueError.
    """
    found = _FORM.fullmatch(text)
    if not found:
        raise ValueError(text)
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    # a leap second (60) counts as the second before it: datetime has none
    start = datetime(
        int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), min(int(second or 0), 59)
    )
    if offset:
        start = start.replace(tzinfo=UTC) if offset == "Z" else datetime.fromisoformat(f"{start.isoformat()}{offset}")
    else:
        start = start.replace(tzinfo=zone)
    low = (start - _EPOCH) // _MICRO
    if fraction:
        micro = int(fraction[:6].ljust(6, "0"))
        return low + micro, low + micro + 10 ** max(0, 6 - len(fraction)) - 1
    if second:
        return low, low + _SECOND - 1
    if hour:
        return low, low + 60 * _SECOND - 1
    if start.year == 9999 and (start.month == 12 or not month):  # what follows is past the calendar of datetime
        return low, low + (1 if day else 31 if month else 365) * 86_400 * _SECOND - 1
    if day:
        end = start + timedelta(days=1)
    elif month:
        end = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    else:
        end = start.replace(year=start.year + 1)
    return low, (end - _EPOCH) // _MICRO - 1


def _point(value: Any, _: str, setting: Setting, add: Add) -> None:
    add(("", "", *instants(value, setting.zone)))


def _period(value: Any, _: str, setting: Setting, add: Add) -> None:
    found = _ends(value, setting)
    if found:
        add(("", "", *found))


def _ends(period: Any, setting: Setting) -> tuple[int, int] | None:
    """First and last microsecond of a Period, open ends as far as can be; None when it has neither.

    One that ends before it starts is a range all the same: stores rely on low <= high.
    """
    start, end = period.get("start"), period.get("end")
    if not start and not end:
        return None
    low = instants(start, setting.zone)[0] if start else EARLIEST
    high = instants(end, setting.zone)[1] if end else LATEST
    return min(low, high), max(low, high)


def _timing(value: Any, _: str, setting: Setting, add: Add) -> None:
    """A Timing covers all its events, and its bounds when they are a Period."""
    ranges = [instants(event, setting.zone) for event in value.get("event") or () if event]
    bounds = (value.get("repeat") or {}).get("boundsPeriod")
    whole = _ends(bounds, setting) if bounds else None
    if whole:
        ranges.append(whole)
    if ranges:
        add(("", "", min(low for low, _ in ranges), max(high for _, high in ranges)))


def _test(asked: Asked, setting: Setting) -> Test:
    prefix, text = split_prefix(unescape(asked.value))
    try:
        low, high = instants(text, setting.zone)
    except (ValueError, OverflowError) as error:
        raise Invalid(
            f"'{asked.value}' is not a date: expected [eq|ne|gt|lt|ge|le|sa|eb|ap]yyyy[-mm[-dd[Thh:mm[:ss][zone]]]]",
            asked.name,
        ) from error
    return Span(asked.param, bounds(prefix, low, high))


def split_prefix(value: str) -> tuple[str, str]:
    """`ge2024` -> (`ge`, `2024`); without a prefix `eq`."""
    if value[:2] in _PREFIXES:
        return value[:2], value[2:]
    return "eq", value


def bounds(prefix: str, a: int, b: int) -> tuple[_Bound, ...]:
    """What a stored range low..high must meet for a search range a..b (search.html#prefix), as alternatives."""
    return _PREFIXES[prefix](a, b)


def _approximately(a: int, b: int) -> tuple[_Bound, ...]:
    """Within a tenth of the distance from now to the date, as the specification suggests; at least a day."""
    now = (datetime.now(UTC) - _EPOCH) // _MICRO
    slack = max(abs(now - (a + b) // 2) // 10, 86_400 * _SECOND)
    return ((("low", "<=", b + slack), ("high", ">=", a - slack)),)


_PREFIXES = {
    # within the searched range; the implied bounds let an index narrow both sides
    "eq": lambda a, b: ((("low", ">=", a), ("low", "<=", b), ("high", "<=", b)),),
    "ne": lambda a, b: ((("low", "<", a),), (("high", ">", b),)),
    "gt": lambda a, b: ((("high", ">", b),),),
    "lt": lambda a, b: ((("low", "<", a),),),
    "ge": lambda a, b: ((("high", ">", b),), (("low", ">=", a), ("high", "<=", b))),
    "le": lambda a, b: ((("low", "<", a),), (("low", ">=", a), ("high", "<=", b))),
    "sa": lambda a, b: ((("low", ">", b),),),
    "eb": lambda a, b: ((("high", "<", a),),),
    "ap": _approximately,
}

DATE = Kind(
    SPAN,
    {"date": _point, "dateTime": _point, "instant": _point, "Period": _period, "Timing": _timing},
    _test,
)
