"""JSON for changing: numbers keep their text, and top-level members that stay keep their bytes."""

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec


class Number:
    """A number as it is written: 1.00 stays 1.00. Never changed, so copies may share it."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    @property
    def value(self) -> Decimal | str:
        """To compare; an exponent past all bounds is only the same as its own text."""
        try:
            return Decimal(self.text)
        except InvalidOperation:
            return self.text


encode = msgspec.json.Encoder(enc_hook=lambda number: msgspec.Raw(number.text.encode())).encode


def decode(raw: bytes) -> Any:
    """Raises ValueError; callers that read what came in ask a stricter decoder first."""
    return json.loads(raw, parse_int=Number, parse_float=Number)


def same(one: Any, other: Any, *, written: bool = False) -> bool:
    """Equality of RFC 6902 section 4.6, numbers by value; `written`: numbers and order of members as written."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Number):
        return one.text == other.text or (not written and one.value == other.value)
    if isinstance(one, dict):
        if written and list(one) != list(other):
            return False
        return one.keys() == other.keys() and all(same(one[name], other[name], written=written) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(same(a, b, written=written) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def decoded(before: Mapping[str, bytes]) -> dict[str, Any]:
    """The members of an object (raw.members), to be changed and given to `rejoined`."""
    return {name: decode(raw) for name, raw in before.items()}


def rejoined(before: Mapping[str, bytes], after: Mapping[str, Any]) -> bytes:
    """The object of the members `after`; those that say what they said before keep their bytes."""
    parts = []
    for name, value in after.items():
        kept = name in before and same(decode(before[name]), value, written=True)
        parts.append(encode(name) + b":" + (before[name] if kept else encode(value)))
    return b"{" + b",".join(parts) + b"}"
