"""read and vread (https://hl7.org/fhir/R4/http.html#read, #vread)."""

from server.errors import Gone, NotFound
from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.operation import definition
from server.keys import Version, stamp_of


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
