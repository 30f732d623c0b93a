"""The certificate of an expunge: an AuditEvent that names every removed version with the SHA-256 of its body
(https://hl7.org/fhir/R4/auditevent.html)."""

import hashlib
import time
from collections.abc import Sequence
from typing import Any

import orjson

from server.keys import Version, instant, stamp_of

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_WHO = "a caller without authentication"  # a server that knows its callers names them here


def certificate(gone: Sequence[Version], reason: str, type: str, base: str) -> bytes:
    """`gone` is not empty. `base` names the server that did it."""
    return orjson.dumps(
        {
            "resourceType": "AuditEvent",
            "type": {"system": f"{_TERMINOLOGY}/audit-event-type", "code": "rest", "display": "RESTful Operation"},
            "subtype": [
                {"system": "http://hl7.org/fhir/restful-interaction", "code": "operation", "display": "operation"},
                {"system": f"{base}/OperationDefinition/expunge", "code": "expunge"},
            ],
            "action": "D",
            "recorded": instant(stamp_of(time.time_ns() // 1_000_000)),
            "outcome": "0",
            "outcomeDesc": f"{len(gone)} versions of {type} removed for good",
            "purposeOfEvent": [{"text": reason}],
            "agent": [{"who": {"display": _WHO}, "requestor": True}],
            "source": {"observer": {"display": f"tiercare at {base}"}},
            "entity": [_entity(version) for version in gone],
        }
    )


def _entity(version: Version) -> dict[str, Any]:
    """A version; a deletion has no body, and so no sum."""
    details = [
        {"type": "method", "valueString": version.method},
        {"type": "lastUpdated", "valueString": instant(version.stamp)},
    ]
    if version.body:
        details.append({"type": "SHA-256", "valueString": hashlib.sha256(version.body).hexdigest()})
    return {
        "what": {"reference": f"{version.type}/{version.id}/_history/{version.version}"},
        "lifecycle": {
            "system": f"{_TERMINOLOGY}/dicom-audit-lifecycle",
            "code": "15",
            "display": "Permanent erasure / Physical destruction",
        },
        "detail": details,
    }
