"""Links between the entries of a transaction, and conditional references
(https://hl7.org/fhir/R4/http.html#trules, bundle.html#references)."""

import pytest

from tests.client import Fhir, Resource, bundle, done, post, refused

URN = "urn:uuid:6a1f3c52-8f5e-4a52-9c0e-1c6f0d9e7a10"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><a href="{0}">x</a><img src="{0}" alt="y"/></div>'


def binary() -> Resource:
    return {"resourceType": "Binary", "contentType": "text/plain", "data": "aGk="}


def document(url: str, **more: object) -> Resource:
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": {"url": url}}],
        **more,
    }


async def _second(fhir: Fhir, *entries: Resource) -> tuple[str, Resource]:
    """(place of the first entry, the second entry's resource as stored)."""
    answer = done(await fhir.post("", bundle("transaction", *entries)))
    places = [entry["response"]["location"].partition("/_history")[0] for entry in answer["entry"]]
    return places[0], done(await fhir.get(places[1]))


async def test_uris_and_narrative_links_follow_the_entry_they_name(fhir: Fhir) -> None:
    to, stored = await _second(
        fhir,
        post(binary(), URN),
        post(document(URN, text={"status": "generated", "div": DIV.format(URN)})),
    )
    assert stored["content"][0]["attachment"]["url"] == to
    assert stored["text"]["div"] == DIV.format(to)


async def test_what_is_no_link_keeps_the_fullurl_as_it_was_written(fhir: Fhir) -> None:
    identifier = {"system": "urn:ietf:rfc:3986", "value": URN}
    other = URN.replace("6a1f", "7b2e")
    _, stored = await _second(
        fhir,
        post(binary(), URN),
        post(document(other, masterIdentifier=identifier, description=f'"url": "{URN}"')),
    )
    assert stored["masterIdentifier"] == identifier
    assert stored["description"] == f'"url": "{URN}"'
    assert stored["content"][0]["attachment"]["url"] == other


async def test_a_conditional_reference_becomes_the_one_resource_that_matches(fhir: Fhir, mark: str) -> None:
    patient = await fhir.create({"resourceType": "Patient", "identifier": [{"system": "urn:t", "value": mark}]})
    subject = {"reference": f"Patient?identifier=urn:t|{mark}", "display": "谁"}
    _, stored = await _second(fhir, post(binary()), post(document("http://x.example/1", subject=subject)))
    assert stored["subject"] == {"reference": f"Patient/{patient['id']}", "display": "谁"}


@pytest.mark.parametrize(("matching", "status"), [(0, 412), (2, 412)])
async def test_a_conditional_reference_without_one_match_fails_the_transaction(
    fhir: Fhir, mark: str, matching: int, status: int
) -> None:
    for _ in range(matching):
        await fhir.create({"resourceType": "Patient", "identifier": [{"value": mark}]})
    marked = {**document("http://x.example/1"), "identifier": [{"value": mark}]}
    subject = {"reference": f"Patient?identifier={mark}"}
    answer = await fhir.post("", bundle("transaction", post(marked), post({**marked, "subject": subject})))
    refused(answer, status)
    assert "Bundle.entry[1]" in answer.text
    assert await fhir.ids(f"DocumentReference?identifier={mark}") == []


async def test_a_conditional_reference_to_what_is_no_type_is_refused(fhir: Fhir) -> None:
    subject = {"reference": "Patientt?identifier=1"}
    refused(await fhir.post("", bundle("transaction", post(document("http://x.example/1", subject=subject)))), 400)
