"""The first rows of a table as text, for a person or a guess: header and rows of CSV, TSV or XLSX."""

from itertools import islice

from adapters.his_tables.workbook import Refused, rows
from adapters.kit import charset
from adapters.roles.cut import cut_csv

ROWS = 200


class Unreadable(Exception):
    """No table; the text says why."""


def preview(content: bytes) -> tuple[list[str], list[list[str]]]:
    """Header and up to 200 rows; of a workbook, the widest of its first five rows is the header. Raises Unreadable."""
    if content.startswith(b"PK\x03\x04"):
        try:
            found = [row.cells for row in islice(rows(content), ROWS)]
        except Refused as error:
            raise Unreadable(str(error)) from None
        if not found:
            raise Unreadable("the workbook is empty")
        first = max(range(min(5, len(found))), key=lambda index: sum(bool(cell) for cell in found[index]))
        return found[first], found[first + 1 :]
    cuts = cut_csv(charset.decode(content).text)[:ROWS]
    good = [cut for cut in cuts if cut.cells]
    if not good:
        raise Unreadable(cuts[0].problems[0].text if cuts and cuts[0].problems else "the table has no row")
    header = list(good[0].cells)
    return header, [[cut.cells[name].text if name in cut.cells else "" for name in header] for cut in good]
