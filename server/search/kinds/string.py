"""string: found by how it begins, whatever the case, accents and width (https://hl7.org/fhir/R4/search.html#string)."""

import functools
import re
import unicodedata
from typing import Any

from server.errors import Invalid
from server.keys import TEXT, Test, Text
from server.search.kinds.kind import Add, Asked, Kind, Setting, unescape

_SPACE = re.compile(r"\s+")
_HAN = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_NAME_PARTS = ("family", "given", "prefix", "suffix", "text")
_ADDRESS_PARTS = ("line", "city", "district", "state", "country", "postalCode", "text")


@functools.lru_cache(16_384)
def normal(text: str) -> str:
    """The form under which strings are compared: NFKC (full width folded), no accents, case folded, single blanks."""
    if text.isascii():
        return _SPACE.sub(" ", text).strip().lower()
    folded = unicodedata.normalize("NFKD", text).casefold()
    bare = "".join(char for char in folded if unicodedata.category(char) != "Mn")
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", bare)).strip()


def add_text(text: str | None, add: Add) -> None:
    key = normal(text) if text else ""
    if text and key:
        add((key, text, 0, 0))


def _string(value: Any, _: str, __: Setting, add: Add) -> None:
    add_text(value, add)


def _parts(value: Any, names: tuple[str, ...], setting: Setting, add: Add) -> None:
    for name in names:
        part = value.get(name)
        if part is None:
            continue
        for text in part if part.__class__ is list else (part,):
            if text:
                _string(text, "", setting, add)


def _name(value: Any, _: str, setting: Setting, add: Add) -> None:
    _parts(value, _NAME_PARTS, setting, add)
    family, given = value.get("family"), value.get("given")
    if family and given and _HAN.search(family):
        # a Chinese name is looked for whole: 王小明, though it is stored as 王 and 小明
        _string(family + "".join(text for text in given if text), "", setting, add)


def _address(value: Any, _: str, setting: Setting, add: Add) -> None:
    _parts(value, _ADDRESS_PARTS, setting, add)


def _test(asked: Asked, _: Setting) -> Test:
    value = unescape(asked.value)
    key = normal(value)
    if not key:
        raise Invalid("a string to search for must not be empty", asked.name)
    if asked.modifier in ("equal", "suffix"):  # of _filter
        return Text(asked.param, key, asked.modifier)
    if asked.modifier == "exact":
        return Text(asked.param, value, "exact", key)
    return Text(asked.param, key, "contains" if asked.modifier == "contains" else "prefix")


STRING = Kind(
    TEXT,
    {"string": _string, "markdown": _string, "code": _string, "HumanName": _name, "Address": _address},
    _test,
    frozenset({"exact", "contains"}),
)
