"""Required bindings: whether a code or CodeableConcept is of the value set that the base definition requires.

https://hl7.org/fhir/R4/terminologies.html#required. A value set whose codes nobody can list is checked by the form of
its codes (BCP 13 media types, ISO 4217 currencies, UCUM units).
"""

import re
from typing import Any

from server.model import tables

_RULES = {
    # CapabilityStatement.format and .patchFormat also take the words of the `_format` parameter.
    "mimetypes": re.compile(r"[\w!#$&^.+\-]+/[\w!#$&^.+*\-]+( *;.*)?|xml|json|ttl|html", re.ASCII).fullmatch,
    "currencies": re.compile(r"[A-Z]{3}").fullmatch,
    "ucum": re.compile(r"[\x21-\x7e]+").fullmatch,
}
_UCUM = "http://unitsofmeasure.org"
_MEANT = {
    "mimetypes": "a media type such as text/plain or application/fhir+json",
    "currencies": "a currency of ISO 4217 such as CNY",
    "ucum": "a UCUM unit such as mg/dL",
}
MOST_CODES_SHOWN = 16


def code_fits(url: str, code: str) -> bool:
    """True if the code is of the value set, whatever its system (an element of type code has none)."""
    values = tables.value_set(url)
    if values.rule:
        rule = _RULES.get(values.rule)
        return rule is None or rule(code) is not None
    return code in values.codes


def coding_fits(url: str, coding: Any) -> bool:
    """True if the Coding (JSON) is of the value set. Never raises."""
    if coding.__class__ is not dict:
        return False
    system, code = coding.get("system"), coding.get("code")
    if system.__class__ is not str or code.__class__ is not str:
        return False
    values = tables.value_set(url)
    if values.rule:
        return values.rule != "ucum" or (system == _UCUM and code_fits(url, code))
    return code in values.systems.get(system, ())


def concept_fits(url: str, concept: dict[str, Any]) -> bool:
    """True if one of the codings of a CodeableConcept is of the value set. Never raises."""
    codings = concept.get("coding")
    if tables.value_set(url).rule == "unknown":
        return True
    return codings.__class__ is list and any(coding_fits(url, coding) for coding in codings or ())


def meant(url: str) -> str:
    """What the value set holds, for a message: its codes if they are few."""
    values = tables.value_set(url)
    if values.rule:
        return _MEANT.get(values.rule, f"a code of {url}")
    listed = [code for codes in tables.table("valuesets")["expanded"][url].values() for code in codes]
    if len(listed) <= MOST_CODES_SHOWN:
        return f"one of {', '.join(listed)} ({url})"
    return f"a code of {url}"
