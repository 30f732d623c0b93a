"""A call of an operation: which one is meant, what it was called with, checked against its definition, then run
(https://hl7.org/fhir/R4/operations.html#executing)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import orjson

from server.errors import Invalid, NotAllowed, NotFound, NotSupported
from server.interaction.accept import fault
from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.operation import (
    ANY,
    INSTANCE,
    SYSTEM,
    TYPE,
    Call,
    Operation,
    Parameter,
    Result,
    Value,
    find,
)
from server.model import tables
from server.search.query import CURSOR, IGNORED
from server.validation import primitives
from server.validation.structure import check

_SHAPES = frozenset({"_summary", "_elements", CURSOR})  # of the answer, not of the operation
_TEXTUAL = frozenset({"string", "uri", "url", "canonical", "oid", "uuid", "code", "id", "markdown"})
_PART = "part"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an operation was called: `Patient/1/$everything` -> everything, instance, Patient, 1."""

    code: str
    level: str
    type: str = ""
    id: str = ""
    version: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.type, self.id, f"${self.code}") if part)


def place_at(parts: Sequence[str]) -> Place:
    """Where `[Type, id, $everything]` calls an operation. Raises NotFound for an address that can have none."""
    code = parts[-1].removeprefix("$")
    match parts[:-1]:
        case []:
            return Place(code, SYSTEM)
        case [type] if type in tables.resource_types():
            return Place(code, TYPE, type)
        case [type, id] if type in tables.resource_types():
            return Place(code, INSTANCE, type, id)
        case [type, id, "_history", version] if type in tables.resource_types():
            return Place(code, INSTANCE, type, id, version)
    raise NotFound(f"there is nothing at /{'/'.join(parts)}", "/".join(parts))


async def operate(
    api: Api, context: Context, place: Place, method: str, query: Sequence[tuple[str, str]], body: bytes, prefer: str
) -> Result:
    """`body` is JSON, b'' for none. Raises NotSupported (no such operation), NotAllowed (GET of one that writes or
    takes what no query can carry), Invalid naming the parameter, and whatever the operation raises."""
    operation = find(api.operations, place.code, place.level, place.type)
    if operation is None:
        raise NotSupported(f"the operation {place} is not known: /metadata names those there are", f"${place.code}")
    if method == "GET" and operation.affects_state:
        raise NotAllowed(f"{place} changes data, so it is called by POST", "http.method")
    if place.version and not operation.versions:
        raise NotSupported(f"{place} is for the resource as it is now, not for its version {place.version}", str(place))
    declared = {one.name: one for one in operation.parameters if one.use == "in"}
    asked = [pair for pair in query if pair[0] in _SHAPES]
    given = [*_of_query(query, declared, place), *(_of_body(body, declared, place) if body else ())]
    call = Call(
        place.level, place.type, place.id, place.version, _checked(given, declared, place), prefer, tuple(asked)
    )
    return await operation.run(api, context, call)


def _of_query(
    query: Iterable[tuple[str, str]], declared: Mapping[str, Parameter], place: Place
) -> Iterable[tuple[str, Value]]:
    for name, text in query:
        if name in _SHAPES or name in IGNORED:
            continue
        parameter = _declared(declared, name, place)
        if parameter.type not in tables.primitives():
            raise Invalid(f"'{name}' ({parameter.type}) cannot stand in the address: POST a Parameters resource", name)
        yield name, Value(parameter.type, _literal(parameter, text))


def _literal(parameter: Parameter, text: str) -> bytes:
    """A primitive of the address as JSON. Raises Invalid."""
    if parameter.type == "boolean":
        if text not in ("true", "false"):
            raise Invalid(f"'{parameter.name}' is true or false, not '{text}'", parameter.name)
        return text.encode()
    if parameter.type in ("integer", "unsignedInt", "positiveInt"):
        digits = text.removeprefix("-") if parameter.type == "integer" else text
        if not (digits.isascii() and digits.isdigit() and len(digits) < 11):
            raise Invalid(f"'{parameter.name}' is a number, not '{text}'", parameter.name)
        return str(int(text)).encode()
    wrong = primitives.fault(parameter.type, text)
    if wrong:
        raise Invalid(f"'{parameter.name}' must be {wrong}; found '{text[:60]}'", parameter.name, code="value")
    return orjson.dumps(text)


class _Given(msgspec.Struct):
    resourceType: str = ""  # noqa: N815 - FHIR's own name
    parameter: list[dict[str, msgspec.Raw]] = msgspec.field(default_factory=list)


def _of_body(body: bytes, declared: Mapping[str, Parameter], place: Place) -> Iterable[tuple[str, Value]]:
    """A Parameters resource, or the one resource that the operation takes, sent bare."""
    wrong = fault(body)
    if wrong:
        raise Invalid(f"the body is not JSON: {wrong}", "http.body", code="structure")
    try:
        named = msgspec.json.decode(body, type=_Named).resourceType
        if named != "Parameters":
            bare = [one for one in declared.values() if one.type in (ANY, named)]
            if not named or len(bare) != 1:
                raise Invalid(f"{place} takes a Parameters resource, not a {named or 'body without type'}", "http.body")
            yield bare[0].name, Value(ANY, body)
            return
        _check_parameters(body)
        sent = msgspec.json.decode(body, type=_Given).parameter
        for number, one in enumerate(sent):
            yield _parameter(one, f"Parameters.parameter[{number}]", declared, place)
    except msgspec.DecodeError as error:
        raise Invalid(f"the Parameters resource is not as it should be: {error}", "Parameters") from error


def _check_parameters(body: bytes) -> None:
    """Raises Invalid with every issue of the Parameters; the resources in them are the operation's to judge."""
    sent = orjson.loads(body)
    for one in sent["parameter"] if isinstance(sent.get("parameter"), list) else ():
        if isinstance(one, dict) and isinstance(one.get("resource"), dict):
            one["resource"] = {"resourceType": "Parameters"}
    issues = [issue for issue in check(sent) if issue.severity in ("fatal", "error")]
    if issues:
        raise Invalid(issues)


class _Named(msgspec.Struct):
    resourceType: str = ""  # noqa: N815 - FHIR's own name


def _parameter(
    one: Mapping[str, msgspec.Raw], at: str, declared: Mapping[str, Parameter], place: Place
) -> tuple[str, Value]:
    name = msgspec.json.decode(one["name"], type=str) if "name" in one else ""
    if not name:
        raise Invalid("a parameter needs a name", f"{at}.name", code="required")
    parameter = _declared(declared, name, place)
    values = [key for key in one if key in ("resource", _PART) or (key.startswith("value") and key != "value")]
    if len(values) != 1:
        raise Invalid(f"'{name}' needs one of value[x], resource or part", at)
    key = values[0]
    type = ANY if key == "resource" else key if key == _PART else key.removeprefix("value")
    if not _fits(type, parameter.type):
        raise Invalid(f"'{name}' is a {parameter.type}, not a {type}", f"{at}.{key}")
    value = Value(parameter.type, bytes(one[key]))
    if parameter.type in _TEXTUAL:
        msgspec.json.decode(value.raw, type=str)  # raises for what is no string
    return name, value


def _fits(sent: str, wanted: str) -> bool:
    if wanted == ANY or wanted in tables.resource_types():
        return sent == ANY
    lower = sent[:1].lower() + sent[1:]
    return wanted in (sent, lower) or (wanted in _TEXTUAL and lower in _TEXTUAL)


def _declared(declared: Mapping[str, Parameter], name: str, place: Place) -> Parameter:
    if name not in declared:
        has = ", ".join(sorted(declared)) or "none"
        raise Invalid(f"{place} has no parameter '{name}' (it has {has})", name, code="not-supported")
    return declared[name]


def _checked(
    given: Iterable[tuple[str, Value]], declared: Mapping[str, Parameter], place: Place
) -> dict[str, list[Value]]:
    """Values by name. Raises Invalid for one too many or one that is missing."""
    values: dict[str, list[Value]] = {}
    for name, value in given:
        values.setdefault(name, []).append(value)
    for parameter in declared.values():
        there = len(values.get(parameter.name, ()))
        if there < parameter.min:
            raise Invalid(f"{place} needs the parameter '{parameter.name}'", parameter.name, code="required")
        if parameter.max != "*" and there > int(parameter.max):
            raise Invalid(f"'{parameter.name}' stands {there} times, {parameter.max} is the limit", parameter.name)
    return values


def described(operations: Sequence[Operation], base: str, level: str, type: str = "") -> list[dict[str, str]]:
    """CapabilityStatement.rest.operation, or rest.resource.operation of a type."""
    return [
        {"name": one.code, "definition": f"{base}/OperationDefinition/{one.id}"}
        for one in operations
        if one.serves(level, type)
    ]
