"""number: compared by value, as precisely as it was asked (https://hl7.org/fhir/R4/search.html#number).

Numbers become int64 that sort as they do, so that they lie in the same index as dates: the bits of the nearest IEEE
double, turned round below zero. Rounding never changes the order of two numbers, it can only make them equal, past
fifteen significant digits.
"""

import functools
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from server.errors import Invalid
from server.keys import SPAN, Span, Test
from server.search.kinds.kind import Add, Asked, Kind, Setting, unescape

LEAST, MOST = -(2**63 - 1), 2**63 - 1  # the ends of a range that has none
_FORM = re.compile(r"[+-]?\d{1,64}(?:\.\d{1,64})?(?:[eE][+-]?\d{1,4})?", re.ASCII)
_DOUBLE, _INT = struct.Struct(">d"), struct.Struct(">q")
_Bound = tuple[tuple[str, str, int], ...]


def place(number: float | Decimal) -> int:
    """Where a number stands among all: an int64 in the same order."""
    try:
        bits: int = _INT.unpack(_DOUBLE.pack(float(number) or 0.0))[0]
    except OverflowError:
        return MOST if number > 0 else LEAST
    return bits if bits >= 0 else -(bits & MOST)


def _number(value: Any, _: str, __: Setting, add: Add) -> None:
    at = place(value)
    add(("", "", at, at))


def _range(value: Any, _: str, __: Setting, add: Add) -> None:
    """A Range by its numbers, open where an end is missing (RiskAssessment.prediction.probabilityRange)."""
    low, high = ((value.get(end) or {}).get("value") for end in ("low", "high"))
    if low is not None or high is not None:
        ends = LEAST if low is None else place(low), MOST if high is None else place(high)
        add(("", "", min(ends), max(ends)))  # stores rely on low <= high


def split_prefix(value: str) -> tuple[str, str]:
    """`ge5.4` -> (`ge`, `5.4`); without a prefix `eq`."""
    return (value[:2], value[2:]) if value[:2] in _PREFIXES else ("eq", value)


@functools.lru_cache(4096)
def asked(text: str, name: str) -> tuple[Decimal, Decimal]:
    """(the number, half the width of what equals it): half a unit of its last digit, as search.html#number says.

    With an exponent and no fraction the specification's own example makes 1e2 the range 95 to 105: one digit more.
    """
    if not _FORM.fullmatch(text):
        raise Invalid(f"'{text}' is not a number: expected [eq|ne|gt|lt|ge|le|sa|eb|ap]5.4 or 1.2e-3", name)
    number = Decimal(text)
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    if "e" in text.lower() and "." not in text:
        exponent -= 1
    return number, Decimal(5).scaleb(exponent - 1)


def bounds(prefix: str, number: Decimal, half: Decimal) -> tuple[_Bound, ...]:
    """What a stored range low..high must meet (search.html#prefix), as alternatives. eq and ne go by the precision,
    ap by a tenth of the number where that is wider, the others by the number itself."""
    if prefix == "ap":
        half = max(half, abs(number) / 10)
    return between(prefix, number, number - half, number + half)


def between(prefix: str, number: Decimal, low: Decimal, high: Decimal) -> tuple[_Bound, ...]:
    """The same for a number whose precision is low..high."""
    return _PREFIXES[prefix](place(number), place(low), place(high))


_PREFIXES: dict[str, Callable[[int, int, int], tuple[_Bound, ...]]] = {
    "eq": lambda at, low, high: ((("low", ">=", low), ("low", "<", high), ("high", "<", high)),),
    "ne": lambda at, low, high: ((("low", "<", low),), (("high", ">=", high),)),
    "gt": lambda at, low, high: ((("high", ">", at),),),
    "lt": lambda at, low, high: ((("low", "<", at),),),
    "ge": lambda at, low, high: ((("high", ">=", at),),),
    "le": lambda at, low, high: ((("low", "<=", at),),),
    "sa": lambda at, low, high: ((("low", ">", at),),),
    "eb": lambda at, low, high: ((("high", "<", at),),),
    "ap": lambda at, low, high: ((("low", "<=", high), ("high", ">=", low)),),
}


def _test(asked_for: Asked, _: Setting) -> Test:
    prefix, text = split_prefix(unescape(asked_for.value))
    number, half = asked(text, asked_for.name)
    return Span(asked_for.param, bounds(prefix, number, half))


NUMBER = Kind(
    SPAN, {**dict.fromkeys(("decimal", "integer", "positiveInt", "unsignedInt"), _number), "Range": _range}, _test
)
