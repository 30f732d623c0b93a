"""XLSX -> rows of text, within limits: a small file that unpacks to gigabytes or declares entities is refused."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

FILE_BYTES = 64 * 1024 * 1024
UNPACKED_BYTES = 256 * 1024 * 1024
RATIO = 200  # of a part that unpacks to more than a megabyte
PARTS = 1000
ROWS, COLUMNS = 200_000, 1000


class Refused(Exception):
    """A workbook that is not read, and why, in one sentence."""


@dataclass(frozen=True, slots=True)
class Row:
    """A sheet's row: its number as the spreadsheet shows it, and its cells as text."""

    sheet: str
    number: int
    cells: list[str]


def rows(content: bytes) -> Iterator[Row]:
    """The non-empty rows of every visible sheet. Raises Refused."""
    _check(content)
    import openpyxl  # 60 ms; only who sends XLSX pays

    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        for sheet in book.worksheets:
            if sheet.sheet_state != "visible":
                continue
            for number, values in enumerate(sheet.iter_rows(values_only=True, max_col=COLUMNS), 1):
                if number > ROWS:
                    raise Refused(f"sheet {sheet.title} has more than {ROWS} rows")
                cells = [text(value) for value in values]
                while cells and not cells[-1]:
                    cells.pop()
                if cells:
                    yield Row(sheet.title, number, cells)
    except Refused:
        raise
    except Exception as error:  # openpyxl raises whatever its parsers meet: KeyError, ValueError, XMLSyntaxError …
        raise Refused(f"the workbook cannot be read: {type(error).__name__}: {str(error)[:200]}") from None


def _check(content: bytes) -> None:
    if len(content) > FILE_BYTES:
        raise Refused(f"the workbook is larger than {FILE_BYTES} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            if len(parts) > PARTS:
                raise Refused(f"the workbook has more than {PARTS} parts")
            # zipfile reads no more of a part than its header declares, so the sum of what is declared is a bound
            if sum(part.file_size for part in parts) > UNPACKED_BYTES:
                raise Refused(f"the workbook unpacks to more than {UNPACKED_BYTES} bytes")
            for part in parts:
                if part.file_size > 1024 * 1024 and part.file_size > RATIO * max(part.compress_size, 1):
                    raise Refused(f"{part.filename} unpacks to more than {RATIO} times its size")
                if part.filename.endswith((".xml", ".rels")) and b"<!DOCTYPE" in archive.read(part):
                    raise Refused(f"{part.filename} declares a document type, which a workbook has no use for")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise Refused(f"the file is no workbook: {error}") from None
    except Exception as error:
        if isinstance(error, Refused):
            raise
        raise Refused(f"the file is no workbook: {type(error).__name__}") from None


def text(value: Any) -> str:
    """A cell as a person would have typed it. A number past 15 digits is written as the spreadsheet shows it
    (`4.29900195603E+17`): its last digits are lost, and the reader of the column has to know."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, datetime):
        midnight = value.time() == time()
        return f"{value:%Y-%m-%d}" if midnight else f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int | float):
        if abs(value) >= 1e15:
            return f"{value:.11E}".replace("E+0", "E+")
        return str(int(value)) if value == int(value) else repr(value)
    found = str(value).strip()
    return "" if found.startswith("#") and found.endswith(("!", "?", "A")) else found
