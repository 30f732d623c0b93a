"""Words of a text for `_text` and `_content`: one way to cut them that all evaluators share, because the full-text
engines of databases disagree on 汉字 (https://hl7.org/fhir/R4/search.html#text).

A run of 汉字 is cut into pairs, 高血压 into 高血 血压 and 压, so that any part of it is found; other letters and digits
into words. What is compared is normal, as strings are (kinds/string.py).
"""

import html
import re
from collections.abc import Iterable, Iterator
from typing import Any

from server.search.kinds.kind import Setting
from server.search.kinds.string import normal

_TAG = re.compile(r"<[^>]*>")
_HAN = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(rf"([{_HAN}]+)|([^\W{_HAN}]+)")
_WORD_MAX = 64  # characters kept of a word
_NO_TEXT = frozenset({"data", "id", "reference", "url", "system", "fullUrl", "div", "hash", "contentType"})


def switched_off(setting: Setting) -> frozenset[str]:
    """Which of `_text` and `_content` this server does not index."""
    return {"off": frozenset({"_text", "_content"}), "narrative": frozenset({"_content"})}.get(
        setting.text, frozenset()
    )


def words(text: str) -> Iterator[str]:
    for han, other in _RUN.findall(normal(text)):
        if other:
            yield other[:_WORD_MAX]
        else:
            yield from (han[n : n + 2] for n in range(len(han)))


def narrative(resource: dict[str, Any]) -> frozenset[str]:
    """The words of the narrative, its tags left out."""
    div = (resource.get("text") or {}).get("div")
    return frozenset(words(html.unescape(_TAG.sub(" ", div)))) if div else frozenset()


def content(resource: dict[str, Any]) -> frozenset[str]:
    """The words of the narrative and of every text in the resource; addresses, ids and encoded data are none."""
    return narrative(resource).union(*(words(text) for text in _texts(resource)))


def _texts(value: Any) -> Iterable[str]:
    if value.__class__ is str:
        yield value
    elif value.__class__ is list:
        for one in value:
            yield from _texts(one)
    elif value.__class__ is dict:
        for name, one in value.items():
            if name not in _NO_TEXT:
                yield from _texts(one)


def asked(text: str) -> list[tuple[str, bool]]:
    """What a text to look for needs: (word, whether it may also be the beginning of one). Empty: no word in it."""
    found: dict[tuple[str, bool], None] = {}
    for han, other in _RUN.findall(normal(text)):
        if other:
            found[other[:_WORD_MAX], False] = None
        elif len(han) == 1:
            found[han, True] = None  # a character alone is also the first of a pair
        else:
            found.update(((han[n : n + 2], False), None) for n in range(len(han) - 1))
    return list(found)
