"""JSON Patch (RFC 6902) on stored bytes: numbers keep their text, top-level members that stay keep their bytes.

Pointers are those of RFC 6901. A document that is no patch is Invalid; an operation that cannot be carried out, a
failed `test` among them, is Unprocessable (RFC 5789 section 2.2).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from server.errors import Invalid, TooCostly, Unprocessable
from server.model.doubled import check_unique
from server.model.exact import decode, decoded, rejoined, same
from server.model.raw import members

MIME = "application/json-patch+json"

_SOURCED, _VALUED = ("move", "copy"), ("add", "replace", "test")
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Operation:
    """`path` and `source` (of `from`) are pointers as tokens; a first token "" stands for the whole document."""

    number: int
    name: str
    path: tuple[str, ...]
    source: tuple[str, ...] = ()
    value: Any = None


def read(raw: bytes, most: int) -> list[Operation]:
    """The operations of a patch document, at most `most`. Raises Invalid, TooCostly."""
    try:
        strict = msgspec.json.decode(raw)  # stricter than json: UTF-8, no NaN, no lone surrogates
        listed = decode(raw)
    except (msgspec.DecodeError, ValueError) as error:
        raise Invalid(f"the JSON Patch is not JSON: {error}", "http.body", code="structure") from error
    check_unique(raw, strict, "http.body")
    if not isinstance(listed, list):
        raise Invalid("a JSON Patch is an array of operations", "http.body", code="structure")
    if len(listed) > most:
        raise TooCostly(f"the JSON Patch has {len(listed)} operations, {most} is the limit", "http.body")
    return [_operation(number, one) for number, one in enumerate(listed)]


def _operation(number: int, one: Any) -> Operation:
    at = f"http.body[{number}]"
    if not isinstance(one, dict):
        raise Invalid(f"operation {number} of the JSON Patch is not an object", at, code="structure")
    name = one.get("op")
    if not isinstance(name, str) or name not in _OPERATIONS:
        raise Invalid(f"operation {number}: 'op' is one of {', '.join(_OPERATIONS)}", f"{at}.op")
    if name in _VALUED and "value" not in one:
        raise Invalid(f"operation {number}: '{name}' needs a 'value'", f"{at}.value", code="required")
    path = _pointer(one.get("path"), number, "path")
    source = _pointer(one.get("from"), number, "from") if name in _SOURCED else ()
    if name == "move" and path[: len(source)] == source and path != source:
        raise Invalid(f"operation {number}: a value cannot be moved into itself", f"{at}.from")
    return Operation(number, name, path, source, one.get("value"))


def _pointer(text: Any, number: int, member: str) -> tuple[str, ...]:
    if not isinstance(text, str) or not _POINTER.fullmatch(text):
        raise Invalid(
            f"operation {number}: '{member}' is a JSON Pointer such as /name/0", f"http.body[{number}].{member}"
        )
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in text.split("/"))


def resolve_references(operations: list[Operation], resolve: Callable[[str], str | None]) -> None:
    """Rewrites, in place, references in values for which `resolve` has another (urn:uuid of a transaction)."""

    def walk(value: Any) -> None:
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(part)
        if isinstance(value, dict) and isinstance(value.get("reference"), str):
            value["reference"] = resolve(value["reference"]) or value["reference"]

    for place, operation in enumerate(operations):
        walk(operation.value)
        if operation.path[-1] == "reference" and isinstance(operation.value, str):
            target = resolve(operation.value) or operation.value
            operations[place] = Operation(operation.number, operation.name, operation.path, value=target)


def apply(body: bytes, operations: list[Operation], most: int) -> bytes:
    """The patched body; the operations stay as they are. Values put in count up to `most`: else TooCostly.

    Raises Unprocessable naming the operation.
    """
    before = members(body)
    work = _Work({"": decoded(before)}, most)
    for operation in operations:
        try:
            _OPERATIONS[operation.name](work, operation)
        except _Impossible as why:
            pointer = "/".join(operation.path)
            raise Unprocessable(
                f"operation {operation.number} ({operation.name} {pointer}): {why}", f"http.body[{operation.number}]"
            ) from why
    after = work.holder.get("")
    if not isinstance(after, dict):
        raise Unprocessable("the JSON Patch leaves no resource", "http.body")
    return rejoined(before, after)


class _Impossible(Exception):
    """Why an operation cannot be carried out."""


@dataclass(slots=True)
class _Work:
    """The document under the key "", and how many values may still be put in."""

    holder: dict[str, Any]
    left: int

    def copy(self, value: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise TooCostly("the JSON Patch puts in more values than the limit patch_max allows", "http.body")
        if isinstance(value, dict):
            return {name: self.copy(part) for name, part in value.items()}
        return [self.copy(part) for part in value] if isinstance(value, list) else value

    def get(self, path: tuple[str, ...]) -> Any:
        value: Any = self.holder
        for depth, token in enumerate(path):
            key = _key(value, token)
            if key is None:
                raise _Impossible(f"there is no {'/'.join(path[: depth + 1])}")
            value = value[key]
        return value

    def put(self, path: tuple[str, ...], value: Any) -> None:
        parent, token = self.get(path[:-1]), path[-1]
        if isinstance(parent, dict):
            parent[token] = value
        elif not isinstance(parent, list):
            raise _Impossible(f"{'/'.join(path[:-1])} is neither object nor array")
        elif token != "-" and not (_INDEX.fullmatch(token) and int(token) <= len(parent)):
            raise _Impossible(f"'{token}' is no place in an array of {len(parent)}")
        else:
            parent.insert(len(parent) if token == "-" else int(token), value)

    def take(self, path: tuple[str, ...]) -> Any:
        self.get(path)
        parent = self.get(path[:-1])
        return parent.pop(_key(parent, path[-1]))

    def replace(self, path: tuple[str, ...], value: Any) -> None:
        self.get(path)
        parent = self.get(path[:-1])
        parent[_key(parent, path[-1])] = value

    def test(self, path: tuple[str, ...], value: Any) -> None:
        if not same(self.get(path), value):
            raise _Impossible("the value is another")


def _key(value: Any, token: str) -> str | int | None:
    """The key or index of a member that is there, else None."""
    if isinstance(value, dict):
        return token if token in value else None
    if isinstance(value, list) and _INDEX.fullmatch(token) and int(token) < len(value):
        return int(token)
    return None


_OPERATIONS: dict[str, Callable[[_Work, Operation], None]] = {
    "add": lambda work, o: work.put(o.path, work.copy(o.value)),
    "remove": lambda work, o: (work.take(o.path), None)[1],
    "replace": lambda work, o: work.replace(o.path, work.copy(o.value)),
    "move": lambda work, o: work.put(o.path, work.take(o.source)),
    "copy": lambda work, o: work.put(o.path, work.copy(work.get(o.source))),
    "test": lambda work, o: work.test(o.path, o.value),
}
