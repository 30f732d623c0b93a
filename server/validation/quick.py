"""The fast path of structure validation: one generated Python function for each type, which says yes or "don't know".

`ok` must be sound: where it says yes, `structure.walk` finds nothing, warnings included (a property test holds them
together). It need not be complete: anything rare is left to the walker, which also writes the messages.

A function is generated from the node's table on first use. It asks for each common element by name, in the order of
the table, and counts them; only if the object has more members than it counted does it look at the rare ones (id,
extension, `_field`, wide choices) and at what should not be there.
"""

from collections.abc import Callable, Iterator
from typing import Any

from server.model import tables
from server.validation import bindings, narrative, primitives

Check = Callable[[Any, int], Any]
"""(JSON value, depth) -> true: it is valid; anything else: don't know."""

DEEPEST = 80  # levels; not more than the walker allows
NARROW = 5  # a choice of at most so many types is asked for by name
RARE = frozenset({"id", "extension", "modifierExtension", "contained", "language", "implicitRules"})
IN_RESOURCE = frozenset({"id"})  # not rare there
MOST_KNOWN, LONGEST_KNOWN = 4096, 128

_LONGEST = primitives.LONGEST_STRING
_INTEGER = "v.__class__ is int and {low} <= v <= " + str(primitives.LARGEST)
_TEXT = f"v.__class__ is str and 0 < len(v) <= {_LONGEST} and (v.isprintable() or is_string(v))"
# Expressions over `v`. The patterns raise TypeError for what is no string; `v in` raises it for a list or an object.
_VALUES = {
    "string": _TEXT,
    "markdown": _TEXT,
    "boolean": "v is True or v is False",
    "integer": _INTEGER.format(low=primitives.SMALLEST),
    "unsignedInt": _INTEGER.format(low=0),
    "positiveInt": _INTEGER.format(low=1),
    "decimal": "v.__class__ is int or is_decimal(v)",
    "uri": "v in URIS or uri(v)",
    "url": "v in URIS or uri(v)",
    "canonical": "v in URIS or uri(v)",
    "code": "v in CODES or code(v)",
    "id": "is_id(v)",
    "oid": "is_oid(v)",
    "uuid": "is_uuid(v)",
    "date": "is_date(v)",
    "dateTime": "is_date_time(v)",
    "instant": "is_instant(v)",
    "time": "is_time(v)",
    "base64Binary": "v.__class__ is str and is_base64(v)",
    "xhtml": "v.__class__ is str and not fault(v)",
}


def ok(resource: Any) -> bool:
    """True only if the resource (parsed JSON) has no structural issue at all."""
    try:
        return bool(_resource(resource, 0))
    except (TypeError, AttributeError, RecursionError):
        return False  # a JSON value of the wrong kind met an operation that it does not have


# ------------------------------------------------------------------------------- what the generated code calls
def _resource(value: Any, depth: int) -> Any:
    if value.__class__ is not dict or depth > DEEPEST:
        return False
    type_ = value.get("resourceType")
    return type_ in tables.resource_types() and _NAMES[function(type_)](value, depth)


def _rare(value: dict[str, Any], depth: int, common: frozenset[str], rare: dict[str, tuple[Check, str]]) -> bool:
    """Whether all members that are not common are valid; `rare`: name -> (check, its choice or '')."""
    chosen: list[str] = []
    for name, item in value.items():
        if item is None:
            return False
        if name not in common:
            check, choice = rare.get(name, _UNKNOWN)
            if not check(item, depth) or choice in chosen:
                return False
            if choice:
                chosen.append(choice)
    return True


def _known(test: Callable[[str], Any]) -> tuple[set[str], Callable[[str], bool]]:
    """A bounded set of texts that passed a test, and the test that fills it (not with the ids of this world)."""
    known: set[str] = set()

    def check(text: str) -> bool:
        if not test(text):
            return False
        if len(known) < MOST_KNOWN and len(text) <= LONGEST_KNOWN and not text.startswith("urn:uuid:"):
            known.add(text)
        return True

    return known, check


def _points(reference: dict[str, Any], targets: frozenset[str]) -> bool:
    """Whether a (valid) Reference surely points at one of the types, or says nothing about the type."""
    text: str | None = reference.get("reference")
    if text is not None:
        type_, slash, _ = text.partition("/")
        if slash and type_ in targets:
            return True
        if not text.startswith(("#", "urn:")):
            return False
    return "type" not in reference


def _element(value: Any, depth: int) -> Any:
    """What stands under `_birthDate`."""
    return _NAMES[function("Element")](value, depth + 1)


_UNKNOWN: tuple[Check, str] = (lambda value, depth: False, "")
_URIS, _uri = _known(primitives.is_uri)
_CODES, _code = _known(primitives.is_code)
# The names that generated code sees; the functions themselves join them.
_NAMES: dict[str, Any] = {name: test for name, test in vars(primitives).items() if name.startswith("is_")} | {
    "DEEPEST": DEEPEST,
    "URIS": _URIS,
    "uri": _uri,
    "CODES": _CODES,
    "code": _code,
    "code_fits": bindings.code_fits,
    "concept_fits": bindings.concept_fits,
    "points": _points,
    "fault": narrative.fault,
    "resource": _resource,
    "rare": _rare,
}
_SETS: dict[frozenset[str], str] = {}
_CHECKS: dict[str, Check] = {}


# --------------------------------------------------------------------------------------------------- generation
def function(path: str) -> str:
    """The name of a node's function: `Patient_contact`. What it names first is a stub that generates it when called."""
    name = path.replace(".", "_")
    if name not in _NAMES:

        def stub(value: Any, depth: int) -> Any:
            _define(path, name)
            return _NAMES[name](value, depth)

        _NAMES[name] = stub
    return name


def _define(path: str, name: str) -> None:
    _run(f"def {name}(o, d):\n" + "\n".join(_body(path, name)))


def _run(source: str) -> None:
    exec(compile(source, "<generated by server.validation.quick>", "exec"), _NAMES)


def _body(path: str, name: str) -> Iterator[str]:
    """The lines of a node's function: `o` is the object, `d` its depth, `n` the members not yet looked at."""
    is_resource = path in tables.resource_types()
    common = {"resourceType"} if is_resource else set()
    rare: dict[str, tuple[Check, str]] = {}
    yield " if o.__class__ is not dict or not o or d > DEEPEST: return 0"
    yield " g = o.get"
    yield f" n = len(o){' - 1' if is_resource else ''}"
    for element in tables.node(path):
        names = element.json_names
        if element.name in RARE and not element.min and not (is_resource and element.name in IN_RESOURCE):
            rare |= {json_name: (_checker(element, type_), "") for json_name, type_ in names.items()}
        elif element.choice and len(names) > NARROW and not element.min:
            rare |= {json_name: (_checker(element, type_), element.name) for json_name, type_ in names.items()}
        else:
            common |= set(names)
            yield from _choice(element) if element.choice else _single(element)
        if element.max == 1 and not element.plain and not element.choice:
            rare |= {
                f"_{n}": (_element, "")
                for n, type_ in names.items()
                if type_ in tables.primitives() and type_ != "xhtml"
            }
    _NAMES.update({f"C_{name}": frozenset(common), f"R_{name}": rare})
    yield f" return n == 0 or rare(o, d, C_{name}, R_{name})"


def _single(element: tables.Element) -> Iterator[str]:
    ((name, type_),) = element.json_names.items()
    yield f" v = g({name!r})"
    yield " if v is not None:"
    yield "  n -= 1"
    yield from _value(element, type_, "  ")
    if element.min:
        yield " else: return 0"


def _choice(element: tables.Element) -> Iterator[str]:
    yield " c = 0"
    for name, type_ in element.json_names.items():
        yield f" v = g({name!r})"
        yield " if v is not None:"
        yield "  n -= 1; c += 1"
        yield from _value(element, type_, "  ")
    yield f" if c {'!=' if element.min else '>'} 1: return 0"


def _value(element: tables.Element, type_: str, indent: str) -> Iterator[str]:
    """Lines that return 0 unless `v` is a valid value (or list of values) of the element."""
    if element.max != 1:
        yield f"{indent}if v.__class__ is not list or not v: return 0"
        if element.max:
            yield f"{indent}if len(v) > {element.max}: return 0"
        if element.min > 1:
            yield f"{indent}if len(v) < {element.min}: return 0"
        yield f"{indent}for v in v:"
        indent += " "
    yield f"{indent}if not ({_test(element, type_)}): return 0"


def _test(element: tables.Element, type_: str) -> str:
    """A Python expression over `v` and `d`, true if `v` is one valid value of the element."""
    bound = element.value_set
    if type_ in _VALUES:
        if type_ != "code" or not bound:
            return _VALUES[type_]
        if not tables.value_set(bound).rule:
            return f"v in {_set(tables.value_set(bound).codes)}"
        return f"({_VALUES[type_]}) and code_fits({bound!r}, v)"
    if type_ == "Resource":
        return "resource(v, d + 1)"
    test = f"{function(type_)}(v, d + 1)"
    if bound and type_ == "CodeableConcept":
        test += f" and concept_fits({bound!r}, v)"
    if element.targets and type_ == "Reference":
        test += f" and points(v, {_set(frozenset(element.targets))})"
    if element.simple_quantity and type_ == "Quantity":
        test += " and 'comparator' not in v"
    return test


def _set(words: frozenset[str]) -> str:
    """The name under which generated code sees a set."""
    name = _SETS.setdefault(words, f"S{len(_SETS)}")
    _NAMES[name] = words
    return name


def _checker(element: tables.Element, type_: str) -> Check:
    """A function of its own for a rare element; elements of the same kind share it."""
    lines = "\n".join(_value(element, type_, " "))
    if lines not in _CHECKS:
        name = f"K{len(_CHECKS)}"
        _run(f"def {name}(v, d):\n{lines}\n return 1")
        _CHECKS[lines] = _NAMES[name]
    return _CHECKS[lines]
