"""Units of UCUM in one measure, so that 5 mg is found as 0.005 g (https://ucum.org).

The factors are a table, profiles/units.json, written by tools/units.py (`make tables`) with ucumvert. A unit
that is not in it is compared by its code alone.
"""

import functools
from decimal import Context, Decimal
from pathlib import Path
from typing import NamedTuple

import orjson

SYSTEM = "http://unitsofmeasure.org"
_TABLE = Path(__file__).resolve().parents[3] / "profiles" / "units.json"
_ROUND = Context(prec=12)  # what the factors are exact to, so equal amounts are equal whatever their units


class Unit(NamedTuple):
    """An amount of it times `factor` plus `offset` is an amount of `base`."""

    base: str
    factor: Decimal
    offset: Decimal

    def amount(self, number: Decimal) -> Decimal:
        return _ROUND.add(_ROUND.multiply(number, self.factor), self.offset)


@functools.cache
def unit(code: str) -> Unit | None:
    """A UCUM code as its base unit; None for one without a measure (arbitrary, logarithmic) or outside the table."""
    row = _rows().get(code)
    return Unit(row[0], Decimal(row[1]), Decimal(row[2] if len(row) > 2 else "0")) if row else None


@functools.cache
def _rows() -> dict[str, list[str]]:
    found: dict[str, list[str]] = orjson.loads(_TABLE.read_bytes())
    return found
