"""Cells with a code -> Observations: numbers with unit, coded answers, texts, blood pressure, long-form readings."""

import re
import unicodedata
from decimal import Decimal
from typing import Any

from adapters.contract import Resource
from adapters.kit import codes
from adapters.kit.resource import Made
from adapters.roles.case import DE, Case, several
from adapters.roles.fields import Field, Fields, source
from adapters.roles.record import Column

_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_NUMBER = re.compile(r"([<>]=?|≤|≥)?\s*(-?\d{1,12}(?:\.\d{1,9})?)\s*([^\d\s].*)?")
_COMPARATOR = {"≤": "<=", "≥": ">="}
_BP = Column(title="血压", code="85354-9", category="vital-signs")
_ROLES = ("observe", "observe.coded", "observe.text")


def observations(
    case: Case, at: str, fields: Fields, prefix: str, encounter: Made | None = None, device: Made | None = None
) -> list[Made]:
    """The Observations of a row; `prefix` tells rows of one record apart."""
    unit = fields.one("unit")
    found = []
    for role in _ROLES:
        for field in fields.all(role):
            made = _start(case, at, f"{prefix}{field.column}", field, encounter, device)
            _answer(made, fields, field, role, unit)
            found.append(made)
    pressure = _pressure(case, at, fields, prefix, encounter, device)
    long = _reading(case, at, fields, prefix, encounter, device)
    return [*found, *([pressure] if pressure else []), *([long] if long else [])]


def _start(case: Case, at: str, name: str, field: Field, encounter: Made | None, device: Made | None) -> Made:
    made = case.make("Observation", name)
    made.put("status", "final")
    category = field.meaning.category or "survey"
    made.add("category", {"coding": [{"system": _CATEGORY, "code": category}]})
    made.put("code", code_of(field.meaning.code, field.title), *source(field))
    made.put("subject", case.subject)
    if encounter:
        made.put("encounter", encounter.reference())
    made.put("effectiveDateTime", at, *source(case.at_field))
    if case.author:
        made.add("performer", case.author)
    if device:
        made.put("device", device.reference())
    return made


def code_of(code: str, title: str) -> Resource:
    """LOINC by its shape (`8480-6`), a data element by its (`DE04.10.174.00`), a text without either."""
    if not code:
        return {"text": title}
    system = DE if code.startswith("DE") else codes.LOINC
    return {"coding": [{"system": system, "code": code}], "text": title}


def _answer(made: Made, fields: Fields, field: Field, role: str, unit: Field | None) -> None:
    if role == "observe.text":
        made.put("valueString", field.text, *source(field))
        return
    if role == "observe.coded":
        concepts = several(fields, field)
        if len(concepts) == 1:
            made.put("valueCodeableConcept", concepts[0], *source(field))
        for concept in concepts if len(concepts) > 1 else []:
            made.add(
                "component",
                {"code": code_of(field.meaning.code, field.title), "valueCodeableConcept": concept},
                *source(field),
            )
        return
    wanted = field.meaning.unit
    if wanted == "row":
        wanted = unit.text if unit else ""
        if unit is None:
            fields.problem("warning", "value", "the row names no unit; the number stands without one", field)
    quantity = measured(fields, field, wanted)
    if quantity is None:
        fields.problem("warning", "value", f"{field.text} is not a number; kept as text", field)
        made.put("valueString", field.text, *source(field))
    else:
        columns = field.column + (f", {unit.column}" if unit and field.meaning.unit == "row" else "")
        made.put("valueQuantity", quantity, columns, field.line)


def measured(fields: Fields, field: Field, wanted: str) -> Resource | None:
    """Quantity of `140`, `<3.9`, `8.6mmol/L`; a unit in the cell wins over `wanted`. None when it is no number."""
    match = _NUMBER.fullmatch(_folded(field.text))
    if match is None:
        return None
    comparator, number, unit = match[1], match[2], match[3] or wanted
    result: dict[str, Any] = {"value": Decimal(number)}
    if comparator:
        result["comparator"] = _COMPARATOR.get(comparator, comparator)
    if unit:
        ucum = codes.table("adapters.roles", "units").get(unit.lower().replace(" ", ""))
        result["unit"] = unit
        if ucum:
            result |= {"system": codes.UCUM, "code": ucum[0]}
        else:
            fields.problem("warning", "code-invalid", f"unit {unit} is not in units.csv; kept as text", field)
    return result


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip()


def _pressure(
    case: Case, at: str, fields: Fields, prefix: str, encounter: Made | None, device: Made | None
) -> Made | None:
    """85354-9 with the two numbers, of two columns or of `138/86` in one."""
    systolic, diastolic, both = fields.one("bp.systolic"), fields.one("bp.diastolic"), fields.one("bp")
    first = systolic or diastolic or both
    if first is None:
        return None
    made = _start(case, at, f"{prefix}bp", Field(first.column, first.text, first.line, _BP), encounter, device)
    parts = [("8480-6", "收缩压", systolic), ("8462-4", "舒张压", diastolic)]
    if both and not (systolic or diastolic):
        pair = re.fullmatch(r"(\d{2,3})\s*[/／\\]\s*(\d{2,3})(?:\s*mmHg)?", both.text, re.IGNORECASE)
        if pair is None:
            fields.problem("warning", "value", f"{both.text} is no blood pressure; kept as text", both)
            made.add("note", {"text": both.sentence}, *source(both))
        else:
            parts = [
                (c, t, Field(both.column, pair[i + 1], both.line, both.meaning)) for i, (c, t, _) in enumerate(parts)
            ]
    for code, title, field in parts:
        if field is None:
            continue
        quantity = measured(fields, field, "mmHg")
        answer = {"valueQuantity": quantity} if quantity else {"valueString": field.text}
        if quantity is None:
            fields.problem("warning", "value", f"{field.text} is not a number; kept as text", field)
        made.add("component", {"code": code_of(code, title), **answer}, *source(field))
    return made


def _reading(
    case: Case, at: str, fields: Fields, prefix: str, encounter: Made | None, device: Made | None
) -> Made | None:
    """A row `item, value, unit`: the item by the source's item table."""
    item, value, unit = fields.one("reading.item"), fields.one("reading.value"), fields.one("reading.unit")
    if item is None or value is None:
        return None
    own, own_field = fields.date_time("reading.at")
    row = fields.word(item)
    made = case.make("Observation", f"{prefix}{item.text}{'|' + own if own else ''}")
    made.put("status", "final")
    made.add("category", {"coding": [{"system": _CATEGORY, "code": row[3] if row else "survey"}]})
    made.put("code", code_of(row[1], row[0]) if row else {"text": item.text}, *source(item))
    made.put("subject", case.subject)
    if encounter:
        made.put("encounter", encounter.reference())
    made.put("effectiveDateTime", own or at, *source(own_field or case.at_field))
    if case.author:
        made.add("performer", case.author)
    if row and row[1] == _BP.code:
        pair = re.fullmatch(r"(\d{2,3})\s*/\s*(\d{2,3})", _folded(value.text))
        for code, title, number in zip(
            ("8480-6", "8462-4"), ("收缩压", "舒张压"), pair.groups() if pair else (), strict=False
        ):
            part = Field(value.column, number, value.line, value.meaning)
            made.add(
                "component",
                {"code": code_of(code, title), "valueQuantity": measured(fields, part, "mmHg")},
                *source(value),
            )
    if "component" not in made.resource:
        quantity = measured(fields, value, unit.text if unit else row[2] if row else "")
        kind = "valueQuantity" if quantity else "valueString"
        made.put(kind, quantity or value.text, value.column + (f", {unit.column}" if unit else ""), value.line)
    if device:
        made.put("device", device.reference())
    return made
