"""The document Bundle that is stored beside the resources: it stands on its own (https://hl7.org/fhir/R4/documents.html)."""

import pytest

from tests.feeds.cases.cda_builder import NAMES, Resource, one, references, sample, transaction


@pytest.fixture(params=NAMES)
def bundle(request: pytest.FixtureRequest) -> Resource:
    return one(sample(request.param), "Bundle")


def test_it_is_a_document_with_identifier_timestamp_and_composition_first(bundle: Resource) -> None:
    assert bundle["type"] == "document"
    assert bundle["identifier"]["system"]  # bdl-9
    assert bundle["identifier"]["value"]
    assert "T" in bundle["timestamp"]  # bdl-10
    assert bundle["timestamp"].endswith("+08:00")
    assert bundle["entry"][0]["resource"]["resourceType"] == "Composition"  # bdl-11
    assert [e["resource"]["resourceType"] for e in bundle["entry"]].count("Composition") == 1


def test_every_entry_has_an_address_of_its_own(bundle: Resource) -> None:
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert all(url.startswith("urn:uuid:") for url in urls)
    assert len(set(urls)) == len(urls)  # bdl-7


def test_every_reference_leads_to_an_entry_of_the_document(bundle: Resource) -> None:
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    found = set(references(bundle["entry"]))
    assert found
    assert found <= urls


def test_every_entry_is_reached_from_the_composition(bundle: Resource) -> None:
    by_url = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    first = bundle["entry"][0]["fullUrl"]
    reached, waiting = {first}, [first]
    while waiting:
        for url in references(by_url[waiting.pop()]):
            if url not in reached:
                reached.add(url)
                waiting.append(url)
    assert reached == set(by_url)


@pytest.mark.parametrize("name", NAMES)
def test_no_address_of_the_document_is_one_of_the_transaction(name: str) -> None:
    conversion = sample(name)
    outside = {entry["fullUrl"] for entry in transaction(conversion)["entry"]}
    inside = {entry["fullUrl"] for entry in one(conversion, "Bundle")["entry"]}
    assert not inside & outside


@pytest.mark.parametrize("name", NAMES)
def test_the_document_holds_what_the_transaction_holds(name: str) -> None:
    conversion = sample(name)
    outside = sorted(
        entry["resource"]["resourceType"]
        for entry in transaction(conversion)["entry"]
        if entry["resource"]["resourceType"] not in ("Binary", "DocumentReference", "Provenance", "Bundle")
    )
    inside = sorted(entry["resource"]["resourceType"] for entry in one(conversion, "Bundle")["entry"])
    assert inside == outside
