"""R4's definitions as the server reads them: types and their elements, search parameters, value sets, constraints.

The tables lie in profiles/r4/ (written by tools/definitions.py, described in profiles/README.md). A file is read on
first use, a row becomes an object on first use, and what was read is kept: all results are shared, never change them.

Every function raises KeyError for a name that R4 does not have.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

FOLDER = Path(__file__).resolve().parents[2] / "profiles" / "r4"
OWN = FOLDER.parent / "tiercare"

CHOICE, SUMMARY, MODIFIER, SIMPLE_QUANTITY, PLAIN = 1, 2, 4, 8, 16


class Element(NamedTuple):
    """One element of a type or backbone (ElementDefinition, https://hl7.org/fhir/R4/elementdefinition.html).

    name         without `[x]`; a choice's JSON names are in `json_names`.
    max          0: many.
    types        type names; a backbone or contentReference is the path of its node (`Patient.contact`).
    targets      resource types that a Reference or canonical may point at; empty: any.
    value_set    URL of the required binding, '' if there is none.
    constraints  keys of the constraints defined at this element (`constraints(path of this element)`).
    """

    name: str
    min: int
    max: int
    types: tuple[str, ...]
    targets: tuple[str, ...] = ()
    value_set: str = ""
    constraints: tuple[str, ...] = ()
    flags: int = 0

    @property
    def choice(self) -> bool:
        return bool(self.flags & CHOICE)

    @property
    def summary(self) -> bool:
        """It is part of `_summary=true`."""
        return bool(self.flags & SUMMARY)

    @property
    def modifier(self) -> bool:
        return bool(self.flags & MODIFIER)

    @property
    def simple_quantity(self) -> bool:
        """The Quantity must have no comparator (SimpleQuantity)."""
        return bool(self.flags & SIMPLE_QUANTITY)

    @property
    def plain(self) -> bool:
        """A value and nothing else, so there is no `_field`: `id` everywhere and `Extension.url`."""
        return bool(self.flags & PLAIN)

    @property
    def json_names(self) -> dict[str, str]:
        """JSON property -> type: `{"valueString": "string", …}` of a choice, else the name and its one type."""
        if not self.choice:
            return {self.name: self.types[0]}
        return {self.name + type_[0].upper() + type_[1:]: type_ for type_ in self.types}


@dataclass(frozen=True, slots=True)
class Component:
    """One component of a composite: the parameter (of the same type) that says its kind, and where it is."""

    code: str
    expression: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A SearchParameter as it holds for one resource type (https://hl7.org/fhir/R4/searchparameter.html).

    kind        number | date | string | token | reference | composite | quantity | uri | special.
    expression  FHIRPath alternatives joined by ` | `, each beginning with the type; '' if R4 gives none (`_text`).
    targets     types a reference may point at; empty: any.
    components  of a composite: expressions are relative to a value of `expression`.
    """

    code: str
    kind: str
    expression: str
    targets: tuple[str, ...]
    url: str
    components: tuple[Component, ...] = ()


@dataclass(frozen=True, slots=True)
class ValueSet:
    """A value set with a required binding: its codes by system, or the name of the rule that stands for it.

    rule: '' (the codes are all), `mimetypes` (BCP 13), `currencies` (ISO 4217), `ucum`, `unknown` (not in the package).
    """

    url: str
    systems: Mapping[str, frozenset[str]]
    codes: frozenset[str]
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Constraint:
    """An invariant: `expression` is FHIRPath, evaluated at the element that carries it; severity error or warning."""

    key: str
    severity: str
    human: str
    expression: str


@functools.cache
def table(name: str) -> Any:
    """The content of profiles/r4/<name>.json."""
    return orjson.loads((FOLDER / f"{name}.json").read_bytes())


# ------------------------------------------------------------------------------------------------------- types
@functools.cache
def resource_types() -> frozenset[str]:
    """The 146 concrete resource types."""
    return frozenset(table("structures")["resources"])


@functools.cache
def data_types() -> frozenset[str]:
    """The concrete complex datatypes (`HumanName`)."""
    return frozenset(table("structures")["datatypes"])


def primitives() -> Mapping[str, str]:
    """Primitive type -> regular expression of its value as HL7 writes it ('' for xhtml); compile with re.ASCII."""
    found: dict[str, str] = table("structures")["primitives"]
    return found


def base(type_: str) -> str:
    """The type this one specialises (`Age` -> `Quantity`), '' for Element and Resource."""
    return str(table("structures")["bases"][type_])


@functools.cache
def nodes() -> frozenset[str]:
    """The paths of all nodes: types that have elements, and backbone elements (`Patient.contact`)."""
    return frozenset(table("structures")["nodes"])


@functools.cache
def node(path: str) -> tuple[Element, ...]:
    """The elements of a node in the order of the definition, inherited ones first."""
    return tuple(_element(*cells) for cells in table("structures")["nodes"][path])


def _element(
    name: str,
    low: int,
    high: int,
    types: list[str],
    targets: Sequence[str] = (),
    value_set: str = "",
    constraints: Sequence[str] = (),
    flags: int = 0,
) -> Element:
    return Element(name, low, high, tuple(types), tuple(targets), value_set, tuple(constraints), flags)


@functools.cache
def constraints(path: str) -> tuple[Constraint, ...]:
    """The constraints defined at an element path (`Patient.contact`) or at a type; empty if there are none.

    Those of the base type hold too: `Age` has its own and those of `base("Age")`.
    """
    return tuple(Constraint(*row) for row in table("constraints").get(path, ()))


# --------------------------------------------------------------------------------------- search and terminology
@functools.cache
def search_parameters(type_: str) -> dict[str, Parameter]:
    """Code -> parameter of a concrete resource type, those of Resource and DomainResource included, and our own."""
    return {**_own_parameters().get(type_, {})} | {
        code: Parameter(code, kind, path, tuple(targets), url, tuple(Component(*c) for cells in rest for c in cells))
        for code, kind, path, targets, url, *rest in table("searchparameters")[type_]
    }


@functools.cache
def _own_parameters() -> dict[str, dict[str, Parameter]]:
    """Type -> code -> the SearchParameters of profiles/tiercare, which search/index.py computes by name."""
    found: dict[str, dict[str, Parameter]] = {}
    for path in sorted((OWN / "searchparameters").glob("*.json")):
        one = orjson.loads(path.read_bytes())
        for type_ in one["base"]:
            found.setdefault(type_, {})[one["code"]] = Parameter(
                one["code"], one["type"], one.get("expression", ""), tuple(one.get("target", ())), one["url"]
            )
    return found


@functools.cache
def value_set(url: str) -> ValueSet:
    """A value set that some element is required to use; `url` without version."""
    rule = table("valuesets")["rules"].get(url, "")
    systems = (
        {} if rule else {system: frozenset(codes) for system, codes in table("valuesets")["expanded"][url].items()}
    )
    return ValueSet(url, systems, frozenset().union(*systems.values()), rule)


def compartment(code: str) -> Mapping[str, list[str]]:
    """Resource type -> search parameters that put it into a compartment (`Patient`); `{def}`: the owner itself.

    https://hl7.org/fhir/R4/compartmentdefinition.html; types that never belong to it are absent.
    """
    found: dict[str, list[str]] = table("compartments")[code]
    return found


def compartment_references(code: str, type_: str) -> list[str]:
    """The reference parameters that put a resource of a type into a compartment, the owner's own `{def}` apart."""
    return [parameter for parameter in compartment(code).get(type_, ()) if parameter != "{def}"]
