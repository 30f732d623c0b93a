"""Dates as spreadsheets and databases leave them -> a form that kit.dates reads: serial numbers, epoch seconds."""

import re
from datetime import datetime, timedelta, timezone

_CHINA = timezone(timedelta(hours=8))
_EXCEL = datetime(1899, 12, 30)  # day 0 of spreadsheets
_SPLIT = re.compile(r"(\d{4})(\d{2})(\d{2})[ T]+(\d{1,2}:\d{2}(?::\d{2})?)")


def plain(text: str) -> str:
    """The same moment as kit.dates writes it; other texts stay what they are.

    `45231` and `45231.5` (Excel days, years 1927-2064), `1700000000` and `1700000000000` (epoch seconds and
    milliseconds, when they are no date of 1900 or later), `20230512 09:30:15`.
    """
    text = text.strip()
    if re.fullmatch(r"[1-5]\d{4}(\.\d+)?", text):
        at = _EXCEL + timedelta(seconds=round(float(text) * 86400))
        return (
            f"{at:%Y-%m-%d}"
            if "." not in text or not (at.hour or at.minute or at.second)
            else f"{at:%Y-%m-%d %H:%M:%S}"
        )
    if re.fullmatch(r"1[0-8]\d{8}(\d{3})?", text):
        return f"{datetime.fromtimestamp(int(text[:10]), _CHINA):%Y-%m-%d %H:%M:%S}"
    split = _SPLIT.fullmatch(text)
    return f"{split[1]}-{split[2]}-{split[3]} {split[4]}" if split else text
