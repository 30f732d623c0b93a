"""CDA data types -> FHIR data types, for Observation.value[x] and wherever a number with a unit stands.

ST/ED -> string, CD/CE/CV/CO -> CodeableConcept, PQ/REAL -> Quantity, MO -> Quantity in a currency, INT -> integer,
BL -> boolean, TS -> dateTime, IVL_TS -> Period, IVL_PQ -> Range, RTO -> Ratio (https://hl7.org/fhir/R4/datatypes.html).
"""

import re
from decimal import Decimal
from typing import Any

from adapters.cda.conversion import Conversion
from adapters.cda.record import TYPE, Node
from adapters.cda.tables import real, ucum
from adapters.contract import Resource
from adapters.kit.codes import UCUM

_NUMBER = re.compile(r"[+-]?(\d{1,15})(\.\d{1,12})?")
_CURRENCY = {"元": "CNY", "人民币": "CNY", "CNY": "CNY", "RMB": "CNY", "¥": "CNY", "￥": "CNY"}
_EMPTY = {"", "-", "--", "---", "—", "——", "/", "//", "na", "n/a", "null", '""'}
_INT_MAX = 2**31 - 1
Value = tuple[str, Any]


def stated(text: str) -> str:
    """The text of a clinical statement. Unlike in the header, 无 stays: `过敏史：无` is an answer, not a blank."""
    text = text.strip()
    return "" if text.lower() in _EMPTY else text


def number(text: str) -> int | Decimal | None:
    """A JSON number with the digits as written (`4.00` stays `4.00`); None when the text is no number."""
    text = text.strip()
    match = _NUMBER.fullmatch(text)
    if not match:
        return None
    return Decimal(text) if match.group(2) else int(text)


def quantity(text: str, unit: str) -> Resource | None:
    """Quantity; the unit as written, and its UCUM code when it is known."""
    value = number(text)
    if value is None:
        return None
    unit = "" if unit.strip() == "1" else real(unit)
    code = ucum(unit) if unit else ""
    return {
        "value": value,
        **({"unit": unit} if unit else {}),
        **({"system": UCUM, "code": code} if code else {}),
    }


def value_of(work: Conversion, node: Node) -> Value | None:
    """(`valueQuantity`, {...}) of a statement: its `value`, else its `text` or `desc`. None when it says nothing."""
    for child in node.named("value"):
        found = _typed(work, child)
        if found is not None:
            return found
    for child in node.named("text", "desc"):
        text = stated(child.words())
        if text:
            work.use_all(child)
            return "valueString", text
    return None


def _typed(work: Conversion, node: Node) -> Value | None:
    type = node.get(TYPE).rpartition(":")[2] or _guess(node)
    work.use(node)
    if type in ("CD", "CE", "CV", "CO", "CS"):
        concept = work.concept(node, stated(node.text))
        return ("valueCodeableConcept", concept) if concept else None
    if type in ("PQ", "REAL", "MO") or (type == "IVL_TS" and node.get("unit")):
        return _quantity(node)
    if type == "INT":
        value = number(node.get("value") or node.words())
        ok = isinstance(value, int) and abs(value) <= _INT_MAX
        return ("valueInteger", value) if ok else _string(node)
    if type == "BL":
        text = (node.get("value") or node.words()).lower()
        known = {"true": True, "1": True, "false": False, "0": False}
        return ("valueBoolean", known[text]) if text in known else _string(node)
    if type == "TS":
        at = work.date_time(node)
        return ("valueDateTime", at) if at else None
    if type in ("IVL_TS", "IVL_PQ"):
        return _interval(work, node, type)
    if type.startswith("RTO"):
        return _ratio(work, node)
    return _string(node)


def _guess(node: Node) -> str:
    """A value without xsi:type is known by what it carries."""
    if node.get("code"):
        return "CD"
    return "PQ" if node.get("unit") else "ST"


def _string(node: Node) -> Value | None:
    text = stated(node.words() or node.get("value") or node.get("displayName"))
    return ("valueString", text) if text else None


def _quantity(node: Node) -> Value | None:
    text = node.get("value") or node.words()
    currency = node.get("currency")
    if currency:
        value = number(text)
        code = _CURRENCY.get(currency.upper())
        if value is not None:
            coded = {"system": "urn:iso:std:iso:4217", "code": code} if code else {}
            return "valueQuantity", {"value": value, "unit": currency, **coded}
    found = quantity(text, node.get("unit"))
    if found is not None:
        return "valueQuantity", found
    # What is no number (`>60`, `阴性`) is kept as it stands.
    said = stated(f"{text} {node.get('unit')}") if stated(text) else ""
    return ("valueString", said) if said else None


def _interval(work: Conversion, node: Node, type: str) -> Value | None:
    low, high = node.child("low"), node.child("high")
    if type == "IVL_TS":
        period = work.period(node)
        if period:
            return "valuePeriod", period
        at = work.date_time(node)
        return ("valueDateTime", at) if at else None
    work.use(low, high)
    range_ = {
        name: found
        for name, end in (("low", low), ("high", high))
        if end is not None and (found := quantity(end.get("value"), end.get("unit")))
    }
    return ("valueRange", range_) if range_ else _string(node)


def _ratio(work: Conversion, node: Node) -> Value | None:
    over, under = node.child("numerator"), node.child("denominator")
    if over is None or under is None:
        return _string(node)
    work.use(over, under)
    above, below = quantity(over.get("value"), over.get("unit")), quantity(under.get("value"), under.get("unit"))
    return ("valueRatio", {"numerator": above, "denominator": below}) if above and below else None
