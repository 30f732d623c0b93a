"""Code systems of Chinese documents, empty placeholders, CodeableConcepts that lose nothing."""

import csv
import re
import unicodedata
from functools import cache
from importlib.resources import files
from urllib.parse import quote

from adapters.contract import Resource

ICD10 = "http://hl7.org/fhir/sid/icd-10"
ICD9_CM = "http://hl7.org/fhir/sid/icd-9-cm"
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"

_ABSENT = {"", "-", "--", "---", "—", "——", "/", "//", "\\", "无", "na", "n/a", '""', "''", "null", "none", "不详"}

_CANONICAL = {
    "2.16.840.1.113883.6.1": LOINC,
    "2.16.840.1.113883.6.96": SNOMED,
    "2.16.840.1.113883.6.8": UCUM,
    "2.16.840.1.113883.6.3": ICD10,
    "2.16.840.1.113883.6.103": ICD9_CM,
    "2.16.840.1.113883.6.90": "http://hl7.org/fhir/sid/icd-10-cm",
    "2.16.840.1.113883.6.88": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "2.16.840.1.113883.12.292": "http://hl7.org/fhir/sid/cvx",
    "2.16.840.1.113883.6.59": "http://hl7.org/fhir/sid/cvx",
    "2.16.840.1.113883.6.69": "http://hl7.org/fhir/sid/ndc",
    "2.16.840.1.113883.6.12": "http://www.ama-assn.org/go/cpt",
    "2.16.840.1.113883.6.101": "http://nucc.org/provider-taxonomy",
    "2.16.840.1.113883.4.6": "http://hl7.org/fhir/sid/us-npi",
    "2.16.840.1.113883.4.1": "http://hl7.org/fhir/sid/us-ssn",
    **{
        f"2.16.840.1.113883.5.{number}": f"http://terminology.hl7.org/CodeSystem/v3-{name}"
        for number, name in (
            (1, "AdministrativeGender"),
            (2, "MaritalStatus"),
            (4, "ActCode"),
            (7, "ActPriority"),
            (8, "ActReason"),
            (83, "ObservationInterpretation"),
            (88, "ParticipationFunction"),
            (111, "RoleCode"),
            (112, "RouteOfAdministration"),
            (1063, "ObservationValue"),
            (1076, "ReligiousAffiliation"),
        )
    },
    # ICD-10 as Chinese documents write it: three OIDs and a 2011 alias for one system (GB/T 14396 / 国临版)
    "2.16.156.10011.2.3.3.11": ICD10,
    "2.16.156.10011.2.3.3.11.3": ICD10,
    "2.16.156.10011.2.3.3.11.5": ICD10,
    "SD.11.4.5": ICD10,
    "I10": ICD10,
    "ICD10": ICD10,
    "ICD-10": ICD10,
    "LN": LOINC,
    "LOINC": LOINC,
    "SCT": SNOMED,
    "SNOMED-CT": SNOMED,
    "UCUM": UCUM,
}
_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")


def absent(text: str | None) -> bool:
    """True for None, '', white space and the placeholders of the field: `-` `/` `无` `NA` `N/A` `""` `null` `不详`."""
    return text is None or unicodedata.normalize("NFKC", text).strip().lower() in _ABSENT


def concept(code: str = "", system: str = "", display: str = "", text: str = "") -> Resource | None:
    """CodeableConcept that keeps what the source said: coding when there is a code, text = text or display or code.
    None when all is absent."""
    code, display, text = (part.strip() if not absent(part) else "" for part in (code, display, text))
    if not (code or display or text):
        return None
    result: Resource = {}
    if code:
        coding = {"system": system, "code": re.sub(r"\s+", " ", code), "display": display}
        result["coding"] = [{key: value for key, value in coding.items() if value}]
    result["text"] = text or display or code
    return result


def system_of(oid: str) -> str:
    """The FHIR system URI of a source OID or alias: well-known ones (LOINC, SNOMED CT, ICD-10 as
    http://hl7.org/fhir/sid/icd-10, the 2.16.156 ICD-10 variants .3.11 .3.11.3 .3.11.5 and SD.11.4.5 included) by
    their canonical, any other OID as urn:oid:…, an alias that is no OID as urn:tiercare:alias:<name>; '' for ''.
    A URI stays what it is."""
    oid = oid.strip()
    if not oid or re.match(r"(https?://|urn:)\S+$", oid):
        return oid
    if oid in _CANONICAL:
        return _CANONICAL[oid]
    return f"urn:oid:{oid}" if _OID.fullmatch(oid) else f"urn:tiercare:alias:{quote(oid, safe='.-_')}"


@cache
def table(package: str, name: str) -> dict[str, tuple[str, ...]]:
    """A CSV of code translations from an adapter's `tables/` folder: first column -> the other columns.

    `package` is the adapter's import name (`adapters.hl7v2`), `name` the file, with or without `.csv`. The first line
    is a header, lines that start with # are remarks. Raises ValueError for a code that stands there twice.
    """
    path = files(package) / "tables" / (name if name.endswith(".csv") else f"{name}.csv")
    lines = [line for line in path.read_text("utf-8").splitlines() if line.strip() and not line.startswith("#")]
    rows: dict[str, tuple[str, ...]] = {}
    for code, *rest in list(csv.reader(lines))[1:]:
        if code in rows:
            raise ValueError(f"{package}/tables/{name}: {code!r} stands there twice")
        rows[code] = tuple(rest)
    return rows
