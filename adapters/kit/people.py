"""Persons: Chinese names, identity numbers, sex and marital status codes, phones -> FHIR datatypes."""

from adapters.contract import Resource

RESIDENT_ID = "urn:oid:2.16.156.10011.1.3"  # 居民身份证号, WS/T 482


def name(text: str) -> Resource | None:
    """HumanName of a Chinese or other name: text always; family and given split for a Chinese name (compound
    surnames such as 欧阳 known), `family^given` and `family, given` understood. None for '', `-`, `无`, `NA`."""
    raise NotImplementedError


def resident_id_problem(number: str) -> str:
    """'' if the 18-digit (GB 11643) or 15-digit identity number holds, else why not. A failed checksum is a warning
    to the caller, never a rejection: the standards' own samples fail it."""
    raise NotImplementedError


def fold_digits(text: str) -> str:
    """Full-width digits and X to ASCII, inner blanks dropped: `１１０１０５…` -> `110105…`."""
    raise NotImplementedError


def gender(code: str) -> str | None:
    """administrative-gender of GB/T 2261.1 (0 unknown 1 male 2 female 9 unknown), M/F/U/O/A/N, 男/女; None if unknown
    to us (the caller keeps the source code in a Problem)."""
    raise NotImplementedError


def phone(text: str) -> Resource | None:
    """ContactPoint of a phone number; mobile numbers (1xxxxxxxxxx) get use=mobile. None for empty forms."""
    raise NotImplementedError
