"""capabilities (https://hl7.org/fhir/R4/http.html#capabilities): derived from the tables that the server runs on, so
that it says what is there and nothing else."""

import functools
from typing import Any

from server.interaction.api import Api
from server.interaction.operate import described
from server.interaction.operation import INSTANCE, SYSTEM, TYPE
from server.interaction.patch import MIMES
from server.model import tables
from server.search.include import references
from server.search.index import left_out
from server.search.words import switched_off

SOFTWARE = "tiercare"
INTERACTIONS = (
    "create",
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "search-type",
)
WHOLE = ("transaction", "batch", "history-system", "search-system")
FORMATS = ("application/fhir+json", "json", "application/fhir+xml", "xml")


def capability(api: Api, base: str, version: str, started: str) -> dict[str, Any]:
    """The CapabilityStatement; `started` is a dateTime."""
    operations = described(api.operations, base, SYSTEM)
    return {
        "resourceType": "CapabilityStatement",
        "id": "tiercare",
        "url": f"{base}/metadata",
        "version": version,
        "name": "TiercareServer",
        "title": "tiercare FHIR R4 server",
        "status": "active",
        "date": started,
        "kind": "instance",
        "software": {"name": SOFTWARE, "version": version},
        "implementation": {"description": "A FHIR R4 server for tiered care", "url": base},
        "fhirVersion": "4.0.1",
        "format": list(FORMATS),
        "patchFormat": list(MIMES),
        "rest": [
            {
                "mode": "server",
                "interaction": [{"code": code} for code in WHOLE],
                "resource": [_resource(api, type, base) for type in sorted(tables.resource_types())],
                **({"operation": operations} if operations else {}),
            }
        ],
    }


@functools.cache
def _reverse_includes(type: str) -> list[str]:
    """`Source:code` of all parameters that may refer to a type."""
    return [
        f"{source}:{code}"
        for source in sorted(tables.resource_types())
        for code, targets in sorted(references(source).items())
        if not targets or type in targets
    ]


def _resource(api: Api, type: str, base: str) -> dict[str, Any]:
    parameters = tables.search_parameters(type)
    missing, off = left_out(type), switched_off(api.setting)
    usable = [parameters[code] for code in sorted(parameters) if code not in missing and code not in off]
    found: dict[str, Any] = {
        "type": type,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{type}",
        "interaction": [{"code": code} for code in INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": api.update_as_create,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": api.conditional_delete,
        "referencePolicy": ["literal", "logical"],
    }
    includes = [f"{type}:{code}" for code in sorted(references(type))]
    if includes:
        found["searchInclude"] = ["*", *includes]
    found["searchRevInclude"] = _reverse_includes(type)
    found["searchParam"] = [{"name": p.code, "definition": p.url, "type": p.kind} for p in usable]
    operations = {
        one["definition"]: one for level in (TYPE, INSTANCE) for one in described(api.operations, base, level, type)
    }
    if operations:
        found["operation"] = list(operations.values())
    return found
