"""From bytes to text. The bytes decide, the declared charset is a hint: in the field it is often absent or wrong."""

import codecs
import re
from dataclasses import dataclass

from adapters.kit.habits import habits

_BOM = codecs.BOM_UTF8

# What a declaration means, spelling folded (lower case, letters and digits only). '' = it says nothing testable.
_DECLARED = {
    "utf8": "utf-8",
    "unicodeutf8": "utf-8",
    "unicode": "utf-8",
    "isoir192": "utf-8",
    "chn": "",
    "gb18030": "gb18030",
    "gb180302000": "gb18030",
    "gb180302005": "gb18030",
    "gb180302022": "gb18030",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "gb231280": "gb18030",
    "cp936": "gb18030",
    "ms936": "gb18030",
    "windows936": "gb18030",
    "isoir58": "gb18030",
    "ascii": "ascii",
    "usascii": "ascii",
    "isoir6": "ascii",
    "88591": "iso-8859-1",
    "iso88591": "iso-8859-1",
    "isoir100": "iso-8859-1",
    "latin1": "iso-8859-1",
    "windows1252": "iso-8859-1",
    "cp1252": "iso-8859-1",
}


@dataclass(frozen=True, slots=True)
class Decoded:
    text: str
    charset: str  # utf-8 | gb18030 | iso-8859-1
    warning: str = ""  # why a person should look, '' when all agrees


def decode(content: bytes, declared: str = "") -> Decoded:
    """UTF-8 (a BOM is dropped) if the bytes are, else GB18030 (covers GB2312, GBK), else ISO 8859-1 and a warning.

    A declared charset (else the one its source is known for) that the bytes contradict gives a warning that names
    both. Decode first, split after: in GBK
    the bytes of | ^ ~ and backslash are second bytes of ideographs. A last character that is cut off (a truncated
    message) becomes U+FFFD with a warning. Lone high bytes under a declared ISO 8859-1 are read as declared: GBK text
    has them in pairs.
    """
    body = content.removeprefix(_BOM)
    declared = declared or habits().charset
    meant = _DECLARED.get(re.sub(r"[^a-z0-9]", "", declared.lower()))
    if body.isascii():
        return _ascii(body, declared, meant)
    if meant == "iso-8859-1" and not re.search(rb"[\x80-\xff]{2}", body):
        return Decoded(body.decode("iso-8859-1"), "iso-8859-1")
    for charset in ("utf-8", "gb18030"):
        found = _strict(body, charset)
        if found is not None:
            text, cut = found
            warnings = [_contradiction(declared, meant, charset), "the last character is cut off" if cut else ""]
            return Decoded(text, charset, "; ".join(w for w in warnings if w))
    why = "the bytes are neither UTF-8 nor GB18030; read as ISO 8859-1, characters may be wrong"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        why = "the bytes are UTF-16, which is not supported; save the file as UTF-8"
    return Decoded(body.decode("iso-8859-1"), "iso-8859-1", why)


def known(name: str) -> bool:
    """Whether a declaration of this charset would be understood."""
    return bool(_DECLARED.get(re.sub(r"[^a-z0-9]", "", name.lower())))


def _ascii(body: bytes, declared: str, meant: str | None) -> Decoded:
    """ASCII agrees with every charset but the ones that switch by escape sequences (ISO-2022)."""
    warning = ""
    if declared and meant is None and b"\x1b" in body:
        warning = f"charset {declared} is declared, which is not supported; escape sequences are left as they are"
    return Decoded(body.decode("ascii"), "utf-8", warning)


def _strict(body: bytes, charset: str) -> tuple[str, bool] | None:
    """The text and whether its last character was cut off; None if the bytes are not of this charset."""
    try:
        text = codecs.getincrementaldecoder(charset)().decode(body, final=False)
    except UnicodeDecodeError:
        return None
    try:
        return body.decode(charset), False
    except UnicodeDecodeError:
        # A lone lead byte at the end proves nothing by itself: something before it has to speak for the charset.
        return None if text.isascii() else (text + "\ufffd", True)


def _contradiction(declared: str, meant: str | None, found: str) -> str:
    if not declared or meant in ("", found):
        return ""
    if meant is None:
        return f"charset {declared} is declared, which is not known here; the bytes are {found.upper()}"
    return f"charset {declared} is declared, but the bytes are {found.upper()}"
