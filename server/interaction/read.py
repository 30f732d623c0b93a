"""read and vread (https://hl7.org/fhir/R4/http.html#read, #vread)."""

from server.errors import Gone, NotFound
from server.interaction.api import Api
from server.interaction.context import Context
from server.keys import Version


async def read(api: Api, context: Context, type: str, id: str) -> Version:
    """The current version. Raises NotFound, or Gone when it was deleted."""
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
