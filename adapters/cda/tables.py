"""The adapter's tables (`tables/*.csv`), each as what it is about."""

import re
import unicodedata
from functools import cache, lru_cache
from typing import NamedTuple

from adapters.kit import codes

_PACKAGE = "adapters.cda"


_PART = "483."  # a part of WS/T 483 whose document code is not established: known by its title only


class DocumentType(NamedTuple):
    """A row of documents.csv. `known` is False for a document that no row describes."""

    code: str
    title: str
    loinc: str = ""
    display: str = ""
    encounter_class: str = ""
    ended: bool = False
    rules: str = ""
    known: bool = True


class Element(NamedTuple):
    """A row of elements.csv: a data element, what converts it ('' = an Observation), its LOINC code."""

    meaning: str
    rule: str = ""
    loinc: str = ""


@cache
def _documents() -> dict[str, DocumentType]:
    rows = codes.table(_PACKAGE, "documents.csv")
    return {
        code: DocumentType(code, title, loinc, display, act, ended == "yes", rules)
        for code, (title, loinc, display, act, ended, rules) in rows.items()
    }


def document_type(code: str, title: str) -> DocumentType:
    """By code; for a code that is not known, by title: editions rename the codes, hardly the titles."""
    found = _documents().get(code)
    if found is None:
        wanted = _folded(title)
        found = next((row for row in _documents().values() if wanted and _folded(row.title) == wanted), None)
        if found is not None:
            own = "" if found.code.startswith(_PART) else found.code
            found = found._replace(code=code or own)
    return found or DocumentType(code, title, known=False)


class SectionType(NamedTuple):
    """A row of sections.csv."""

    title: str
    role: str = ""
    category: str = ""


def section_type(code: str, title: str) -> SectionType | None:
    rows = codes.table(_PACKAGE, "sections.csv")
    row = rows.get(code) or rows.get(title.strip())
    return SectionType(*row) if row else None


@lru_cache(maxsize=4096)
def element(code: str) -> Element | None:
    row = codes.table(_PACKAGE, "elements.csv").get(code)
    return Element(*row) if row else None


def identifier(root: str) -> tuple[str, str, str] | None:
    """(system, name, scope) of an identifier's root."""
    row = codes.table(_PACKAGE, "identifiers.csv").get(root)
    return (row[0], row[1], row[2]) if row else None


def place(root: str) -> tuple[str, str, str] | None:
    """(level, name, physical type) of the root of an organisation's id."""
    row = codes.table(_PACKAGE, "places.csv").get(root)
    return (row[0], row[1], row[2]) if row else None


# One unit of UCUM: a prefix and an atom, an atom that takes no prefix, an annotation, a power of ten; an exponent.
_ATOM = (
    r"(?:[kdcmunpf]?(?:g|m|L|l|mol|eq|osm|Pa|J|cal|s|Hz|V|U|kat|bar|\[IU\]|\[iU\]|m\[Hg\]|m\[H2O\])"
    r"|min|h|d|wk|mo|a|Cel|%|\[(?:in_i|ft_i|lb_av|oz_av|degF|pH|CFU)\]|\{[^{}]*\}|10[*^]-?\d+|1)-?\d?(?:\{[^{}]*\})?"
)
_UCUM = re.compile(rf"/?{_ATOM}(?:[./]{_ATOM})*")


@lru_cache(maxsize=1024)
def ucum(unit: str) -> str:
    """The UCUM code of a unit as written: by the table, else the unit itself when it is made of UCUM's own parts."""
    row = codes.table(_PACKAGE, "units.csv").get(_folded(unit))
    if row:
        return row[0]
    return unit.replace("10^", "10*") if _UCUM.fullmatch(unit) else ""


def frequency(unit: str) -> tuple[int, str] | None:
    """(period, period unit) of a rate unit such as `次/日`."""
    row = codes.table(_PACKAGE, "frequencies.csv").get(_folded(unit))
    return (int(row[0]), row[1]) if row else None


def status(kind: str, code: str) -> str:
    """FHIR status of a CDA statusCode; kind: observation, procedure, medication. A code nobody knows counts as none."""
    rows = codes.table(_PACKAGE, "statuses.csv")
    return (rows.get(code) or rows[""])[("observation", "procedure", "medication").index(kind)]


def word(name: str) -> str:
    row = codes.table(_PACKAGE, "words.csv").get(name)
    return row[0] if row else name


def disposition(code: str) -> tuple[str, str, str] | None:
    """(meaning, direction, word) of 离院方式; direction '' is no referral."""
    row = codes.table(_PACKAGE, "dispositions.csv").get(code.lstrip("0"))
    return (row[0], row[1], row[2]) if row else None


@cache
def _placeholders(kind: str) -> re.Pattern[str]:
    rows = codes.table(_PACKAGE, "placeholders.csv")
    return re.compile("|".join(f"(?:{pattern})" for pattern, (row_kind,) in rows.items() if row_kind in ("any", kind)))


def real(text: str, kind: str = "any") -> str:
    """The text, or '' when it is a placeholder of a form nobody filled in. kind: any, id, name, organization."""
    if len(text) > _SHORT:
        return text.strip()  # no placeholder is that long
    return _real(text, kind)


_SHORT = 64


@lru_cache(maxsize=16384)
def _real(text: str, kind: str) -> str:
    text = text.strip()
    return "" if codes.absent(text) or _placeholders(kind).fullmatch(text) else text


_DATA_ELEMENT = re.compile(r"DE(\d{1,2})\.(\d{1,2})\.(\d{1,3})\.(\d{1,2})", re.IGNORECASE)
_PLACEHOLDER_ELEMENT = re.compile(r"DE9+")
_LOOKALIKES = str.maketrans("OoIl", "0011")


@lru_cache(maxsize=4096)
def data_element(code: str) -> str:
    """A DE code with its slips mended: letters O and l for digits, blanks, a lost zero (`DE02.Ol.015.00`,
    `DE06.0.039.00`). '' for the placeholder `DE99999…`, the text itself if it is no DE code at all."""
    code = code.strip()
    if not code.upper().startswith("DE"):
        return code
    mended = "DE" + re.sub(r"\s+", "", code[2:]).translate(_LOOKALIKES)
    if _PLACEHOLDER_ELEMENT.fullmatch(mended):
        return ""
    match = _DATA_ELEMENT.fullmatch(mended)
    if not match:
        return code
    first, second, third, fourth = match.groups()
    return f"DE{first:0>2}.{second:0>2}.{third:0>3}.{fourth:0>2}"


def _folded(text: str) -> str:
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).lower()
