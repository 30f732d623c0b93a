"""The formats of FHIR's primitive types: what a JSON value must look like to be a date, a code, a positiveInt …

https://hl7.org/fhir/R4/datatypes.html#primitive. The patterns are HL7's, made stricter where HL7's regular expression
says less than its text: no control characters in any string, only single spaces inside a code, a day that exists.
All are ASCII in their notion of white space, so the wide space U+3000 of Chinese text is an ordinary letter.
"""

import binascii
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

LONGEST_STRING = 1024 * 1024
SMALLEST, LARGEST = -(2**31), 2**31 - 1

_LONE = r"\ud800-\udfff"  # a surrogate without its pair is no character and cannot be written as UTF-8
_YEAR, _MONTH, _DAY = r"(?!0000)\d{4}", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?"
_CLOCK = rf"T{_TIME}(?:Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))"


def _pattern(text: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(text, re.ASCII).fullmatch


is_string = _pattern(rf"[^\x00-\x08\x0b\x0c\x0e-\x1f{_LONE}]+")
is_uri = _pattern(rf"[^\x00-\x20{_LONE}]+")
is_code = _pattern(rf"[^\x00-\x20{_LONE}]+(?: [^\x00-\x20{_LONE}]+)*")
is_id = _pattern(r"[A-Za-z0-9\-.]{1,64}")
is_oid = _pattern(r"urn:oid:[0-2](?:\.(?:0|[1-9]\d*))+")
is_uuid = _pattern(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
is_time = _pattern(_TIME)
_like_date = _pattern(rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY})?)?")
_like_date_time = _pattern(rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY}(?:{_CLOCK})?)?)?")
_like_instant = _pattern(rf"{_YEAR}-{_MONTH}-{_DAY}{_CLOCK}")


def day_exists(text: str) -> bool:
    """False for a day that its month does not have (`2023-02-30`); `text` already looks like a FHIR date."""
    month, day = text[5:7], text[8:10]
    if day <= "28":  # most are: the callers ask this themselves
        return True
    if month != "02":
        return day != "31" or month not in ("04", "06", "09", "11")
    year = int(text[:4])
    return day == "29" and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def is_date(text: str) -> bool:
    return _like_date(text) is not None and (text[8:10] <= "28" or day_exists(text))


def is_date_time(text: str) -> bool:
    return _like_date_time(text) is not None and (text[8:10] <= "28" or day_exists(text))


def is_instant(text: str) -> bool:
    return _like_instant(text) is not None and (text[8:10] <= "28" or day_exists(text))


def is_base64(text: str) -> bool:
    """White space is allowed (XML breaks lines); a regular expression would be slow on large data."""
    try:
        return bool(binascii.a2b_base64("".join(text.split()), strict_mode=True))
    except ValueError:
        return False


def is_text(text: str) -> bool:
    return len(text) <= LONGEST_STRING and is_string(text) is not None


def is_decimal(value: Any) -> bool:
    """A JSON number: int, float or (where digits are kept as written) Decimal, and finite."""
    kind = value.__class__
    return kind is int or ((kind is float or kind is Decimal) and bool(value - value == 0))


_TEXT = "text of at most 1 MB without control characters"
_DATE = "a date such as 2024, 2024-05 or 2024-05-31 that exists"

# Primitive type -> (test of a non-empty string, what it should be).
_STRINGS: dict[str, tuple[Callable[[str], Any], str]] = {
    "string": (is_text, _TEXT),
    "markdown": (is_text, _TEXT),
    "uri": (is_uri, "a URI, without spaces"),
    "url": (is_uri, "a URL, without spaces"),
    "canonical": (is_uri, "a canonical URL, without spaces"),
    "oid": (is_oid, "an OID such as urn:oid:1.2.156"),
    "uuid": (is_uuid, "a lower case UUID such as urn:uuid:c757873d-ec9a-4326-a141-556f43239520"),
    "id": (is_id, "an id: 1 to 64 of A-Z a-z 0-9 - ."),
    "code": (is_code, "a code: no space at the ends, single spaces inside"),
    "date": (is_date, _DATE),
    "dateTime": (is_date_time, _DATE + ", with a time also seconds and zone (2024-05-31T08:00:00+08:00)"),
    "instant": (is_instant, "an instant with seconds and zone (2024-05-31T08:00:00.000+08:00) that exists"),
    "time": (is_time, "a time such as 08:30:00"),
    "base64Binary": (is_base64, "base64"),
}
_INTEGERS = {"integer": SMALLEST, "unsignedInt": 0, "positiveInt": 1}


def fault(type_: str, value: Any) -> str:
    """'' if the JSON value is one of this primitive type (xhtml excepted, see narrative), else what it should be."""
    kind = value.__class__
    if type_ in _STRINGS:
        if kind is not str:
            return f"a JSON string ({type_})"
        if not value:
            return f"a {type_} that is not empty, or left out"
        test, meant = _STRINGS[type_]
        return "" if test(value) else meant
    if type_ == "boolean":
        return "" if kind is bool else "true or false, without quotes"
    if type_ == "decimal":
        return "" if is_decimal(value) else "a JSON number"
    lowest = _INTEGERS[type_]
    return "" if kind is int and lowest <= value <= LARGEST else f"a whole number from {lowest} to {LARGEST}"
