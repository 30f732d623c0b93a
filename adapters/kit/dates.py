"""Dates and times as legacy systems write them -> FHIR date, dateTime and instant."""

import re
import unicodedata
from datetime import datetime

from adapters.kit.codes import absent

ZONE = "+08:00"
"""Times without a zone are Chinese standard time; a caller may pass another."""

_ZONE = r"(?P<zone>Z|[+-]\d{2}:?\d{2})?"
_FORMS = (
    # 2023 202305 20230512 2023051209 202305120930 20230512093015 20230512093015123 20230512093015.123+0800
    re.compile(
        r"(?P<y>\d{4})(?:(?P<mo>\d{2})(?:(?P<d>\d{2})(?:(?P<h>\d{2})(?:(?P<mi>\d{2})(?:(?P<s>\d{2})"
        r"(?:\.?(?P<f>\d{1,9}))?)?)?)?)?)?" + _ZONE
    ),
    # 2023-05-12 2023/5/12 9:30 2023.05.12 2023-05-12T09:30:15.123+08:00
    re.compile(
        r"(?P<y>\d{4})(?P<sep>[-/.])(?P<mo>\d{1,2})(?:(?P=sep)(?P<d>\d{1,2})"
        r"(?:[T ] *(?P<h>\d{1,2}):(?P<mi>\d{1,2})(?::(?P<s>\d{1,2})(?:[.,](?P<f>\d{1,9}))?)? *" + _ZONE + r")?)?"
    ),
    # 2023年5月12日 9时30分15秒, 2023年5月12日9:30
    re.compile(
        r"(?P<y>\d{4})年(?:(?P<mo>\d{1,2})月(?:(?P<d>\d{1,2})日?"
        r"(?: *(?P<h>\d{1,2})[时点:](?P<mi>\d{1,2})[分:]?(?:(?P<s>\d{1,2})秒?)?)?)?)?(?P<zone>)(?P<f>)"
    ),
)
_ZEROS = re.compile(r"[0:T /.-]+")  # 0000-00-00 00:00:00, 00000000: a database's default for "no date"


def date(text: str) -> str:
    """FHIR date (`2023`, `2023-05`, `2023-05-12`) of yyyy, yyyyMM, yyyyMMdd[HHmm[ss]], yyyy-MM-dd, yyyy/M/d [time],
    yyyy年M月d日. '' for '', `-`, `/`, `无`, `0000-00-00`. Raises ValueError('2023-02-30 is not a date') otherwise."""
    return date_time(text).partition("T")[0]


def date_time(text: str, zone: str = ZONE) -> str:
    """FHIR dateTime of the same forms and yyyyMMddHHmmss[.SSSS][+ZZZZ], 17-digit yyyyMMddHHmmssSSS, ISO 8601.

    As precise as the source: a date stays a date; with a time, seconds are filled with 00 and a zone is added
    (the text's own, else `zone`). Raises ValueError like date().
    """
    if len(text) in (8, 14) and text.isascii() and text.isdigit():
        return _digits(text, zone)
    if absent(text):
        return ""
    folded = unicodedata.normalize("NFKC", text).strip()
    if _ZEROS.fullmatch(folded):
        return ""
    match = next((m for form in _FORMS if (m := form.fullmatch(folded))), None)
    if match is None:
        raise ValueError(f"{text.strip()} is not a date")
    part = match.groupdict()
    year, month, day, hour = part["y"], part["mo"], part["d"], part["h"]
    minute, second = part["mi"] or "0", part["s"] or "0"
    own_zone = _zone(part["zone"] or "")
    try:
        # A leap second is a second of FHIR, not of datetime.
        at = datetime(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute), min(int(second), 59))
        if int(second) > 60 or own_zone is None or (own_zone and day is None):
            raise ValueError
    except ValueError:
        raise ValueError(f"{text.strip()} is not a date") from None
    if month is None:
        return year
    if day is None:
        return f"{at:%Y-%m}"
    if hour is None:
        return f"{at:%Y-%m-%d}"
    fraction = f".{part['f']}" if part["f"] else ""
    return f"{at:%Y-%m-%dT%H:%M}:{int(second):02d}{fraction}{own_zone or zone}"


def _digits(text: str, zone: str) -> str:
    """yyyyMMdd and yyyyMMddHHmmss, the forms that nearly every message uses."""
    if not text.strip("0"):
        return ""
    year, month, day, hour, minute, second = text[:4], text[4:6], text[6:8], text[8:10], text[10:12], text[12:]
    try:
        datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), 0)
        if second > "60":
            raise ValueError
    except ValueError:
        raise ValueError(f"{text} is not a date") from None
    return f"{year}-{month}-{day}T{hour}:{minute}:{second}{zone}" if hour else f"{year}-{month}-{day}"


def instant(text: str, zone: str = ZONE) -> str:
    """FHIR instant (to the second, with a zone) of a text that has a time; '' if it has none. Raises ValueError."""
    at = date_time(text, zone)
    return at if "T" in at else ""


def _zone(text: str) -> str | None:
    """`+0800` -> `+08:00`; '' stays ''; None for a zone that cannot be."""
    if not text or text == "Z":
        return text
    hours, minutes = int(text[1:3]), int(text[-2:])
    return f"{text[0]}{hours:02d}:{minutes:02d}" if hours * 60 + minutes <= 14 * 60 and minutes < 60 else None
