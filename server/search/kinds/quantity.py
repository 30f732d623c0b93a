"""quantity: a number with a unit, compared in one measure where UCUM has one
(https://hl7.org/fhir/R4/search.html#quantity).

A Quantity is indexed under several units: '' for searches without one, `|code` and `|unit` for those without a system,
and either `=base` (its amount in UCUM's base units) or `system|code`.
"""

from decimal import Decimal
from typing import Any

from server.errors import Invalid
from server.keys import SPAN, Span, Test
from server.search.kinds import number, units
from server.search.kinds.kind import Add, Asked, Kind, Setting, split, unescape
from server.search.kinds.number import LEAST, MOST, place

_CURRENCY = "urn:iso:std:iso:4217"  # system of Money.currency (datatypes.html#money)
_OPEN = {"<": (True, False), "<=": (True, False), ">": (False, True), ">=": (False, True)}


def _quantity(value: Any, _: str, __: Setting, add: Add) -> None:
    amount = value.get("value")
    if amount is not None:
        below, above = _OPEN.get(value.get("comparator"), (False, False))
        _add(value, None if below else amount, None if above else amount, add)


def _range(value: Any, _: str, __: Setting, add: Add) -> None:
    """A Range, open where an end is missing; both ends have one unit (datatypes.html#range)."""
    low, high = value.get("low") or {}, value.get("high") or {}
    least, most = low.get("value"), high.get("value")
    if least is not None or most is not None:
        _add({**high, **low}, least, most, add)


def _money(value: Any, _: str, __: Setting, add: Add) -> None:
    amount = value.get("value")
    if amount is not None:
        _add({"system": _CURRENCY, "code": value.get("currency")}, amount, amount, add)


def _sampled(value: Any, _: str, __: Setting, add: Add) -> None:
    """SampledData by the range it says its samples lie in (datatypes.html#sampleddata)."""
    origin = value.get("origin") or {}
    least, most = value.get("lowerLimit"), value.get("upperLimit")
    if least is None and most is None:
        least = most = origin.get("value")
    if least is not None or most is not None:
        _add(origin, least, most, add)


def _add(of: Any, low: float | None, high: float | None, add: Add) -> None:
    """Entries of low..high (None: open) in each unit that `of` (a Quantity) may be asked for in."""
    code, system, text = of.get("code"), of.get("system"), of.get("unit")
    ends = _ends(low, high)
    add(("", "", *ends))
    for name in {code, text} - {None, ""}:
        add((f"|{name}", "", *ends))
    if not code or not system:
        return
    unit = units.unit(code) if system == units.SYSTEM else None
    if unit is None:
        add((f"{system}|{code}", "", *ends))
    else:
        least, most = (None if end is None else unit.amount(_decimal(end)) for end in (low, high))
        add((f"={unit.base}", "", *_ends(least, most)))


def _ends(low: float | Decimal | None, high: float | Decimal | None) -> tuple[int, int]:
    """Stores rely on low <= high, also where a Range has its ends the wrong way round."""
    first, last = LEAST if low is None else place(low), MOST if high is None else place(high)
    return min(first, last), max(first, last)


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value))


def _test(asked: Asked, _: Setting) -> Test:
    """`number`, `number|system|code` or `number||code`."""
    parts = [unescape(part) for part in split(asked.value, "|")]
    if len(parts) not in (1, 3):
        raise Invalid(f"'{asked.value}' is not a quantity: expected 5.4, 5.4|system|code or 5.4||code", asked.name)
    prefix, text = number.split_prefix(parts[0])
    amount, half = number.asked(text, asked.name)
    system, code = parts[1:] if len(parts) == 3 else ("", "")
    if system and not code:
        raise Invalid(f"'{asked.value}' names a system of units, but no unit", asked.name)
    unit = units.unit(code) if system == units.SYSTEM else None
    if unit is None:
        key = f"{system}|{code}" if code else ""
        return Span(asked.param, number.bounds(prefix, amount, half), key)
    low, high = unit.amount(amount - half), unit.amount(amount + half)
    if prefix == "ap":  # a tenth of what was asked, not of the amount in another measure
        low, high = (unit.amount(amount + sign * max(half, abs(amount) / 10)) for sign in (-1, 1))
    return Span(asked.param, number.between(prefix, unit.amount(amount), low, high), f"={unit.base}")


QUANTITY = Kind(
    SPAN,
    {
        **dict.fromkeys(("Quantity", "Age", "Count", "Distance", "Duration"), _quantity),
        "Range": _range,
        "Money": _money,
        "SampledData": _sampled,
    },
    _test,
)
