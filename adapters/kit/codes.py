"""Code systems of Chinese documents, empty placeholders, CodeableConcepts that lose nothing."""

from adapters.contract import Resource


def absent(text: str | None) -> bool:
    """True for None, '', white space and the placeholders of the field: `-` `/` `无` `NA` `N/A` `""` `null` `不详`."""
    raise NotImplementedError


def concept(code: str = "", system: str = "", display: str = "", text: str = "") -> Resource | None:
    """CodeableConcept that keeps what the source said: coding when there is a code, text = text or display or code.
    None when all is absent."""
    raise NotImplementedError


def system_of(oid: str) -> str:
    """The FHIR system URI of a source OID or alias: well-known ones (LOINC, SNOMED CT, ICD-10 as
    http://hl7.org/fhir/sid/icd-10, the 2.16.156 ICD-10 variants .3.11 .3.11.3 .3.11.5 and SD.11.4.5 included) by
    their canonical, any other OID as urn:oid:…, an alias that is no OID as urn:tiercare:alias:<name>; '' for ''."""
    raise NotImplementedError


def table(package: str, name: str) -> dict[str, tuple[str, ...]]:
    """A CSV of code translations from an adapter's `tables/` folder: first column -> the other columns."""
    raise NotImplementedError
