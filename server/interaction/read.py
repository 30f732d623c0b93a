"""read and vread (https://hl7.org/fhir/R4/http.html#read, #vread)."""

import re

from server.errors import Gone, NotFound
from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.operation import definition
from server.keys import Version, milliseconds_of, stamp_of

ETAG = re.compile(r'(?:W/)?"(\d{1,17})"', re.ASCII)


def unchanged(version: Version, tags: str, since: float | None) -> bool:
    """Conditional read (http.html#cread, RFC 9110 section 13.1.2): `tags` of If-None-Match is a list of ETags, compared
    weakly, or `*`, any version; where it stands, `since` (seconds of If-Modified-Since) does not count."""
    if tags.strip():
        found = (ETAG.fullmatch(tag.strip()) for tag in tags.split(","))
        return tags.strip() == "*" or version.version in {int(tag[1]) for tag in found if tag}
    return since is not None and milliseconds_of(version.stamp) // 1000 <= since


async def read(api: Api, context: Context, type: str, id: str) -> Version:
    """The current version. Raises NotFound, or Gone when it was deleted.

    The OperationDefinitions of the server's own operations are not stored: what runs is what they say.
    """
    if type == "OperationDefinition":
        for operation in api.operations:
            if operation.id == id:
                return Version(type, id, 1, stamp_of(api.started), "PUT", definition(operation, context.base))
    found = await api.records(context).get(type, id)
    if found is None:
        raise NotFound(f"{type}/{id} is not known", type)
    if found.deleted:
        raise Gone(f"{type}/{id} was deleted", type)
    return found


async def vread(api: Api, context: Context, type: str, id: str, version: str) -> Version:
    """One version. Raises NotFound, or Gone when that version is the deletion."""
    number = int(version) if version.isascii() and version.isdigit() and len(version) < 18 else 0
    found = await api.records(context).get(type, id, number) if number else None
    if found is None:
        raise NotFound(f"{type}/{id} has no version {version}", type)
    if found.deleted:
        raise Gone(f"version {version} of {type}/{id} is its deletion", type)
    return found
