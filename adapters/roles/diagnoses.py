"""Diagnosis and procedure cells -> Conditions and Procedures: several codes in a cell, dagger pairs, damaged case."""

import re
import unicodedata

from adapters.contract import Resource, Trace
from adapters.kit import codes
from adapters.kit.resource import Made
from adapters.roles.case import Case
from adapters.roles.fields import Field, Fields, source

DUE_TO = "http://hl7.org/fhir/StructureDefinition/condition-dueTo"
_ROLE = "http://terminology.hl7.org/CodeSystem/diagnosis-role"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
_LIST = re.compile(r"[,，;；|、\n]+")
_ICD10 = re.compile(r"[A-Za-z]\d{2}(\.[0-9A-Za-z]+)?")
_ICD9 = re.compile(r"\d{2}(\.[0-9A-Za-z]+)?")
_TCM = "urn:oid:2.16.156.10011.2.3.3.14"  # GB/T 15657

# The part of a role between `diagnosis.` and `.code`: diagnosis-role, title.
USES = {
    "main": ("DD", "主要诊断"),
    "other": ("CM", "其他诊断"),
    "admission": ("AD", "入院诊断"),
    "outpatient": ("AD", "门（急）诊诊断"),
    "discharge": ("DD", "出院诊断"),
    "tcm": ("DD", "中医诊断"),
    "cause": ("CC", "损伤、中毒外部原因"),
    "pathology": ("CM", "病理诊断"),
    "first": ("CC", "初步诊断"),
}


def diagnoses(case: Case, fields: Fields, prefix: str = "", encounter: Made | None = None) -> list[tuple[Made, str]]:
    """The Conditions of a row with their use; keys are made of code and use, so that order in a cell is no matter."""
    found: list[tuple[Made, str]] = []
    kind = fields.one("diagnosis.kind")
    told = fields.word(kind) if kind else None
    for use in USES:
        for code, name in _pairs(fields, use):
            found += _conditions(case, fields, code, name, told[1] if told else use, prefix, encounter)
    return found


def _pairs(fields: Fields, use: str) -> list[tuple[Field | None, Field | None]]:
    """Cells of codes beside cells of names; lists in a cell are taken apart, matched when there are as many."""
    found: list[tuple[Field | None, Field | None]] = []
    code_cells, name_cells = fields.all(f"diagnosis.{use}.code"), fields.all(f"diagnosis.{use}.name")
    for index in range(max(len(code_cells), len(name_cells))):
        code = code_cells[index] if index < len(code_cells) else None
        name = name_cells[index] if index < len(name_cells) else None
        parts = _parts(code)
        names = _parts(name) if code is None or len(_parts(name)) == len(parts) else [name] * len(parts)
        if not parts:
            found += [(None, part) for part in names]
        else:
            found += list(zip(parts, names if names else [None] * len(parts), strict=True))
    return found


def _parts(field: Field | None) -> list[Field]:
    if field is None:
        return []
    texts = [part.strip() for part in _LIST.split(unicodedata.normalize("NFKC", field.text)) if not codes.absent(part)]
    return [Field(field.column, text, field.line, field.meaning) for text in texts]


def _conditions(
    case: Case, fields: Fields, code: Field | None, name: Field | None, use: str, prefix: str, encounter: Made | None
) -> list[tuple[Made, str]]:
    """One Condition, or two of a dagger and asterisk pair (`E11.501+I79.2*`): the second is due to the first."""
    first, _, second = code.text.partition("+") if code else ("", "", "")
    found: list[tuple[Made, str]] = []
    for text in (first, second) if second.strip() else (first,):
        icd = text.strip().rstrip("*").strip()
        made = case.make("Condition", f"{prefix}diagnosis|{use}|{icd.upper() or (name.text if name else '')}")
        if any(made.key == item.key for item in case.mapped.items[:-1]):
            case.mapped.items.pop()  # the same diagnosis twice in one record says nothing new
            continue
        if found:
            made.add("extension", {"url": DUE_TO, "valueReference": found[0][0].reference()}, *source(code))
        made.add("category", {"coding": [{"system": _CATEGORY, "code": "encounter-diagnosis"}], "text": USES[use][1]})
        made.put("code", _code(fields, code, icd, name, use), *source(code or name))
        if name and code:
            case.mapped.trace.append(Trace(made.key, "Condition.code.text", name.column, name.line))
        made.put("subject", case.subject)
        if encounter:
            made.put("encounter", encounter.reference())
        diagnosed, field = fields.date_time("diagnosis.date")
        made.put("recordedDate", diagnosed, *source(field))
        if case.org.doctor:
            made.put("recorder", case.org.doctor.reference())
        found.append((made, use))
    return found


def _code(fields: Fields, code: Field | None, icd: str, name: Field | None, use: str) -> Resource | None:
    """An ICD-10 code with its first letter large (`q55.606`), as the national extensions write it (`I10.x00x002`)."""
    text = name.text if name else ""
    if not icd:
        return {"text": text} if text else None
    if _ICD10.fullmatch(icd):
        system, icd = (_TCM if use == "tcm" else codes.ICD10), icd[0].upper() + icd[1:]
    else:
        system = _TCM if use == "tcm" else codes.system_of(f"{fields.layout}.{code.column}") if code else ""
        if use != "tcm" and code:
            fields.problem("warning", "code-invalid", f"{icd} has not the shape of an ICD-10 code; kept", code)
    return codes.concept(icd, system, display=text, text=text or (code.text if code else icd))


def on_encounter(encounter: Made, found: list[tuple[Made, str]]) -> None:
    """Encounter.diagnosis, in the order of the record; rank 1 is the main diagnosis."""
    for rank, (condition, use) in enumerate(found, 1):
        code, title = USES[use]
        concept = {"coding": [{"system": _ROLE, "code": code}], "text": title}
        encounter.add("diagnosis", {"condition": condition.reference(), "use": concept, "rank": rank})


def procedures(case: Case, fields: Fields, prefix: str = "", encounter: Made | None = None) -> list[Made]:
    """Operations of a row; the codes of a list in one cell share date and doctor."""
    code, name = fields.one("procedure.code"), fields.one("procedure.name")
    at, at_field = fields.date_time("procedure.date")
    doctor = fields.one("procedure.doctor")
    parts, names = _parts(code), _parts(name)
    if len(names) != len(parts):
        names = [name] * max(len(parts), 1) if name else []
    made_all = []
    for index in range(max(len(parts), len(names))):
        part = parts[index] if index < len(parts) else None
        title = names[index] if index < len(names) else None
        said = part or title
        assert said is not None
        made = case.make("Procedure", f"{prefix}procedure|{said.text}|{at}")
        made.put("status", "completed")
        system = (
            codes.ICD9_CM if part and _ICD9.fullmatch(part.text) else codes.system_of(f"{fields.layout}.{said.column}")
        )
        text = title.text if title else said.text
        columns = ", ".join(f.column for f in (part, title) if f)
        made.put("code", codes.concept(part.text if part else "", system, text, text), columns, said.line)
        made.put("subject", case.subject)
        if encounter:
            made.put("encounter", encounter.reference())
        made.put("performedDateTime", at, *source(at_field))
        if doctor:
            made.add("performer", {"actor": {"display": doctor.text}}, *source(doctor))
        made_all.append(made)
    return made_all
