"""PID, PD1, NK1, GT1 -> Patient with its contacts, and RelatedPerson for the mother and the guarantor."""

from collections.abc import Callable
from typing import Any

from adapters.contract import Mode, Resource
from adapters.hl7v2.map_context import Context, filled
from adapters.hl7v2.map_datatypes import code_system, coded, flag, id_type, identifier
from adapters.hl7v2.map_names import address, home_phone, names, telecom, work_phone
from adapters.hl7v2.message import Segment, Value
from adapters.kit import people
from adapters.kit.resource import Made

EXT = "http://hl7.org/fhir/StructureDefinition/"
ETHNIC_GROUP = "http://hl7.org.cn/fhir/sd/ehr/StructureDefinition/ext-person-ethnicGroup"
RACE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"
ROLE_CODE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
_KINDS = {
    3: "",
    2: "",
    4: "",
    18: "AN",
    19: "SS",
}  # PID fields, and what CX they hold


def patient(context: Context, segment: Segment, mode: Mode) -> Made | None:
    """PID -> Patient. The identifier that is surest stands first: it is what the patient is matched by."""
    ranked = _identifiers(context, segment)
    first = next((item for item in ranked if item[0] is not None), None)
    if first is None:
        text = "the patient has no identifier with a value (PID-3, PID-2 and PID-4 are empty)"
        context.problem("error", "required", text, segment.place(3), segment.line)
        return None
    identity = first[1]
    context.patient_key = context.key("patient", f"{identity.get('system', '')}|{identity['value']}")
    made = context.made(context.patient_key)
    if made is not None:  # the same patient once more: the message repeats itself for its next order
        context.patient = made
        _repeated(segment)
        return made
    made = context.patient = context.make("Patient", context.patient_key, mode)
    for rank, one, value in [first, *(item for item in ranked if item is not first)]:
        if rank is None:
            text = f"{one['value']} ({one['type']['text']}) identifies no person"
            context.problem("information", "unmapped", text, value.place, value.line)
        else:
            made.add("identifier", one, value.place, value.line)
    for field in (5, 9):
        for value in segment.values(field):
            for one in names(context, value):
                made.add("name", one, value.place, value.line)
    _born(context, made, segment)
    context.fill(made, segment, ((8, "gender", gender), (16, "maritalStatus", _marital)))
    _reach(context, made, segment)
    _language(context, made, segment)
    _extensions(context, made, segment)
    return made


def _repeated(segment: Segment) -> None:
    for number in range(1, len(segment.fields())):
        for value in segment.values(number):
            value.taken()


def _identifiers(context: Context, segment: Segment) -> list[tuple[int | None, Resource, Value]]:
    """(rank, Identifier, where from) of PID-3, 2, 4, 18, 19, 20; best rank first, the source's order within a rank."""
    found = []
    for field, kind in _KINDS.items():
        for value in segment.values(field):
            made = identifier(context, value, kind)
            if made is not None:
                found.append((made[0], made[1], value))
    licence = segment.value(20)  # a DLN, not a CX: number, issuing authority
    if licence.said(1):
        system = context.local("id", licence.said(2), "DL")
        own = {"type": id_type("DL", "DL"), "system": system, "value": licence.said(1)}
        period = context.period(Value(segment, 0, 0, ""), licence, (1, 3))
        found.append((2, own | ({"period": period} if period else {}), licence))
    return sorted(found, key=lambda item: 9 if item[0] is None else item[0])


def _born(context: Context, made: Made, segment: Segment) -> None:
    value = segment.value(7)
    at = context.when(value)
    made.put("birthDate", at.partition("T")[0], value.place, value.line)
    if "T" in at:
        made.put("_birthDate", {"extension": [{"url": f"{EXT}patient-birthTime", "valueDateTime": at}]})
    died, dead = segment.value(29), segment.value(30)
    at = context.when(died)
    if at:
        made.put("deceasedDateTime", at, died.place, died.line)
        context.traced(made, "deceasedDateTime", dead.taken())
    else:
        made.put("deceasedBoolean", flag(context, dead), dead.place, dead.line)
    twin, order = segment.value(24), segment.value(25)
    number = order.component(1)
    if twin.component(1).upper() == "Y" and number.isdecimal() and 0 < int(number) < 20:
        made.put("multipleBirthInteger", int(number), order.place, order.line)
        context.traced(made, "multipleBirthInteger", twin)
    else:
        made.put("multipleBirthBoolean", flag(context, twin), twin.place, twin.line)


def _marital(context: Context, value: Value) -> Resource | None:
    value.component(3)
    return people.marital(value.component(1), value.component(2))


def gender(context: Context, value: Value) -> str | None:
    """administrative-gender of table 0001 or GB/T 2261.1; a code we do not know stays in a warning."""
    code = value.taken().said(1)
    if not code:
        return None
    row = context.row("gender", code)
    known = row[0] if row else people.gender(code)
    if known is None:
        context.unknown(value, code, "administrative sex")
    return known


def _reach(context: Context, made: Made, segment: Segment) -> None:
    for value in segment.values(11):
        if value.component(7) in ("N", "BDL"):  # place of origin or of birth, not an address to write to
            extend(made, f"{EXT}patient-birthPlace", "valueAddress", address(context, value), value)
        else:
            made.add("address", address(context, value), value.place, value.line)
    county = segment.value(12)
    if county.said(1) and made.resource.get("address") and "district" not in made.resource["address"][0]:
        made.resource["address"][0]["district"] = county.said(2) or county.said(1)
        context.traced(made, "address[0].district", county)
    phones = ((13, "telecom[]", home_phone), (14, "telecom[]", work_phone), (40, "telecom[]", telecom))
    context.fill(made, segment, phones)


def _language(context: Context, made: Made, segment: Segment) -> None:
    value = segment.value(15)
    language = coded(context, value)
    if language:
        made.put("communication", [{"language": language}], value.place, value.line)


def _nested(context: Context, value: Value) -> list[Resource] | None:
    concept = coded(context, value)
    return [{"url": "code", "valueCodeableConcept": concept}] if concept else None


def _birthplace(context: Context, value: Value) -> Resource | None:
    text = value.said(1)
    return {"text": text} if text else None


def _ethnic(context: Context, value: Value) -> Resource | None:
    """民族: `1^汉族`, `HA^汉族`, `^汉族^1`, `^^汉族`."""
    code, display, third = value.said(1), value.said(2), value.said(3)
    if not code and third:
        code, display = (third, display) if display else ("", third)
        third = ""
    system = code_system(context, third) or context.local("code", value.place)
    made = filled({"system": system, "code": code, "display": display})
    return made if len(made) > 1 else None


def _family(context: Context, value: Value) -> str:
    return value.said(1)


_EXTENSIONS: tuple[tuple[int, str, str, Callable[[Context, Value], Any]], ...] = (
    (23, f"{EXT}patient-birthPlace", "valueAddress", _birthplace),
    (22, ETHNIC_GROUP, "valueCoding", _ethnic),
    (6, f"{EXT}patient-mothersMaidenName", "valueString", _family),
    (17, f"{EXT}patient-religion", "valueCodeableConcept", coded),
    (26, f"{EXT}patient-citizenship", "extension", _nested),
    (28, f"{EXT}patient-nationality", "extension", _nested),
)


def _extensions(context: Context, made: Made, segment: Segment) -> None:
    for number, url, kind, read in _EXTENSIONS:
        if segment.raw(number):
            value = segment.value(number)
            extend(made, url, kind, read(context, value), value)
    _race(context, made, segment)
    species, breed = segment.value(35), segment.value(36)
    parts = [("species", coded(context, species)), ("breed", coded(context, breed))]
    inner = [{"url": url, "valueCodeableConcept": concept} for url, concept in parts if concept]
    if parts[0][1]:
        extend(made, f"{EXT}patient-animal", "extension", inner, species)
        context.traced(made, "extension", breed)


def _race(context: Context, made: Made, segment: Segment) -> None:
    """PID-10: R4 itself has no element for race; the extension that profiles of it use."""
    found = [(concept, value) for value in segment.values(10) if (concept := coded(context, value))]
    if found:
        codings = [coding for concept, _ in found for coding in concept.get("coding", [])[:1]]
        inner = [{"url": "detailed", "valueCoding": coding} for coding in codings]
        text = ", ".join(concept["text"] for concept, _ in found)
        extend(made, RACE, "extension", [*inner, {"url": "text", "valueString": text}], found[0][1])
        context.traced(made, "extension", *(value for _, value in found[1:]))


def extend(made: Made, url: str, kind: str, content: Any, source: Value) -> None:
    """Adds an extension once; the first field that fills it wins."""
    if content and not any(extension["url"] == url for extension in made.resource.get("extension", [])):
        made.add("extension", {"url": url, kind: content}, source.place, source.line)
