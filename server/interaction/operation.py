"""What an operation is: its definition as a row of data, what it is called with, what it gives back
(https://hl7.org/fhir/R4/operations.html, https://hl7.org/fhir/R4/operationdefinition.html).

The operations themselves lie in `server/operations`, one a file; `operate.py` reads a call and runs it.
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec
import orjson

from server.interaction.context import Context

SYSTEM, TYPE, INSTANCE = "system", "type", "instance"
ANY = "Resource"  # of `Operation.types`: every resource type


@dataclass(frozen=True, slots=True)
class Parameter:
    """OperationDefinition.parameter. `type` is a FHIR type (`date`, `Meta`, `Resource`); max '*' or a number."""

    name: str
    type: str
    documentation: str
    min: int = 0
    max: str = "1"
    use: str = "in"


class Value(NamedTuple):
    """One value a caller gave: the JSON of `value[x]` or `resource`, and its type (`Resource` for a resource)."""

    type: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """An operation as it was called. `type` and `id` are '' where the level has none, `version` as well.

    `prefer` is the header; `values` were checked against the operation's parameters: names, cardinality, types.
    """

    level: str
    type: str = ""
    id: str = ""
    version: str = ""
    values: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    prefer: str = ""
    asked: Sequence[tuple[str, str]] = ()  # parameters of the response format (`_summary`, `_elements`) and cursors

    def raws(self, name: str) -> list[bytes]:
        return [value.raw for value in self.values.get(name, ())]

    def raw(self, name: str) -> bytes | None:
        found = self.raws(name)
        return found[0] if found else None

    def texts(self, name: str) -> list[str]:
        return [msgspec.json.decode(raw, type=str) for raw in self.raws(name)]

    def text(self, name: str) -> str | None:
        found = self.texts(name)
        return found[0] if found else None

    def flag(self, name: str, default: bool = False) -> bool:
        raw = self.raw(name)
        return default if raw is None else raw == b"true"

    def number(self, name: str) -> int | None:
        raw = self.raw(name)
        return None if raw is None else int(raw)


@dataclass(frozen=True, slots=True)
class Result:
    """What an operation answers: JSON of one resource (for one `return` parameter: that resource itself)."""

    body: bytes
    status: int = 200
    headers: Sequence[tuple[bytes, bytes]] = ()


class Run(Protocol):
    """The code of an operation. `api` is the interaction API (interaction/api.py). Raises TiercareError."""

    def __call__(self, api: Any, context: Context, call: Call) -> Awaitable[Result]: ...


@dataclass(frozen=True, slots=True)
class Operation:
    """`id` is that of its OperationDefinition (`Patient-everything`), `code` what stands behind the `$`.

    base: the canonical of HL7's definition that this one implements, '' for our own.
    affects_state: it may write, so it is called by POST only, and not inside a transaction.
    versions: it can be called on one version of a resource as well (`Patient/1/_history/2/$meta`).
    """

    id: str
    code: str
    title: str
    description: str
    run: Run
    levels: tuple[str, ...]
    types: tuple[str, ...] = (ANY,)
    parameters: tuple[Parameter, ...] = ()
    affects_state: bool = False
    base: str = ""
    versions: bool = False

    def serves(self, level: str, type: str) -> bool:
        return level in self.levels and (level == SYSTEM or ANY in self.types or type in self.types)


def find(operations: Sequence[Operation], code: str, level: str, type: str) -> Operation | None:
    return next((one for one in operations if one.code == code and one.serves(level, type)), None)


def definition(operation: Operation, base: str) -> bytes:
    """Its OperationDefinition, with an address at this server as canonical URL."""
    found: dict[str, Any] = {
        "resourceType": "OperationDefinition",
        "id": operation.id,
        "url": f"{base}/OperationDefinition/{operation.id}",
        "name": "".join(part[:1].upper() + part[1:] for part in operation.id.replace("_", "-").split("-")),
        "title": operation.title,
        "status": "active",
        "kind": "operation",
        "description": operation.description,
        "affectsState": operation.affects_state,
        "code": operation.code,
        "resource": list(operation.types),
        **({"base": operation.base} if operation.base else {}),
        **{level: level in operation.levels for level in (SYSTEM, TYPE, INSTANCE)},
    }
    if operation.parameters:
        found["parameter"] = [
            {
                "name": one.name,
                "use": one.use,
                "min": one.min,
                "max": one.max,
                "documentation": one.documentation,
                "type": "Any" if one.type == ANY else one.type,
            }
            for one in operation.parameters
        ]
    return orjson.dumps(found)
