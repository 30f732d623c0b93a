"""Golden cases of the table, JSON and SOAP adapters: what comes out, that it is R4, that a server stores it once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from adapters.delivery import Target
from adapters.golden import RECORDED, Case, cases, run
from adapters.registry import adapter
from adapters.runner import Conversion, convert
from tests import servers

GOLDEN = Path(__file__).parent / "cases" / "golden"
CASES = {f"{case.folder.parent.name}/{case.folder.name}": case for case in cases(GOLDEN)}


def conversions(case: Case) -> list[Conversion]:
    return convert(case.input.read_bytes(), case.input.name, adapter(case.folder.parent.name), RECORDED)


def resources(conversion: Conversion) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in conversion.transaction["entry"]]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with servers.tiercare(tmp_path_factory.mktemp("golden")) as server:
        found = Target(server.base)
        yield found
        found.close()


def test_there_are_golden_cases_of_every_adapter_of_rows_and_soap() -> None:
    assert {name.partition("/")[0] for name in CASES} == {"regional_json", "his_tables", "regional_soap"}


@pytest.mark.parametrize("name", CASES)
def test_the_conversion_is_as_expected(name: str) -> None:
    outcome = run(CASES[name], name.partition("/")[0])
    assert outcome.good, "\n".join([outcome.trouble, *outcome.difference])


@pytest.mark.parametrize("name", CASES)
def test_every_message_converts_into_valid_resources_whose_references_resolve(name: str) -> None:
    for conversion in conversions(CASES[name]):
        assert not conversion.failed, conversion.problems
        for resource in resources(conversion):
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        full_urls = {entry["fullUrl"] for entry in conversion.transaction["entry"]}
        text = json.dumps(conversion.transaction, default=str)
        used = {f"urn:uuid:{part[:36]}" for part in text.split('"reference": "urn:uuid:')[1:]}
        assert used and used <= full_urls


@pytest.mark.parametrize("name", CASES)
def test_a_server_stores_it_and_a_second_sending_changes_nothing(name: str, target: Target) -> None:
    for conversion in conversions(CASES[name]):
        first = target.deliver(conversion)
        assert (first.status, first.problems) == ("stored", [])
        assert set(target.deliver(conversion).counts()) == {"unchanged"}
