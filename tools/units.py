"""Writes profiles/units.json: UCUM codes as base units and factors, for searches of quantities in any unit.

Run by `make tables`; needs the library ucumvert. The codes are products of the prefixes, numerators and denominators
below: what laboratories, prescriptions and vital signs use. Arbitrary units ([iU]) and logarithms (pH, B) measure
nothing that could be converted, so they are left out.
"""

import argparse
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import orjson

PREFIXES = ("", "k", "d", "c", "m", "u", "n", "p", "f")
MEASURED = (
    "g",
    "mol",
    "eq",
    "L",
    "l",
    "m",
    "Pa",
    "J",
    "W",
    "V",
    "A",
    "s",
    "Bq",
    "Gy",
    "Sv",
    "Hz",
    "N",
    "osm",
    "cal",
    "kat",
)
PLAIN = (
    "1", "%", "[ppth]", "[ppm]", "[ppb]", "10*", "10*3", "10*6", "10*9", "10*12", "10^3", "10^6", "10^9", "10^12", "a",
    "mo", "wk", "d", "h", "min", "Cel", "K", "[degF]", "mm[Hg]", "cm[H2O]", "m[H2O]", "bar", "mbar", "atm", "t",
    "[in_i]", "[ft_i]", "[yd_i]", "[mi_i]", "[lb_av]", "[oz_av]", "[stone_av]", "[gr]", "[foz_us]", "[tsp_us]",
    "[tbs_us]", "[cup_us]", "[pt_us]", "[gal_us]", "deg", "rad", "[diop]", "[Cal]", "kcal", "U", "mU", "uU", "kU", "nU",
    "kg/m2", "m2", "cm2", "mm2", "m3", "dm3", "cm3", "mm3", "g/m2", "L/min/m2", "mL/min/{1.73_m2}", "mL/min", "mL/s",
    "mL/kg", "mg/kg/d", "mg/kg/h", "ug/kg/min", "mg/m2/d", "ug/min", "mg/h", "g/d", "L/min", "L/s", "L/h", "mL/h",
    "/min", "/h", "/d", "/s", "m/s", "cm/s", "mm/h", "km/h", "kg/mo", "mol/kg", "g/g{creat}", "mmol/mol{creat}",
)  # fmt: skip
AMOUNTS = (f"{prefix}{unit}" for prefix in ("", "m", "u", "n", "p", "k") for unit in ("g", "mol", "eq", "osm", "U"))
NUMERATORS = (*AMOUNTS, "10*3", "10*6", "10*9", "10*12", "10^3", "10^6", "10^9", "10^12", "1")
DENOMINATORS = ("L", "dL", "mL", "uL", "l", "dl", "ml", "ul", "nL", "pL", "kg", "g", "mg", "d", "h", "(24.h)", "m2")
DIGITS = 12  # beyond them the library's own arithmetic is not exact


def codes() -> Iterator[str]:
    yield from PLAIN
    for unit in MEASURED:
        for prefix in PREFIXES:
            yield prefix + unit
    for numerator in NUMERATORS:
        for denominator in DENOMINATORS:
            yield f"{numerator}/{denominator}"
            if numerator == "1":
                yield f"/{denominator}"


def rows() -> dict[str, list[str]]:
    """code -> [base, factor] or [base, factor, offset]."""
    from ucumvert import PintUcumRegistry

    registry = PintUcumRegistry()

    def based(amount: float, code: str) -> tuple[float, str]:
        found = registry.from_ucum(code) if code.strip("1") else registry.Quantity(1, "")
        plain = found if hasattr(found, "magnitude") else registry.Quantity(1, found)  # a bare unit is one of it
        base = registry.Quantity(amount * plain.magnitude, plain.units).to_base_units()
        return float(base.magnitude), f"{base.units:~}".replace(" ", "") or "1"

    found: dict[str, list[str]] = {}
    for code in codes():
        zero, base = based(0, code)
        one, _ = based(1, code)
        row = [base, _text(one - zero)]
        found[code] = [*row, _text(zero)] if zero else row
    return dict(sorted(found.items()))


def _text(number: float) -> str:
    return str(Decimal(f"{number:.{DIGITS}g}").normalize())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("profiles/units.json"))
    content = orjson.dumps(rows(), option=orjson.OPT_APPEND_NEWLINE)
    parser.parse_args().out.write_bytes(content.replace(b'],"', b'],\n"'))


if __name__ == "__main__":
    main()
