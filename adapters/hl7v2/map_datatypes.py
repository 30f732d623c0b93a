"""HL7 v2 data types -> FHIR data types: CWE, CX, EI, HD, quantities, notes. One function a type, no resources.

Every function takes the context and the value, so that a table of fields can name it (map_context.Row).
"""

import re
from decimal import Decimal
from typing import Any

from adapters.contract import Resource
from adapters.hl7v2.map_context import V2, Context, filled
from adapters.hl7v2.message import Segment, Value, said
from adapters.kit import codes, people

_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_URI = re.compile(r"(https?://|urn:)\S+$")
_TABLE = re.compile(r"HL7-?0*(\d{1,4})")
_SPACES = re.compile(r"\s+")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)")


# ------------------------------------------------------------------------------------------------- codes
def code_system(context: Context, name: str) -> str:
    """The URI of a coding system name (HL7 table 0396): known ones, HL7nnnn tables, URIs, else the sender's own."""
    if not name:
        return ""
    found = context.systems.get(name)
    if found is None:
        found = context.systems[name] = _system(context, name)
    return found


def _system(context: Context, name: str) -> str:
    row = context.row("code_systems", name)
    own = context.site.systems.get(name) or (row[0] if row else "")
    if own:
        return own
    table = _TABLE.fullmatch(name.upper())
    if table:
        return f"{V2}{int(table[1]):04d}"
    if _URI.match(name):
        return name
    if _OID.fullmatch(name):
        return codes.system_of(name)
    return context.local("code", name)


def coded(context: Context, value: Value, system: str = "") -> Resource | None:
    """CodeableConcept of a CWE/CE/CNE/IS/ID: all codings, the original text. `system` fills in where none is named.

    Without either, a code belongs to the sender's own table for this field. A text without a code (`^肺炎`) stays one.
    """
    if not value.text:
        return None
    length = len(value.components())
    if length == 1:
        code = value.said(1)
        if not code:
            return None
        uri = system or context.local("code", value.place.partition("[")[0])
        return {"coding": [{"system": uri, "code": _SPACES.sub(" ", code)}], "text": code}
    codings = []
    for at, version in ((1, 7), (4, 8), (10, 13)):
        if at > length:
            break
        code = value.said(at)
        if code:
            uri = code_system(context, value.component(at + 2)) or system
            coding = {"system": uri or context.local("code", value.place.partition("[")[0])}
            edition = value.said(version) if version <= length else ""
            if edition:
                coding["version"] = edition
            coding["code"] = _SPACES.sub(" ", code)
            display = value.said(at + 1)
            if display:
                coding["display"] = display
            codings.append(coding)
    words = value.said(9) or value.said(2) or value.said(5)
    if not codings:
        return {"text": words} if words else None
    return {"coding": codings, "text": words or codings[0]["code"]}


def in_table(number: str) -> Any:
    """A reader of codes of an HL7 table: `in_table("0074")`."""

    def read(context: Context, value: Value) -> Resource | None:
        return coded(context, value, V2 + number)

    return read


def table_coding(table: str, code: str, display: str) -> Resource:
    """A CodeableConcept of an HL7 table (`0283`)."""
    return {"coding": [{"system": V2 + table, "code": code, "display": display}], "text": display}


def concept_of(system: str, code: str, display: str = "") -> Resource:
    """A CodeableConcept of one known coding."""
    return {"coding": [filled({"system": system, "code": code, "display": display})]}


def unknown_concept() -> Resource:
    """For a required code that the message does not give."""
    system = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    return {"coding": [{"system": system, "code": "unknown", "display": "Unknown"}], "text": "unknown"}


def words(context: Context, value: Value) -> str:
    """A ST, TX or FT as one text."""
    return said(value.whole)


def text_concept(context: Context, value: Value) -> Resource | None:
    """A text where FHIR wants a concept."""
    text = said(value.whole)
    return {"text": text} if text else None


def note(context: Context, value: Value) -> Resource | None:
    """Annotation of a ST, TX or FT."""
    return text_concept(context, value)


def first_text(context: Context, value: Value) -> str:
    """The words of a CWE: its text, else its display, else its code."""
    return value.said(9) or value.said(2) or value.said(1)


def when(context: Context, value: Value) -> str:
    return context.when(value)


def instant(context: Context, value: Value) -> str:
    return context.instant(value)


def flag(context: Context, value: Value) -> bool | None:
    """boolean of table 0136 (Y, N)."""
    return {"Y": True, "N": False}.get(value.component(1).upper())


# ------------------------------------------------------------------------------------------- identifiers
def uri_of(context: Context, name: str, universal: str) -> str:
    """The system of an HD: one of the site's, or its universal id (OID, UUID, URI); '' when it is only local."""
    if context.site.systems:
        known = context.site.systems.get(name) or context.site.systems.get(universal)
        if known:
            return known
    if not universal:
        return ""
    if _OID.fullmatch(universal):
        return f"urn:oid:{universal}"
    if _UUID.fullmatch(universal):
        return f"urn:uuid:{universal.lower()}"
    return universal if _URI.match(universal) else ""


def authority(context: Context, value: Value, component: int) -> str:
    """The system that the HD in a component names, '' when it names only a local namespace."""
    return uri_of(context, value.component(component), value.component(component, 2))


def namespace(value: Value, component: int) -> str:
    """The namespace of an HD, or its universal id where it is of no registered kind (`&BLH` = namespace in sub 2)."""
    return value.said(component) or value.said(component, 2)


def identifier(context: Context, value: Value, kind: str = "") -> tuple[int | None, Resource] | None:
    """(rank, Identifier) of a CX; None without a number. `kind` is the type where CX-5 says none.

    rank: table identifier_types; None for what identifies no person. A resident identity number is known by its type
    (IdentifyNO) or, under no type or a foreign one (SS), by its shape.
    """
    number, written = value.said(1), value.said(5)
    if not number:
        return None
    owner = namespace(value, 4)
    kind = written or (owner if context.row("identifier_types", owner) else kind)
    code, rank, issuer, _ = context.row("identifier_types", kind) or ("", "1", "", "")
    folded = people.fold_digits(number)
    if issuer == "national" or (kind in ("", "SS", "01") and people.looks_like_resident_id(folded)):
        problem = people.resident_id_problem(folded)
        if problem:
            context.problem("warning", "value", problem, value.place, value.line)
        return 0, {"type": id_type("NI", kind or "居民身份证号"), "system": people.RESIDENT_ID, "value": folded}
    system = authority(context, value, 4) or context.local("id", "" if owner == kind else owner, kind)
    made = {
        "type": id_type(code or "", kind) if kind else None,
        "system": system,
        "value": number,
        "period": context.period(value, value, (7, 8)) if len(value.components()) > 6 else None,
        "assigner": filled({"display": value.said(6)}),
    }
    return (None if rank == "-" else int(rank)), filled(made)


def number_of(kind: str) -> Any:
    """A reader of CX identifiers whose type, where they say none, is `kind`."""

    def read(context: Context, value: Value) -> Resource | None:
        found = identifier(context, value, kind)
        return found[1] if found else None

    return read


def id_type(code: str, text: str) -> Resource:
    """Identifier.type: a code of table 0203 where we know one, the sender's word always."""
    coding = [{"system": f"{V2}0203", "code": code}] if code else []
    return filled({"coding": coding, "text": text})


def entity(context: Context, value: Value, what: str, code: str = "") -> Resource | None:
    """Identifier of an EI (number, namespace, universal id); `what` names the sender's numbering, `code` its type."""
    number = value.said(1)
    if not number:
        return None
    universal = value.component(3)
    value.component(4)
    owner = value.said(2)
    system = f"urn:oid:{universal}" if _OID.fullmatch(universal) else context.site.systems.get(owner, "")
    made: Resource = {"type": id_type(code, {"PLAC": "placer", "FILL": "filler"}.get(code, code))} if code else {}
    return made | {"system": system or context.local(what, owner), "value": number}


def numbered(what: str, code: str = "") -> Any:
    """A reader of EI identifiers in the sender's numbering of `what`."""

    def read(context: Context, value: Value) -> Resource | None:
        return entity(context, value, what, code)

    return read


# ------------------------------------------------------------------------------------ numbers and notes
def decimal(text: str) -> Decimal | int | None:
    """A FHIR decimal of an NM, with the digits it was written with; None for what is no number."""
    text = text.strip()
    if len(text) > 40 or not text.isascii() or not _NUMBER.fullmatch(text):
        return None
    return Decimal(text) if "." in text else int(text)


def quantity(context: Context, number: Any, units: Value) -> Resource:
    """Quantity of a number and a CWE of units (OBX-6). Only UCUM gives a code; other units stay words."""
    code, display = units.said(1), units.said(2)
    system = code_system(context, units.component(3))
    made: Resource = {"value": number, "unit": display or code}
    if system.startswith("http://unitsofmeasure") and code and " " not in code:
        made |= {"system": system, "code": code}
    return {key: value for key, value in made.items() if value != ""}


def amount(context: Context, value: Value, units: Value | None = None) -> Resource | None:
    """Quantity of a CQ (number, units in component 2) or of a NM with its units in another field."""
    number = decimal(value.component(1))
    if number is None:
        return None
    return quantity(context, number, value.part(2) if units is None else units)


def money(context: Context, value: Value) -> Resource | None:
    """Money of a CP or MO; the currency is CNY where none is said."""
    inner = value.part(1)
    number = decimal(inner.component(1))
    currency = inner.said(2) or value.said(2)
    return {"value": number, "currency": currency or "CNY"} if number is not None and len(currency) in (0, 3) else None


def add_notes(context: Context, made: Any, segments: list[Segment], element: str = "note") -> None:
    """NTE segments as annotations of a resource: the text of NTE-3, its author and time."""
    for segment in segments:
        values = segment.values(3)
        text = "\n".join(part for part in (said(value.whole) for value in values) if part)
        if not text:
            continue
        at, author = segment.value(6), segment.value(5)
        who = " ".join(author.all_said(2, 3)).strip() or author.said(1)
        content = filled({"authorString": who, "time": context.when(at), "text": text})
        made.add(element, content, values[0].place, values[0].line)
        context.traced(made, element, *values[1:], at, author)
