"""Structure: whether JSON is a resource as the base definitions of R4 describe it, and every place where it is not.

Checked are names, cardinality, JSON shape (https://hl7.org/fhir/R4/json.html), primitive formats, choices, required
bindings, XHTML, contained resources and bundles; the types that references may point at give warnings only. Invariants
and profiles are not checked here.

`check` is what others call: quick (generated code that says yes or "don't know") first, `walk` when it did not say yes.
"""

import functools
import re
from collections.abc import Iterable
from typing import Any

from server.errors import Issue
from server.model import tables
from server.validation import bindings, narrative, primitives, quick

DEEPEST = 100
"""Levels of objects inside each other, from the outermost resource, that are looked at; below that is an error."""

MOST_ISSUES = 200
"""Issues reported of one resource; the last one says that there are more."""

MOST_GUESSES = 10
"""Issues that may ask "did you mean …?": looking for a similar name is slow."""

_relative_type = re.compile(r"[A-Za-z]+(?=[/?])").match


def check(resource: Any) -> list[Issue]:
    """All structural issues of a resource (parsed JSON), in document order; empty if there are none. Never raises."""
    return [] if quick.ok(resource) else walk(resource)


def walk(resource: Any) -> list[Issue]:
    """The same as `check`, without the fast path."""
    walker = _Walker()
    try:
        walker.resource(resource, "", 0)
    except _EnoughError:
        walker.issues.append(Issue("too-costly", f"More than {MOST_ISSUES} issues; the rest is not listed"))
    return walker.issues


class _EnoughError(Exception):
    pass


class _Node:
    """The elements of one node by their JSON names."""

    def __init__(self, path: str) -> None:
        self.required = [element for element in tables.node(path) if element.min]
        self.choices = [element for element in tables.node(path) if element.choice]
        self.names = {
            name: (element, type_) for element in tables.node(path) for name, type_ in element.json_names.items()
        }


@functools.cache
def _node(path: str) -> _Node:
    return _Node(path)


class _Walker:
    """One walk. `path` is always the FHIRPath of the value, `depth` its level."""

    def __init__(self) -> None:
        self.issues: list[Issue] = []

    def say(self, code: str, text: str, path: str, severity: str = "error") -> None:
        if len(self.issues) >= MOST_ISSUES:
            raise _EnoughError
        self.issues.append(Issue(code, text, path, severity))

    def guess(self, name: Any, known: Iterable[str]) -> str:
        """`; did you mean …?` for a name that looks like a known one, else ''."""
        if name.__class__ is not str or len(name) > 60 or len(self.issues) >= MOST_GUESSES:
            return ""
        import difflib  # only for messages

        found = difflib.get_close_matches(name, list(known), 1, 0.75)
        return f"; did you mean {found[0]}?" if found else ""

    # ------------------------------------------------------------------------------------------- objects
    def resource(self, value: Any, path: str, depth: int) -> None:
        type_ = value.get("resourceType") if value.__class__ is dict else None
        at = f"{path}.resourceType" if path else "resourceType"
        if value.__class__ is not dict:
            self.say("structure", f"A resource is a JSON object; found {kind(value)}", path)
        elif type_ is None:
            self.say("required", "resourceType is missing: it says which resource this is", at)
        elif type_.__class__ is not str or type_ not in tables.resource_types():
            known = self.guess(type_, tables.resource_types())
            self.say("structure", f"{shown(type_)} is not a resource type of FHIR R4{known}", at)
        else:
            self.members(value, type_, path or type_, depth, is_resource=True)

    def members(
        self, value: dict[str, Any], node_path: str, path: str, depth: int, *, is_resource: bool = False
    ) -> None:
        """The properties of an object against the elements of its node."""
        if depth > DEEPEST:
            self.say("too-costly", f"Nested deeper than {DEEPEST} levels", path)
            return
        node = _node(node_path)
        for name, item in value.items():
            if name == "resourceType" and is_resource:
                continue
            primitive = name.startswith("_") and name[1:] in node.names
            found = node.names.get(name[1:] if primitive else name)
            if found is None or (primitive and not _has_sibling(*found)):
                known = self.guess(name, node.names)
                self.say("structure", f"{node_path} has no element {shown(name)}{known}", f"{path}.{word(name)}")
            elif primitive:
                self.siblings(name, item, value, found[0], f"{path}.{found[0].name}", depth)
            else:
                self.element(name, item, value, found, f"{path}.{found[0].name}", depth)
        self.presence(node, value, node_path, path)

    def presence(self, node: "_Node", value: dict[str, Any], node_path: str, path: str) -> None:
        """What must be there, and what must not be there together."""
        for element in node.choices:
            given = [name for name in element.json_names if name in value or f"_{name}" in value]
            if len(given) > 1:
                text = f"Only one of {', '.join(given)} may be given ({element.name}[x] is a choice)"
                self.say("structure", text, f"{path}.{element.name}")
        for element in node.required:
            names = element.json_names
            if not any(name in value or f"_{name}" in value for name in names):
                label = f"{element.name}[x] ({', '.join(names)})" if element.choice else element.name
                self.say("required", f"{node_path} must have {label}", f"{path}.{element.name}")

    # ------------------------------------------------------------------------------------------ elements
    def element(
        self, name: str, item: Any, owner: dict[str, Any], found: tuple[tables.Element, str], path: str, depth: int
    ) -> None:
        element, type_ = found
        if element.max == 1 and item.__class__ is list:
            self.say("structure", f"{name} is a single value, not a list", path)
        elif element.max == 1:
            self.value(element, type_, item, path, depth, name)
        elif item.__class__ is not list:
            self.say("structure", f"{name} is a list in JSON, even of one item; found {kind(item)}", path)
        elif not item:
            self.say("structure", f"{name} is an empty list: leave it out", path)
        else:
            self.items(element, type_, item, owner.get(f"_{name}"), path, depth, name)

    def items(
        self, element: tables.Element, type_: str, items: list[Any], shadows: Any, path: str, depth: int, name: str
    ) -> None:
        """The values of a list; `shadows` is what stands under `_name`, where a null of a primitive has its id."""
        if element.max and len(items) > element.max:
            self.say("structure", f"{name} has at most {element.max} items; found {len(items)}", path)
        if len(items) < element.min:
            self.say("required", f"{name} needs at least {element.min} items; found {len(items)}", path)
        for index, item in enumerate(items):
            shadow = shadows[index] if shadows.__class__ is list and index < len(shadows) else None
            if item is not None or shadow is None or type_ not in tables.primitives():
                self.value(element, type_, item, f"{path}[{index}]", depth, name)

    def value(self, element: tables.Element, type_: str, item: Any, path: str, depth: int, name: str) -> None:
        """One value of an element, already taken out of its list."""
        if item is None:
            text = f"{name} is null: leave it out (null stands only in a list of primitives, beside _{name})"
            self.say("structure", text, path)
        elif type_ == "xhtml":
            self.xhtml(item, path)
        elif type_ in tables.primitives():
            self.primitive(element, type_, item, path, name)
        elif item.__class__ is not dict:
            self.say("structure", f"{name} is a JSON object ({type_}); found {kind(item)}", path)
        elif not item:
            self.say("structure", f"{name} is an empty object: leave it out", path)
        elif type_ == "Resource":
            self.resource(item, path, depth + 1)
        else:
            self.members(item, type_, path, depth + 1)
            self.rules(element, type_, item, path, name)

    def rules(self, element: tables.Element, type_: str, item: dict[str, Any], path: str, name: str) -> None:
        """What the element asks of its datatype: a binding, targets, no comparator."""
        if element.value_set and type_ == "CodeableConcept" and not bindings.concept_fits(element.value_set, item):
            text = f"{name} needs a coding (system and code) that is {bindings.meant(element.value_set)}"
            self.say("code-invalid", text, path)
        if type_ == "Reference" and element.targets:
            self.target(element, item, path, name)
        if element.simple_quantity and type_ == "Quantity" and "comparator" in item:
            self.say("structure", f"{name} is a SimpleQuantity, which has no comparator", f"{path}.comparator")

    def primitive(self, element: tables.Element, type_: str, item: Any, path: str, name: str) -> None:
        meant = primitives.fault(type_, item)
        if meant:
            self.say("value", f"{name} must be {meant}; found {shown(item)}", path)
        elif element.value_set and type_ == "code" and not bindings.code_fits(element.value_set, item):
            text = f"{name} must be {bindings.meant(element.value_set)}; found {shown(item)}"
            self.say("code-invalid", text, path)

    def xhtml(self, item: Any, path: str) -> None:
        wrong = narrative.fault(item) if item.__class__ is str else f"it is {kind(item)}, not a string"
        if wrong:
            self.say("invalid", f"div is not a valid XHTML narrative: {wrong}", path)

    def target(self, element: tables.Element, reference: dict[str, Any], path: str, name: str) -> None:
        """The type that a reference names must be one of the element's targets; what it does not say is not judged."""
        text, type_ = reference.get("reference"), reference.get("type")
        if text.__class__ is str:
            type_ = referenced_type(text) or type_
        if type_.__class__ is str and type_ not in element.targets and "/" not in type_:
            allowed = ", ".join(element.targets)
            message = f"{name} should point at {allowed}, not at {shown(type_)}"
            self.say("value", message, f"{path}.reference", "warning")

    # --------------------------------------------------------------------------- `_field`, the sibling of a primitive
    def siblings(
        self, name: str, item: Any, owner: dict[str, Any], element: tables.Element, path: str, depth: int
    ) -> None:
        """id and extensions of primitives: an object, or a list of objects and nulls beside a list."""
        if element.max == 1:
            self.sibling(name, item, path, depth)
            return
        if item.__class__ is not list or not item:
            self.say("structure", f"{name} is a list, in step with {name[1:]}, and not empty", path)
            return
        values = owner.get(name[1:])
        if all(single is None for single in item):
            self.say("structure", f"{name} has only nulls: leave it out", path)
        for index, single in enumerate(item):
            if single is not None:
                self.sibling(name, single, f"{path}[{index}]", depth)
            elif values.__class__ is not list or index >= len(values):
                self.say("structure", f"Neither {name[1:]} nor {name} has a value here", f"{path}[{index}]")

    def sibling(self, name: str, item: Any, path: str, depth: int) -> None:
        if item.__class__ is not dict or not item:
            self.say("structure", f"{name} is an object with id or extension; found {kind(item)}", path)
        else:
            self.members(item, "Element", path, depth + 1)


def _has_sibling(element: tables.Element, type_: str) -> bool:
    """Whether id and extension of a value stand under `_name`: those of xhtml would, but it has none."""
    return type_ in tables.primitives() and type_ != "xhtml" and not element.plain


def referenced_type(text: str) -> str:
    """The resource type in a literal reference (`Patient/1`, `Patient?identifier=…`, an absolute URL); '' if none."""
    if not text.startswith(("http://", "https://")):
        found = _relative_type(text)
        return found[0] if found else ""
    segments = text.partition("?")[0].rsplit("/", 4)
    if len(segments) > 3 and segments[-2] == "_history":
        segments = segments[:-2]
    return segments[-2] if len(segments) > 2 and segments[-2] in tables.resource_types() else ""


# ---------------------------------------------------------------------------------------------------- words
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "true or false", int: "a number", float: "a number"}


def kind(value: Any) -> str:
    """What a JSON value is, for a message."""
    if value is None:
        return "null"
    if value.__class__ in (dict, list) and not value:
        return "an empty object" if value.__class__ is dict else "an empty list"
    return _KINDS.get(value.__class__, "a number")


def shown(value: Any) -> str:
    """A value as a person may see it in a message: short, and always printable."""
    if value.__class__ is str:
        text = f'"{value[:60]}…"' if len(value) > 60 else f'"{value}"'
        return "".join(letter if letter.isprintable() else " " for letter in text)
    if value.__class__ is bool:
        return "true" if value else "false"
    if value.__class__ is int and abs(value) < 10**30:
        return str(value)
    return str(value) if value.__class__ is float else kind(value)


def word(name: str) -> str:
    """A property name as part of a FHIRPath: in backticks if it is no identifier."""
    return name if name.isascii() and name.isidentifier() else "`" + shown(name)[1:-1].replace("`", "") + "`"
