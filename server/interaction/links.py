"""Links of a transaction's resources to its other entries and to what is stored, replaced as spans of the bytes
(https://hl7.org/fhir/R4/http.html#trules, bundle.html#references).

References, elements of type uri, url, oid and uuid, and links in the narrative that name another entry's fullUrl become
`Type/id`; canonicals do not. A conditional reference (`Patient?identifier=…`) must match exactly one resource.
"""

from collections.abc import Callable, Mapping

import msgspec

from server.errors import Invalid, Stale
from server.interaction.api import Api
from server.interaction.conditional import match
from server.interaction.context import Context
from server.model import tables
from server.model.raw import references, replace_links


async def resolve_links(
    api: Api, context: Context, raw: bytes, full_url: str, type: str, identities: Mapping[str, str]
) -> bytes:
    """The resource with its links replaced; as it came when it is no JSON, which accept() says better.

    Raises Stale (412) for a conditional reference without one match.
    """
    try:
        return await _replaced(api, context, raw, by_name(full_url, type, identities), identities)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return raw


async def _replaced(
    api: Api, context: Context, raw: bytes, named: Callable[[str], str | None], identities: Mapping[str, str]
) -> bytes:
    conditional = {
        text: await _conditional(api, context, text)
        for text in (references(raw) if b"?" in raw or b"\\u003" in raw else ())  # most have no question mark
        if "?" in text and ":" not in text.partition("?")[0]
    }

    def reference(text: str) -> str | None:
        return conditional.get(text) or named(text)

    def uri(text: str) -> str | None:
        return identities.get(text) if text.startswith("urn:") else None

    return replace_links(raw, reference if conditional else named, uri)


async def _conditional(api: Api, context: Context, reference: str) -> str:
    type, _, criteria = reference.partition("?")
    if type not in tables.resource_types():
        raise Invalid(f"the conditional reference '{reference}' names no resource type")
    found, _ = await match(api, context, type, criteria)
    if found is None:
        raise Stale(f"the conditional reference '{reference}' matches nothing")
    return f"{found.type}/{found.id}"


def by_name(full_url: str, type: str, identities: Mapping[str, str]) -> Callable[[str], str | None]:
    """References to a fullUrl of the Bundle, as written or relative to the entry's own base."""
    base = ""
    if full_url.startswith(("http://", "https://")):
        base = full_url[: -len(f"{type}/{full_url.rpartition('/')[2]}")]

    def resolve(reference: str) -> str | None:
        found = identities.get(reference)
        if found is None and base and ":" not in reference:
            found = identities.get(base + reference)
        if found is None and reference.startswith("urn:"):
            whole, mark, fragment = reference.partition("#")
            if mark and whole in identities:
                return f"{identities[whole]}#{fragment}"
        return found

    return resolve
