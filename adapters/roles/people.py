"""Who takes part in a message: the patient, institutions with their departments, and doctors, each written once."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from adapters.contract import Mapped, Resource
from adapters.kit import codes, people
from adapters.kit.resource import Made
from adapters.roles.fields import Field, Fields, source

INSTITUTION = "urn:oid:2.16.156.10011.1.5"  # 医疗卫生机构, WS/T 482
_V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
RESIDENT_CARD = "居民身份证"  # as card_types.csv calls it
ETHNIC = "urn:oid:2.16.156.10011.2.3.3.3"  # GB 3304
ETHNIC_EXTENSION = "http://hl7.org.cn/fhir/sd/ehr/StructureDefinition/ext-person-ethnicGroup"
RELATION = "urn:oid:2.16.156.10011.2.3.3.8"  # GB/T 4761
_ORGANIZATION_TYPE = "http://terminology.hl7.org/CodeSystem/organization-type"


def local_system(source: str, what: str) -> str:
    """The system of numbers that only mean something inside a source: `urn:tiercare:source:<source>:<what>`."""
    return f"urn:tiercare:source:{quote(source, safe='')}:{what}"


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a referral, `from` or `to`; None for what the record does not name."""

    institution: Made | None
    department: Made | None
    doctor: Made | None
    field: str  # the institution's columns


class People:
    """Makes the persons and institutions of one record; the same one met twice is one resource."""

    def __init__(self, fields: Fields, mapped: Mapped, source: str, own_codes: bool) -> None:
        """`own_codes`: the source numbers institutions by its own dictionary, not by the national register."""
        self._fields, self._mapped, self._source = fields, mapped, source
        self._own_codes = own_codes
        self._institution_system = local_system(source, "institution") if own_codes else INSTITUTION
        self._made: dict[str, Made] = {}

    def side(self, side: str) -> Side:
        code, name = self._fields.one(f"{side}.code"), self._fields.one(f"{side}.name")
        institution = self._organization(code, name, self._institution_system, self._source, "institution", "prov")
        scope = code.text if code else name.text if name else self._source
        if self._own_codes:
            scope = f"{self._source}/{scope}"
        department = self._organization(
            self._fields.one(f"{side}.dept.code"),
            self._fields.one(f"{side}.dept.name"),
            local_system(scope, "department"),
            scope,
            "department",
            "dept",
        )
        if department and institution and "partOf" not in department.resource:
            department.put("partOf", institution.reference(), _columns(code, name), _line(code, name))
        return Side(institution, department, self._doctor(side, scope), _columns(code, name))

    def _organization(
        self, code: Field | None, name: Field | None, system: str, scope: str, what: str, type: str
    ) -> Made | None:
        """An institution or department. Without a code its name, within its scope, is what identifies it."""
        if code is None and name is None:
            return None
        identifier = _identified(code, name, system, scope, what)
        made, new = self._once("Organization", identifier)
        if new:
            made.add("identifier", identifier, _columns(code or name), _line(code, name))
            made.add("type", {"coding": [{"system": _ORGANIZATION_TYPE, "code": type}]})
        if name and "name" not in made.resource:
            made.put("name", name.text, name.column, name.line)
        return made

    def doctor(self, role: str) -> Made | None:
        """A practitioner of no side, known by `<role>.code` or by name within the source."""
        return self._practitioner(role, self._source)

    def _doctor(self, side: str, scope: str) -> Made | None:
        return self._practitioner(f"{side}.doctor", scope)

    def _practitioner(self, role: str, scope: str) -> Made | None:
        code, name = self._fields.one(f"{role}.code"), self._fields.one(f"{role}.name")
        if code is None and name is None:
            return None
        identifier = _identified(code, name, local_system(scope, "staff"), scope, "staff")
        made, new = self._once("Practitioner", identifier)
        if new:
            made.add("identifier", identifier, _columns(code or name), _line(code, name))
        if name and "name" not in made.resource:
            made.add("name", people.name(name.text), name.column, name.line)
        return made

    def patient(self) -> Made | None:
        """The patient by identity number, else card, else the source's own number; None after noting an error."""
        identifiers = self._patient_identifiers()
        name = self._fields.one("patient.name")
        if not identifiers:
            roles = ("patient.id_card", "patient.card", "patient.chart", "patient.local")
            self._fields.missing("no number identifies the patient", *roles)
            return None
        made, _ = self._once("Patient", identifiers[0][0])
        for identifier, cell in identifiers:
            made.add("identifier", identifier, cell.column, cell.line)
        if name:
            made.add("name", people.name(name.text), name.column, name.line)
        self._sex(made)
        born, field = self._fields.date("patient.birth")
        if field:
            made.put("birthDate", born, field.column, field.line)
            self._compare_birth(born, field, identifiers[0][0])
        phone = self._fields.one("patient.phone")
        if phone:
            made.add("telecom", people.phone(phone.text), phone.column, phone.line)
        self._home(made)
        self._contact(made)
        self._mapped.subject = made.key
        return made

    def names_patient(self) -> bool:
        """Whether a number that identifies the patient is there."""
        return any(self._fields.all(f"patient.{role}") for role in ("id_card", "card", "chart", "local"))

    def _home(self, made: Made) -> None:
        """Address, marital status, ethnic group, death."""
        self._address(made)
        marital = self._fields.one("patient.marital")
        if marital:
            made.put("maritalStatus", people.marital(marital.text, self._fields.shown(marital)), *source(marital))
        ethnic = self._fields.one("patient.ethnic")
        if ethnic:
            name = "" if ethnic.text.isalnum() and ethnic.text.isascii() else ethnic.text
            coding = {"system": ETHNIC, "code": ethnic.text} if not name else {"display": name}
            word = self._fields.shown(ethnic)
            coding |= {"display": word} if word else {}
            made.add("extension", {"url": ETHNIC_EXTENSION, "valueCoding": coding}, *source(ethnic))
        died, field = self._fields.date_time("patient.died")
        made.put("deceasedDateTime", died, *source(field))

    def _address(self, made: Made) -> None:
        """As one text, as parts, or as both."""
        said = self._fields.all("patient.address")
        parts = {part: self._fields.all(f"patient.address.{part}") for part in ("state", "city", "district", "zip")}
        lines = self._fields.all("patient.address.line")
        for address in said[:-1] if any(parts.values()) else said:
            made.add("address", {"text": address.text, "country": "CN"}, *source(address))
        if not (any(parts.values()) or lines):
            return
        whole = "".join(
            f.text for found in (*(parts[p] for p in ("state", "city", "district")), lines) for f in found[:5]
        )
        result: Resource = {"text": said[-1].text if said else whole, "country": "CN"}
        for part, element in (("state", "state"), ("city", "city"), ("district", "district"), ("zip", "postalCode")):
            if parts[part]:
                result[element] = parts[part][0].text
        if lines:
            result["line"] = [line.text for line in lines]
        first = next(f for found in (*parts.values(), lines) for f in found)
        made.add(
            "address", result, _columns(*said[-1:], *(f for found in parts.values() for f in found), *lines), first.line
        )

    def _contact(self, made: Made) -> None:
        """The person to turn to: https://hl7.org/fhir/R4/patient-definitions.html#Patient.contact"""
        name, phone = self._fields.one("patient.contact.name"), self._fields.one("patient.contact.phone")
        relation, home = self._fields.one("patient.contact.relation"), self._fields.one("patient.contact.address")
        if not (name or phone or home):
            return
        contact: Resource = {}
        if relation:
            row = self._fields.word(relation)
            contact["relationship"] = [
                codes.concept(
                    relation.text, RELATION, text=self._fields.shown(relation) or (row[0] if row else relation.text)
                )
            ]
        if name:
            contact["name"] = people.name(name.text)
        if phone:
            contact["telecom"] = [people.phone(phone.text)]
        if home:
            contact["address"] = {"text": home.text}
        made.add(
            "contact",
            {k: v for k, v in contact.items() if v and v != [None]},
            _columns(name, phone, relation, home),
            _line(name, phone, home),
        )

    def _patient_identifiers(self) -> list[tuple[Resource, Field]]:
        """Surest first: identity number, card, the source's own patient number."""
        found: list[tuple[Resource, Field]] = []
        id_card, card = self._fields.one("patient.id_card"), self._fields.one("patient.card")
        kind, local = self._fields.one("patient.card_type"), self._fields.one("patient.local")
        id_card, card, local = (self._whole(field) for field in (id_card, card, local))
        if id_card:
            found.append((self._resident_id(id_card), id_card))
        word = self._fields.word(kind) if kind else None
        is_id = card and (people.looks_like_resident_id(card.text) or (word and word[0] == RESIDENT_CARD))
        if card and is_id and not id_card:
            found.append((self._resident_id(card), card))
        elif card and id_card and people.fold_digits(card.text) == people.fold_digits(id_card.text):
            pass  # the identity card is the card
        elif card:
            if is_id and id_card:
                self._fields.problem("warning", "conflict", f"another identity number than {id_card.column}", card)
            title = word[0] if word else f"卡类型 {kind.text}" if kind else card.title
            number = {"type": {"text": title}, "system": local_system(self._source, "card"), "value": card.text}
            found.append((number, card))
        chart = self._whole(self._fields.one("patient.chart"))
        if chart:
            found.append(({"system": local_system(self._source, "chart"), "value": chart.text}, chart))
        if local:
            number = {"system": local_system(self._source, "patient"), "value": local.text}
            found.append((number, local))
        return found

    def _whole(self, field: Field | None) -> Field | None:
        """The number, None after a warning when a spreadsheet has lost its last digits: two persons may share the
        rest. Excel keeps 15 digits: `4.29900195603E+17`, or 18 with 000 at the end and a checksum that fails."""
        if field is None:
            return None
        zeros = re.fullmatch(r"[1-9]\d{14}000", field.text) and people.resident_id_problem(field.text)
        if zeros or re.fullmatch(r"\d(\.\d+)?[eE]\+\d+", field.text):
            text = f"{field.text}: a spreadsheet has rounded the number, its last digits are lost; not used"
            self._fields.problem("warning", "value", text, field)
            return None
        return field

    def _resident_id(self, field: Field) -> Resource:
        """A failing checksum is a warning: the standards' own samples fail it."""
        number = people.fold_digits(field.text)
        problem = people.resident_id_problem(number)
        if problem:
            self._fields.problem("warning", "value", f"{number}: {problem}", field)
        type = {"coding": [{"system": _V2_0203, "code": "NI"}], "text": RESIDENT_CARD}
        return {"type": type, "system": people.RESIDENT_ID, "value": number}

    def _sex(self, made: Made) -> None:
        sex = self._fields.one("patient.sex")
        if sex is None:
            return
        gender = people.gender(sex.text) or people.gender(self._fields.shown(sex))
        self._fields.shown(sex)
        if gender is None:
            self._fields.problem("warning", "code-invalid", f"{sex.text} is no code for a sex; left out", sex)
        made.put("gender", gender, sex.column, sex.line)

    def _compare_birth(self, born: str, field: Field, identifier: Resource) -> None:
        """The identity number carries the date of birth; a difference is worth a look."""
        number = identifier["value"]
        if identifier["system"] == people.RESIDENT_ID and re.fullmatch(r"\d{17}[\dX]", number) and len(born) == 10:
            in_number = f"{number[6:10]}-{number[10:12]}-{number[12:14]}"
            if in_number != born:
                text = f"{born} is not the date of birth in the identity number, {in_number}"
                self._fields.problem("warning", "value", text, field)

    def _once(self, type: str, identifier: Resource) -> tuple[Made, bool]:
        key = f"{identifier['system']}|{type}|{identifier['value']}"
        if key in self._made:
            return self._made[key], False
        self._made[key] = Made(self._mapped, type, key, "shared")
        return self._made[key], True


def _identified(code: Field | None, name: Field | None, system: str, scope: str, what: str) -> Resource:
    if code:
        return {"system": system, "value": code.text}
    assert name is not None
    return {"system": local_system(scope, f"{what}-name"), "value": name.text}


def name_of(made: Made) -> str:
    """The name of what was made, for Reference.display."""
    name: Any = made.resource.get("name")
    if isinstance(name, list):
        return str(name[0].get("text", "")) if name else ""
    return str(name or "")


def _columns(*fields: Field | None) -> str:
    return ", ".join(field.column for field in fields if field)


def _line(*fields: Field | None) -> int | None:
    return next((field.line for field in fields if field), None)
