"""Persons: Chinese names, identity numbers, sex and marital status codes, phones -> FHIR datatypes."""

import re
import unicodedata
from datetime import datetime

from adapters.contract import Resource
from adapters.kit.codes import absent

RESIDENT_ID = "urn:oid:2.16.156.10011.1.3"  # 居民身份证号, WS/T 482

_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]+")
_COMPOUND = frozenset(  # 复姓
    re.findall(
        "..",
        "欧阳太史端木上官司马东方独孤南宫万俟闻人夏侯诸葛尉迟公羊赫连澹台皇甫宗政濮阳公冶太叔申屠公孙慕容"
        "仲孙钟离长孙宇文司徒鲜于司空闾丘子车亓官司寇巫马公西颛孙壤驷公良漆雕乐正宰父谷梁拓跋夹谷轩辕令狐"
        "段干百里呼延东郭南门羊舌微生梁丘左丘东门西门南荣第五完颜纳兰叶赫耶律欧侯",
    )
)
# The first two digits of GB/T 2260, and 91 of the permanent residence card.
_PROVINCES = frozenset(re.findall("..", "111213141521222331323334353637414243444546505152535461626364657181828391"))
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999, ISO 7064 MOD 11-2
_CHECKS = "10X98765432"

# GB/T 2261.1, HL7 table 0001 and the words themselves -> administrative-gender. 9 未说明 is unknown, not other.
_GENDER = {
    "0": "unknown",
    "1": "male",
    "2": "female",
    "9": "unknown",
    "M": "male",
    "F": "female",
    "U": "unknown",
    "O": "other",
    "A": "other",
    "N": "other",
    "MALE": "male",
    "FEMALE": "female",
    "OTHER": "other",
    "UNKNOWN": "unknown",
    "男": "male",
    "女": "female",
    "男性": "male",
    "女性": "female",
    "未知": "unknown",
    "未知的性别": "unknown",
    "未说明": "unknown",
    "未说明的性别": "unknown",
}

MARITAL = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"
# GB/T 2261.2 -> v3-MaritalStatus; what it has no word for (90 未说明) is left to the text.
_MARITAL = {
    "10": ("S", "未婚"),
    "20": ("M", "已婚"),
    "21": ("M", "初婚"),
    "22": ("M", "再婚"),
    "23": ("M", "复婚"),
    "30": ("W", "丧偶"),
    "40": ("D", "离婚"),
}


def name(text: str) -> Resource | None:
    """HumanName of a Chinese or other name: text always; family and given split for a Chinese name (compound
    surnames such as 欧阳 known), `family^given` and `family, given` understood. None for '', `-`, `无`, `NA`."""
    if absent(text):
        return None
    text = re.sub(r"\s+", " ", text).strip()
    if "^" in text:
        family, *given = (part.strip() for part in text.split("^")[:3])
        given = [part for part in given if part]
        if family and not given:
            return name(family)
        if given and _HAN.fullmatch(given[0]) and len(given[0]) > 1 and family.isascii():
            return name(given[0])  # pinyin^Chinese: the whole name stands in the second place
        return _human_name(family, given)
    if "," in text and not _HAN.search(text):
        family, _, rest = text.partition(",")
        return _human_name(family.strip(), rest.split())
    if _HAN.fullmatch(text.replace(" ", "")):
        joined = text.replace(" ", "")
        length = 2 if joined[:2] in _COMPOUND and 3 <= len(joined) <= 4 else 1
        # Four characters without a compound surname are as often two surnames or a transliteration: not split.
        if length == 2 or 2 <= len(joined) <= 3:
            return {"text": joined, "family": joined[:length], "given": [joined[length:]]}
        return {"text": joined}
    return {"text": text}


def _human_name(family: str, given: list[str]) -> Resource | None:
    chinese = bool(_HAN.fullmatch(family + "".join(given)))
    text = "".join([family, *given]) if chinese else " ".join([*given, family])
    if absent(text):
        return None
    result: Resource = {"text": text.strip()}
    if family:
        result["family"] = family
    if given:
        result["given"] = given
    return result


def resident_id_problem(number: str) -> str:
    """'' if the 18-digit (GB 11643) or 15-digit identity number holds, else why not. A failed checksum is a warning
    to the caller, never a rejection: the standards' own samples fail it."""
    number = fold_digits(number)
    if not re.fullmatch(r"\d{17}[\dX]|\d{15}", number):
        return "an identity number has 18 characters (17 digits, then a digit or X) or 15 digits"
    if number[:2] not in _PROVINCES:
        return f"an identity number does not begin with {number[:2]}"
    born = number[6:14] if len(number) == 18 else f"19{number[6:12]}"
    try:
        datetime.strptime(born, "%Y%m%d")
    except ValueError:
        return f"the date of birth in it, {born}, is not a date"
    if len(number) == 18:
        check = _CHECKS[sum(w * int(digit) for w, digit in zip(_WEIGHTS, number, strict=False)) % 11]
        if number[17] != check:
            return f"the checksum fails: the last character should be {check}"
    return ""


def looks_like_resident_id(text: str) -> bool:
    """Whether a number of unknown kind has the shape of an identity number (its checksum may still fail)."""
    number = fold_digits(text)
    return bool(re.fullmatch(r"[1-9]\d{5}(18|19|20)\d{9}[\dX]", number))


def fold_digits(text: str) -> str:
    """Full-width digits and X to ASCII, inner blanks dropped: `１１０１０５…` -> `110105…`."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).upper()


def gender(code: str) -> str | None:
    """administrative-gender of GB/T 2261.1 (0 unknown 1 male 2 female 9 unknown), M/F/U/O/A/N, 男/女; None if unknown
    to us (the caller keeps the source code in a Problem)."""
    return _GENDER.get(unicodedata.normalize("NFKC", code).strip().upper())


def marital(code: str, display: str = "") -> Resource | None:
    """CodeableConcept (v3-MaritalStatus) of GB/T 2261.2 codes or M/S/W/D…; an unknown code is kept as text."""
    code = "" if absent(code) else fold_digits(code)
    display = "" if absent(display) else display.strip()
    if not (code or display):
        return None
    known, word = _MARITAL.get(code, (code if code in ("M", "S", "W", "D", "A", "L", "P", "T", "U") else "", ""))
    result: Resource = {"coding": [{"system": MARITAL, "code": known}]} if known and known != "U" else {}
    result["text"] = display or word or code
    return result


def phone(text: str) -> Resource | None:
    """ContactPoint of a phone number; mobile numbers (1xxxxxxxxxx) get use=mobile. None for empty forms."""
    if absent(text):
        return None
    value = re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip()
    result: Resource = {"system": "phone", "value": value}
    if re.fullmatch(r"(\+?86[- ]?)?1\d{10}", value.replace(" ", "")):
        result["use"] = "mobile"
    return result
