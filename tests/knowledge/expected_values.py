"""Values of the expected list: of each search kind and datatype one for every number, and what it is asked by."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, NamedTuple

from server.model import tables


class Value(NamedTuple):
    """json: what stands in the resource. asked: what a search for it says."""

    json: Any
    asked: str


Make = Callable[[int, str, tables.Element], Value]
"""(number, type that a reference has to point at or '', element) -> a value that no other number gives, unless the
element has fewer values."""
_UCUM = "http://unitsofmeasure.org"
_SYSTEM = "urn:oid:1.2.3"
_BY_RULE = {"mimetypes": ("text/plain", "text/html"), "currencies": ("CNY", "USD"), "ucum": ("mg", "kg")}


def _codes(number: int, element: tables.Element) -> tuple[str, str]:
    """(system, code): of the required value set, where there is one, its first or its last."""
    if not element.value_set:
        return _SYSTEM, f"c{number}"
    values = tables.value_set(element.value_set)
    if values.rule:
        return "", _BY_RULE[values.rule][number % 2] if values.rule in _BY_RULE else f"c{number}"
    all = sorted((code, system) for system, codes in values.systems.items() for code in codes)
    code, system = all[0 if number % 2 else -1]
    return system, code


def _code(number: int, _: str, element: tables.Element) -> Value:
    _, code = _codes(number, element) if element.value_set else ("", f"c{number}")
    return Value(code, code)


def _coding(number: int, _: str, element: tables.Element) -> Value:
    system, code = _codes(number, element)
    return Value({"code": code, **({"system": system} if system else {})}, f"{system}|{code}" if system else code)


def _concept(number: int, target: str, element: tables.Element) -> Value:
    coding, asked = _coding(number, target, element)
    return Value({"coding": [coding]}, asked)


def _boolean(number: int, _: str, __: tables.Element) -> Value:
    return Value(number % 2 == 0, "false" if number % 2 else "true")


def _of(json: Callable[[int], Any], asked: Callable[[int], str]) -> Make:
    return lambda number, _, __: Value(json(number), asked(number))


def _word(number: int) -> str:
    return f"w{number}x"  # the x: no word is the beginning of another


def _text(json: Callable[[str], Any]) -> Make:
    return _of(lambda number: json(_word(number)), _word)


def _uri(number: int) -> str:
    return f"http://example.org/u{number}"


def _day(number: int) -> str:
    return (date(1990, 1, 1) + timedelta(number)).isoformat()


def _quantity(unit: str) -> Callable[[int], dict[str, Any]]:
    return lambda number: {"value": number, "unit": unit, "system": _UCUM, "code": unit}


def _amount(json: Callable[[int], Any], unit: str) -> Make:
    return _of(json, lambda number: f"{number}|{_UCUM}|{unit}")


def _range(number: int) -> dict[str, Any]:
    return {"low": _quantity("mg")(number), "high": _quantity("mg")(number)}


def _reference(number: int, target: str, element: tables.Element) -> Value:
    possible = [one for one in element.targets if one in tables.resource_types()]
    to = f"{target or (possible[0] if possible else 'Basic')}/x{number}"
    return Value({"reference": to}, to)


VALUES: dict[str, dict[str, Make]] = {
    "token": {
        "Coding": _coding,
        "CodeableConcept": _concept,
        "Identifier": _of(lambda n: {"system": _SYSTEM, "value": _word(n)}, lambda n: f"{_SYSTEM}|{_word(n)}"),
        "ContactPoint": _of(lambda n: {"system": "phone", "value": _word(n)}, _word),
        "code": _code,
        "boolean": _boolean,
        "string": _text(str),
        "id": _text(str),
        **dict.fromkeys(("uri", "url", "canonical"), _of(_uri, _uri)),
    },
    "string": {
        "string": _text(str),
        "markdown": _text(str),
        "HumanName": _text(lambda word: {"family": word}),
        "Address": _text(lambda word: {"city": word}),
    },
    "date": {
        "date": _of(_day, _day),
        "dateTime": _of(lambda n: f"{_day(n)}T08:00:00+08:00", _day),
        "instant": _of(lambda n: f"{_day(n)}T08:00:00.000+08:00", _day),
        "Period": _of(lambda n: {"start": f"{_day(n)}T08:00:00+08:00", "end": f"{_day(n)}T09:00:00+08:00"}, _day),
        "Timing": _of(lambda n: {"event": [f"{_day(n)}T08:00:00+08:00"]}, _day),
    },
    "number": {
        "integer": _of(lambda n: n, str),
        "decimal": _of(lambda n: n + 0.5, lambda n: f"{n}.5"),
        "Range": _of(lambda n: {"low": {"value": n}, "high": {"value": n}}, str),
    },
    "quantity": {
        "Quantity": _amount(_quantity("mg"), "mg"),
        "Age": _amount(_quantity("a"), "a"),
        "Duration": _amount(_quantity("h"), "h"),
        "Range": _amount(_range, "mg"),
        "SampledData": _amount(lambda n: {"origin": _quantity("mg")(n), "period": 1, "dimensions": 1}, "mg"),
        "Money": _of(lambda n: {"value": n, "currency": "CNY"}, lambda n: f"{n}|urn:iso:std:iso:4217|CNY"),
    },
    "reference": {"Reference": _reference, **dict.fromkeys(("canonical", "uri"), _of(_uri, _uri))},
    "uri": dict.fromkeys(("uri", "url", "canonical"), _of(_uri, _uri)),
    "special": {
        "Location.position": _of(lambda n: {"latitude": n / 4, "longitude": 10}, lambda n: f"{n / 4}|10|1|km"),
    },
}
