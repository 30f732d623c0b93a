"""People, institutions, places: PID, NK1 -> Patient, XCN -> Practitioner, HD, XON -> Organization, PL -> Location."""

import re
from typing import Any

from adapters.contract import Mode, Resource, Trace
from adapters.hl7v2.map_context import Context, filled, lookup, said
from adapters.hl7v2.map_datatypes import (
    address,
    authority,
    code_system,
    coded,
    id_type,
    identifier,
    names,
    namespace,
    telecom,
)
from adapters.hl7v2.message import Segment, Value
from adapters.kit import people
from adapters.kit.resource import Made, reference

EXT = "http://hl7.org/fhir/StructureDefinition/"
ETHNIC_GROUP = "http://hl7.org.cn/fhir/sd/ehr/StructureDefinition/ext-person-ethnicGroup"
PHYSICAL = "http://terminology.hl7.org/CodeSystem/location-physical-type"


# ------------------------------------------------------------------------------------------------ Patient
def patient(context: Context, segment: Segment, mode: Mode) -> None:
    """PID -> Patient. The identifier that is surest stands first: it is what the patient is matched by."""
    segment.note(1)
    ranked = _identifiers(context, segment)
    first = next((item for item in ranked if item[0] is not None), None)
    if first is None:
        text = "the patient has no identifier with a value (PID-3, PID-2 and PID-4 are empty)"
        context.problem("error", "required", text, "PID-3", segment.line)
        return
    identity = first[1]
    context.patient_key = context.key("patient", f"{identity.get('system', '')}|{identity['value']}")
    made = context.patient = context.make("Patient", context.patient_key, mode)
    for rank, one, value in [first, *(item for item in ranked if item is not first)]:
        if rank is None:
            text = f"{one['value']} ({one['type']['text']}) identifies no person"
            context.problem("information", "unmapped", text, value.place, value.line)
        else:
            made.add("identifier", one, value.place, value.line)
    for field in (5, 9):
        for value in segment.values(field):
            for name in names(value):
                made.add("name", name, value.place, value.line)
    _born(context, made, segment)
    _demographics(context, made, segment)
    _reach(made, segment)
    _extensions(context, made, segment)


def _identifiers(context: Context, segment: Segment) -> list[tuple[int | None, Resource, Value]]:
    """(rank, Identifier, where from) of PID-3, 2, 4, 18, 19, 20; best rank first, the source's order within a rank."""
    kinds = {3: "", 2: "", 4: "", 18: "AN", 19: "SS"}
    found = []
    for field, kind in kinds.items():
        for value in segment.values(field):
            made = identifier(context, value, kind)
            if made is not None:
                found.append((made[0], made[1], value))
    licence = segment.value(20)  # a DLN, not a CX: number, issuing authority
    if said(licence.component(1)):
        system = context.local("id", said(licence.component(2)), "DL")
        found.append((2, {"type": id_type("DL", "DL"), "system": system, "value": said(licence.component(1))}, licence))
    return sorted(found, key=lambda item: 9 if item[0] is None else item[0])


def _born(context: Context, made: Made, segment: Segment) -> None:
    value = segment.value(7)
    at = context.when(value)
    made.put("birthDate", at.partition("T")[0], value.place, value.line)
    if "T" in at:
        made.put("_birthDate", {"extension": [{"url": f"{EXT}patient-birthTime", "valueDateTime": at}]})
    died, dead = segment.value(29), segment.value(30)
    flag = dead.component(1).upper()
    at = context.when(died)
    if at:
        made.put("deceasedDateTime", at, died.place, died.line)
    elif flag in ("Y", "N"):
        made.put("deceasedBoolean", flag == "Y", dead.place, dead.line)
    twin, order = segment.value(24), segment.value(25)
    number = order.component(1)
    if twin.component(1).upper() == "Y" and number.isdigit():
        made.put("multipleBirthInteger", int(number), order.place, order.line)
    elif twin.component(1).upper() in ("Y", "N"):
        made.put("multipleBirthBoolean", twin.component(1).upper() == "Y", twin.place, twin.line)


def _demographics(context: Context, made: Made, segment: Segment) -> None:
    made.put("gender", gender(context, segment.value(8)), "PID-8", segment.line)
    value = segment.value(16)
    made.put("maritalStatus", people.marital(value.component(1), value.component(2)), value.place, value.line)
    value = segment.value(15)
    language = coded(context, value)
    if language:
        made.put("communication", [{"language": language}], value.place, value.line)


def gender(context: Context, value: Value) -> str | None:
    """administrative-gender of table 0001 or GB/T 2261.1; a code we do not know stays in a warning."""
    code = said(value.taken().component(1))
    if not code:
        return None
    known = people.gender(code)
    if known is None:
        context.unknown(value, code, "administrative sex")
    return known


def _reach(made: Made, segment: Segment) -> None:
    for value in segment.values(11):
        if value.component(7) in ("N", "BDL"):  # place of origin or of birth, not an address to write to
            birthplace = address(value)
            _extend(made, f"{EXT}patient-birthPlace", "valueAddress", birthplace, value)
        else:
            made.add("address", address(value), value.place, value.line)
    for field, use in ((13, "home"), (14, "work")):
        for value in segment.values(field):
            made.add("telecom", telecom(value, use), value.place, value.line)


def _extensions(context: Context, made: Made, segment: Segment) -> None:
    value = segment.value(23)
    text = said(value.component(1))
    _extend(made, f"{EXT}patient-birthPlace", "valueAddress", {"text": text} if text else None, value)
    value = segment.value(22)
    ethnic = filled(
        {
            "system": code_system(context, value.component(3)) or context.local("code", "PID-22"),
            "code": said(value.component(1)),
            "display": said(value.component(2)),
        }
    )
    _extend(made, ETHNIC_GROUP, "valueCoding", ethnic if len(ethnic) > 1 else None, value)
    value = segment.value(6)
    family = said(value.component(1))
    _extend(made, f"{EXT}patient-mothersMaidenName", "valueString", family, value)
    value = segment.value(17)
    _extend(made, f"{EXT}patient-religion", "valueCodeableConcept", coded(context, value), value)
    for field in (26, 28):
        value = segment.value(field)
        citizenship = coded(context, value)
        inner = [{"url": "code", "valueCodeableConcept": citizenship}] if citizenship else None
        _extend(made, f"{EXT}patient-citizenship", "extension", inner, value)


def _extend(made: Made, url: str, kind: str, value: Any, source: Value) -> None:
    """Adds an extension once; the first field that fills it wins."""
    if value and not _has(made, url):
        made.add("extension", {"url": url, kind: value}, source.place, source.line)


def _has(made: Made, url: str) -> bool:
    return any(extension["url"] == url for extension in made.resource.get("extension", []))


def contact(context: Context, segment: Segment) -> None:
    """NK1 -> Patient.contact; one without a name, a phone or an address says too little (rule pat-1)."""
    segment.note(1)
    if context.patient is None or context.repeats(segment):
        return
    relationships = [coded(context, segment.value(field)) for field in (3, 7)]
    points = [
        point for f, use in ((5, ""), (6, "work")) for value in segment.values(f) if (point := telecom(value, use))
    ]
    name = next((found[0] for value in segment.values(2) if (found := names(value))), None)
    where = next((lived for value in segment.values(4) if (lived := address(value))), None)
    organization = said(segment.value(13).component(1))
    content = filled(
        {
            "relationship": [concept for concept in relationships if concept],
            "name": name,
            "telecom": points,
            "address": where,
            "gender": gender(context, segment.value(15)),
            "organization": {"display": organization} if organization else None,
            "period": context.period(segment.value(8), segment.value(9)),
        }
    )
    if not any(element in content for element in ("name", "telecom", "address", "organization")):
        text = "the contact has no name, phone or address; left out"
        context.problem("warning", "incomplete", text, segment.name, segment.line)
        return
    made = context.patient
    made.add("contact", content)
    fields = {"relationship": 3, "name": 2, "telecom": 5, "address": 4, "gender": 15, "organization": 13, "period": 8}
    index = len(made.resource["contact"]) - 1
    context.mapped.trace.extend(
        Trace(made.key, f"Patient.contact[{index}].{element}", f"NK1-{fields[element]}", segment.line)
        for element in content
    )


# ------------------------------------------------------------------- practitioners, organizations, places
def practitioner(context: Context, value: Value) -> Resource | None:
    """A reference to the Practitioner of an XCN; without a number it can only be named (a display, no resource)."""
    found = names(value, 2)
    number = said(value.component(1))
    display = found[0]["text"] if found else ""
    if not number:
        return {"display": display} if display else None
    system = authority(context, value, 9) or context.local("staff", namespace(value, 9))
    value.component(13)
    key = context.key("practitioner", f"{system}|{number}")
    if context.made(key) is None:
        made = context.make("Practitioner", key, "shared")
        made.add("identifier", {"system": system, "value": number}, value.place, value.line)
        for name in found:
            made.add("name", name, value.place, value.line)
    return reference(key, display)


def facility(context: Context, value: Value) -> None:
    """MSH-4 -> the Organization that sends; it serves the visit."""
    name, universal = said(value.component(1)), said(value.component(2))
    value.component(3)
    if name or universal:
        system = authority(context, value, 1)
        pair = ("urn:ietf:rfc:3986", system) if system else (context.local("organization"), name)
        context.organization = organization(context, name or universal, pair, value)


def organization(context: Context, name: str, numbered: tuple[str, str] | None, value: Value) -> Resource | None:
    """A reference to an Organization: shared when it has a number (system, value), else the sender's own, by name."""
    if numbered is None and not name:
        return None
    identity = "|".join(numbered) if numbered else name
    key = context.key("organization", identity)
    if context.made(key) is None:
        made = context.make("Organization", key, "shared" if numbered else "owned")
        if numbered:
            made.add("identifier", {"system": numbered[0], "value": numbered[1]}, value.place, value.line)
        made.put("name", name or identity, value.place, value.line)
    return reference(key, name)


def named_organization(context: Context, value: Value) -> Resource | None:
    """Organization of an XON: name 1, number 10 or 3, authority 6."""
    name, number = said(value.component(1)), said(value.component(10)) or said(value.component(3))
    system = authority(context, value, 6) or context.local("organization", namespace(value, 6))
    return organization(context, name, (system, number) if number else None, value)


_DEPTH = ((3, "bd", "Bed"), (2, "ro", "Room"), (1, "wa", "Ward"), (7, "bu", "Building"))
_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")


def place(context: Context, value: Value) -> Resource | None:
    """A reference to the Location of a PL: one Location a distinct place, named from the widest part to the bed."""
    parts = [said(value.component(n)) for n in range(1, 10)]
    value.component(4, 1)
    if not any(parts):
        return None
    system = context.local("location")
    number = "^".join(parts).rstrip("^")
    key = context.key("location", number)
    point, room, bed, owner, _, _, building, floor, description = parts
    # Chinese senders put the department's name where they like; what is written in Chinese is the name.
    words = [part for part in parts[:8] if _HAN.search(part)]
    words = words or [part for part in (owner, building, floor, point, room, bed) if part]
    name = description or " ".join(words) or number
    if context.made(key) is None:
        made = context.make("Location", key, "shared")
        made.add("identifier", {"system": system, "value": number}, value.place, value.line)
        made.put("name", " ".join(words) or name, value.place, value.line)
        if description:
            made.put("description", description, value.place, value.line)
        code, display = next(((c, d) for n, c, d in _DEPTH if parts[n - 1]), ("", ""))
        if code:
            made.put("physicalType", {"coding": [{"system": PHYSICAL, "code": code, "display": display}]})
        if context.organization and owner in ("", context.organization.get("display")):
            made.put("managingOrganization", context.organization)
    return reference(key, name)


def status_of(context: Context, value: Value, table: str, missing: str, what: str) -> str:
    """A required FHIR status from a table; a code that it does not have is a warning and gives `missing`."""
    code = said(value.taken().component(1))
    if not code:
        return missing
    row = lookup(table, code)
    if row is None:
        context.unknown(value, code, what)
        return missing
    return row[0]
