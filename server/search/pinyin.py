"""Chinese names by their reading: the values of the search parameter `pinyin` (profiles/tiercare/searchparameters).

One reading a character, as most names have it; family names that are read otherwise than the character usually is
stand in SURNAMES. The table is profiles/pinyin.json, written by tools/pinyin.py.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from server.search.kinds.kind import Value

_TABLE = Path(__file__).resolve().parents[2] / "profiles" / "pinyin.json"
SURNAMES = {
    "单": "shan", "仇": "qiu", "解": "xie", "区": "ou", "查": "zha", "盖": "ge", "任": "ren", "曾": "zeng",
    "翟": "zhai", "乐": "yue", "朴": "piao", "缪": "miao", "纪": "ji", "种": "chong", "秘": "bi", "繁": "po",
    "员": "yun", "召": "shao",
    "冼": "xian", "覃": "qin", "逄": "pang", "郇": "huan", "尉": "wei", "长": "chang", "重": "chong", "葛": "ge",
    "尉迟": "yu chi", "长孙": "zhang sun", "万俟": "mo qi", "令狐": "ling hu", "澹台": "tan tai", "单于": "chan yu",
}  # fmt: skip


def values(resource: dict[str, Any]) -> list[Value]:
    """Entries of kind string for all names of a resource."""
    found: dict[str, None] = {}
    for name in resource.get("name") or ():
        family, given = name.get("family") or "", "".join(part for part in name.get("given") or () if part)
        whole = family + given if family and given else name.get("text") or family or given
        found.update(dict.fromkeys(_forms(_syllables(whole), len(family) if family and given else 0)))
    return [(form, form, 0, 0) for form in found]


def _forms(syllables: list[str], family: int) -> Iterator[str]:
    """wangxiaoming, wxm, and xiaoming where the family name's length is known; 吕 is read lv, lu and lyu."""
    if not syllables:
        return
    joined = "".join(syllables)
    yield from dict.fromkeys((joined, joined.replace("v", "u"), joined.replace("v", "yu")))
    yield "".join(syllable[0] for syllable in syllables)
    if 0 < family < len(syllables):
        yield "".join(syllables[family:])


@functools.lru_cache(4096)
def _read(name: str) -> tuple[str, ...]:
    surname = next((s for s in (name[:2], name[:1]) if s in SURNAMES), "")
    rest = tuple(_readings().get(char, "") for char in name[len(surname) :])
    return () if "" in rest else (*SURNAMES.get(surname, "").split(), *rest)


def _syllables(name: str) -> list[str]:
    return list(_read(name)) if name and not name.isascii() else []


@functools.cache
def _readings() -> dict[str, str]:
    table: dict[str, str] = orjson.loads(_TABLE.read_bytes())
    return {char: syllable for syllable, characters in table.items() for char in characters}
