"""HL7 v2 data types -> FHIR data types: CWE CX EI XPN XAD XTN NTE, quantities. One function a type, no resources."""

import re
from decimal import Decimal
from typing import Any

from adapters.contract import Resource
from adapters.hl7v2.map_context import V2, Context, filled, lookup, said
from adapters.hl7v2.message import Segment, Value
from adapters.kit import codes, people

_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")


# ------------------------------------------------------------------------------------------------- codes
def code_system(context: Context, name: str) -> str:
    """The URI of a coding system name (HL7 table 0396): known ones, HL7nnnn tables, URIs, else the sender's own."""
    if not name:
        return ""
    row = lookup("code_systems", name)
    if row:
        return row[0]
    table = re.fullmatch(r"HL7-?0*(\d{1,4})", name.upper())
    if table:
        return f"{V2}{int(table[1]):04d}"
    if re.match(r"(https?://|urn:)\S+$", name):
        return name
    if _OID.fullmatch(name):
        return codes.system_of(name)
    return context.local("code", name)


def coded(context: Context, value: Value, system: str = "") -> Resource | None:
    """CodeableConcept of a CWE/CE/CNE/IS/ID: both codings, the original text. `system` fills in where none is named.

    Without either, a code belongs to the sender's own table for this field. A text without a code (`^肺炎`) stays one.
    """
    if not value:
        return None
    own = system or context.local("code", value.place.partition("[")[0])
    codings = []
    for at in (1, 4):
        code, display = said(value.component(at)), said(value.component(at + 1))
        named = value.component(at + 2)
        if code:
            uri = code_system(context, named) or own
            codings.append(filled({"system": uri, "code": re.sub(r"\s+", " ", code), "display": display}))
    words = said(value.component(9)) or said(value.component(2)) or said(value.component(5))
    if not codings and not words:
        return None
    return filled({"coding": codings, "text": words or codings[0]["code"]})


def table_coding(table: str, code: str, display: str) -> Resource:
    """A CodeableConcept of an HL7 table (`0283`)."""
    return {"coding": [{"system": V2 + table, "code": code, "display": display}], "text": display}


def unknown_concept() -> Resource:
    """For a required code that the message does not give."""
    system = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    return {"coding": [{"system": system, "code": "unknown", "display": "Unknown"}], "text": "unknown"}


# ------------------------------------------------------------------------------------------- identifiers
def authority(context: Context, value: Value, component: int) -> str:
    """The system that an HD names (universal id: OID, UUID, URI), '' when it names only a local namespace."""
    universal = value.component(component, 2)
    if _OID.fullmatch(universal):
        return f"urn:oid:{universal}"
    if _UUID.fullmatch(universal):
        return f"urn:uuid:{universal.lower()}"
    return universal if re.match(r"(https?://|urn:)\S+$", universal) else ""


def namespace(value: Value, component: int) -> str:
    """The namespace of an HD, or its universal id where it is of no registered kind (`&BLH` = namespace in sub 2)."""
    return said(value.component(component)) or said(value.component(component, 2))


def identifier(context: Context, value: Value, kind: str = "") -> tuple[int | None, Resource] | None:
    """(rank, Identifier) of a CX; None without a number. `kind` is the type where CX-5 says none.

    rank: table identifier_types; None for what identifies no person. A resident identity number is known by its type
    (IdentifyNO) or, under no type or a foreign one (SS), by its shape.
    """
    number, written = said(value.component(1)), said(value.component(5))
    if not number:
        return None
    owner = namespace(value, 4)
    kind = written or (owner if lookup("identifier_types", owner) else kind)
    code, rank, issuer, _ = lookup("identifier_types", kind) or ("", "1", "", "")
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
        "period": context.period(value, value, (7, 8)),
    }
    return (None if rank == "-" else int(rank)), filled(made)


def id_type(code: str, text: str) -> Resource:
    """Identifier.type: a code of table 0203 where we know one, the sender's word always."""
    coding = [{"system": f"{V2}0203", "code": code}] if code else []
    return filled({"coding": coding, "text": text})


def entity(context: Context, value: Value, what: str) -> Resource | None:
    """Identifier of an EI (number, namespace, universal id); `what` names the sender's numbering."""
    number = said(value.component(1))
    if not number:
        return None
    universal = value.component(3)
    system = f"urn:oid:{universal}" if _OID.fullmatch(universal) else context.local(what, said(value.component(2)))
    return {"system": system, "value": number}


# ----------------------------------------------------------------------------------- names and addresses
def names(value: Value, first: int = 1) -> list[Resource]:
    """HumanNames of an XPN (first=1) or of the name part of an XCN (first=2).

    A bare Chinese name in one component is split; pinyin beside it becomes a second name.
    """
    family, given, middle, suffix, prefix, degree = (said(value.component(first + i)) for i in range(6))
    use = (lookup("name_use", value.component(first + 6)) or ("",))[0] if first == 1 else ""
    pinyin = ""
    if _HAN.search(family) and suffix and suffix.isascii():
        pinyin, suffix = suffix, ""
    elif family.isascii() and _HAN.search(given):
        pinyin, family, given = family, given, ""
    name = people.name("^".join((family, given, middle)) if given or middle else family)
    if name is None:
        return []
    if use:
        name["use"] = use
    if prefix:
        name["prefix"] = [prefix]
    ends = [part for part in (suffix, degree) if part]
    if ends:
        name["suffix"] = ends
    result = [name]
    if pinyin:
        result.append({"text": pinyin})
    return result


def address(value: Value) -> Resource | None:
    """Address of an XAD (or a plain text); None when it says nothing (`无`, `同上`)."""
    parts = {n: said(value.component(n)) for n in (1, 2, 3, 4, 5, 6, 8, 9)}
    street = said(value.component(1, 2))
    if street and parts[1]:
        parts[1] = f"{parts[1]} {street}"
    if not any(parts.values()):
        return None
    use, kind = lookup("address_use", value.component(7)) or ("", "")
    lines = [parts[n] for n in (1, 2, 8) if parts[n]]
    whole = [parts[n] for n in (6, 4, 3, 9, 1, 2, 8) if parts[n]]
    chinese = bool(_HAN.search("".join(whole)))
    text = "".join(whole) if chinese else ", ".join(parts[n] for n in (1, 2, 8, 3, 9, 4, 5, 6) if parts[n])
    made = {
        "use": use,
        "type": kind,
        "text": text,
        "line": lines,
        "city": parts[3],
        "district": parts[9],
        "state": parts[4],
        "postalCode": parts[5],
        "country": parts[6],
    }
    return filled(made)


def telecom(value: Value, use: str = "") -> Resource | None:
    """ContactPoint of an XTN. The number stands in 12, 1, 5-8 or (Chinese systems) 9; an e-mail in 4.

    `use` fills in where XTN-2 says nothing.
    """
    area, local, extension = (said(value.component(n)) for n in (6, 7, 8))
    country = said(value.component(5))
    pieces = " ".join(part for part in (country and local and f"+{country.lstrip('+')}", area, local) if part)
    if local and extension:
        pieces += f" ext. {extension}"
    said_use, kind = value.component(2), value.component(3)
    email = said(value.component(4))
    other = said(value.component(9))
    number = said(value.component(12)) or said(value.component(1)) or (pieces if local else "") or other or country
    by_use, by_kind = (lookup("telecom", code) or ("", "") for code in (said_use, kind))
    if email or "@" in number:
        point: Resource | None = {"system": "email", "value": email or number}
    else:
        point = people.phone(number)
    if point is None:
        return None
    if not email and (by_kind[0] or by_use[0]) and "@" not in number:
        point["system"] = by_kind[0] or by_use[0]
    final = by_use[1] or by_kind[1] or point.get("use") or use
    if final and not (final == "mobile" and point["system"] == "email"):
        point["use"] = final
    return point


# ------------------------------------------------------------------------------------ numbers and notes
def decimal(text: str) -> Decimal | int | None:
    """A FHIR decimal of an NM, with the digits it was written with; None for what is no number."""
    text = text.strip()
    if not re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)", text):
        return None
    return Decimal(text) if "." in text else int(text)


def quantity(context: Context, number: Any, units: Value) -> Resource:
    """Quantity of a number and a CWE of units (OBX-6). Only UCUM gives a code; other units stay words."""
    code, words = said(units.component(1)), said(units.component(2))
    system = code_system(context, units.component(3))
    made: Resource = {"value": number, "unit": words or code}
    if system.startswith("http://unitsofmeasure") and code:
        made |= {"system": system, "code": code}
    return {key: value for key, value in made.items() if value != ""}


def notes(context: Context, segment: Segment) -> list[tuple[Resource, Value]]:
    """The NTE segments that follow this one directly, each an Annotation and the value it came from."""
    segments = context.message.segments
    at = next(i for i, other in enumerate(segments) if other is segment) + 1
    found = []
    while at < len(segments) and segments[at].name == "NTE":
        note = segments[at]
        note.note(1)
        note.note(2)
        values = note.values(3)
        text = "\n".join(part for part in (said(value.whole) for value in values) if part)
        if text:
            found.append(({"text": text}, values[0]))
        at += 1
    return found
