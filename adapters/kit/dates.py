"""Dates and times as legacy systems write them -> FHIR date, dateTime and instant."""

ZONE = "+08:00"
"""Times without a zone are Chinese standard time; a caller may pass another."""


def date(text: str) -> str:
    """FHIR date (`2023`, `2023-05`, `2023-05-12`) of yyyy, yyyyMM, yyyyMMdd[HHmm[ss]], yyyy-MM-dd, yyyy/M/d [time],
    yyyy年M月d日. '' for '', `-`, `/`, `无`, `0000-00-00`. Raises ValueError('2023-02-30 is not a date') otherwise."""
    raise NotImplementedError


def date_time(text: str, zone: str = ZONE) -> str:
    """FHIR dateTime of the same forms and yyyyMMddHHmmss[.SSSS][+ZZZZ], 17-digit yyyyMMddHHmmssSSS, ISO 8601.

    As precise as the source: a date stays a date; with a time, seconds are filled with 00 and a zone is added
    (the text's own, else `zone`). Raises ValueError like date().
    """
    raise NotImplementedError
