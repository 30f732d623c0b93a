"""One message -> one idempotent transaction Bundle (https://hl7.org/fhir/R4/http.html#transaction).

Entries, in this order: the raw bytes (Binary), what they are (DocumentReference), the message's resources, and a
Provenance that leads from every one of them back to the DocumentReference. Sent twice, the second changes nothing:
Binary, DocumentReference and owned resources have derived ids, shared ones are matched by identifier, and the
Provenance is created only if this mapping version has not left one for this message.
"""

import base64
import hashlib
from collections.abc import Sequence
from urllib.parse import quote

from adapters.contract import Item, Mapped, Parsed, Problem, Resource
from adapters.kit.resource import id_of

BASE = "https://tiercare.example/fhir"
INTAKE = f"{BASE}/CodeSystem/intake"  # DocumentReference.meta.tag: converted | not-converted
FORMAT = f"{BASE}/CodeSystem/source-format"  # adapter name
MAPPING = f"{BASE}/CodeSystem/mapping"  # Provenance.meta.tag: adapter name/version
LINEAGE = f"{BASE}/StructureDefinition/lineage"  # Provenance.target.extension: which field gave which element
PROBLEM = f"{BASE}/StructureDefinition/conversion-problem"  # DocumentReference.extension: why, where

_TEXT_MAX = 2000  # characters of a problem's text kept in the DocumentReference; a message never needs more


def transaction(
    adapter: str, version: str, parsed: Parsed, mapped: Mapped | None, problems: Sequence[Problem], recorded: str
) -> Resource:
    """The transaction of one message; without its resources when `mapped` is None or a problem is an error.

    `problems` are all that were found (parsing, mapping, the server's refusal); `recorded` is a FHIR instant.
    """
    converted = mapped is not None and not any(p.severity in ("fatal", "error") for p in problems)
    items = mapped.items if converted and mapped is not None else []
    digest = hashlib.sha256(parsed.raw)
    raw_key = f"raw|{adapter}|{digest.hexdigest()}"
    binary_id, document_id = id_of(f"{raw_key}|binary"), id_of(f"{raw_key}|document")
    entries = [
        _put(
            {
                "resourceType": "Binary",
                "id": binary_id,
                "contentType": parsed.content_type,
                "data": base64.b64encode(parsed.raw).decode(),
            }
        ),
        _put(_document(adapter, parsed, mapped, problems, document_id, binary_id, digest.digest(), converted)),
        *(_entry(item) for item in items),
    ]
    if mapped is not None and items:
        entries.append(_provenance(adapter, version, mapped, document_id, recorded))
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _put(resource: Resource) -> Resource:
    url = f"{resource['resourceType']}/{resource['id']}"
    full_url = f"urn:uuid:{resource['id']}"
    return {"fullUrl": full_url, "resource": resource, "request": {"method": "PUT", "url": url}}


def _entry(item: Item) -> Resource:
    type, full_url = item.resource["resourceType"], f"urn:uuid:{id_of(item.key)}"
    if item.mode == "owned":
        resource = {
            "resourceType": type,
            "id": id_of(item.key),
            **{k: v for k, v in item.resource.items() if k != "resourceType"},
        }
        return _put(resource)
    criteria = _criteria(item)
    request = (
        {"method": "POST", "url": type, "ifNoneExist": criteria}
        if item.mode == "shared"
        else {"method": "PUT", "url": f"{type}?{criteria}"}
    )
    return {"fullUrl": full_url, "resource": item.resource, "request": request}


def _criteria(item: Item) -> str:
    """`identifier=system|value` of the first identifier: the one the source is surest of stands first."""
    identifiers = item.resource.get("identifier") or []
    first = identifiers[0] if isinstance(identifiers, list) else identifiers
    if not first or not first.get("value"):
        raise ValueError(f"{item.key}: a {item.mode} resource needs an identifier with a value")
    value = "".join(f"\\{c}" if c in "\\|,$" else c for c in first["value"])
    return f"identifier={quote(first.get('system', ''), safe=':/')}|{quote(value, safe='')}"


def _document(
    adapter: str,
    parsed: Parsed,
    mapped: Mapped | None,
    problems: Sequence[Problem],
    document_id: str,
    binary_id: str,
    sha256: bytes,
    converted: bool,
) -> Resource:
    """What the raw bytes are, and what was found in them. No clock: the same message gives the same document."""
    document: Resource = {
        "resourceType": "DocumentReference",
        "id": document_id,
        "meta": {
            "tag": [
                {"system": INTAKE, "code": "converted" if converted else "not-converted"},
                {"system": FORMAT, "code": adapter},
            ]
        },
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:sha256:{sha256.hex()}"}],
        "status": "current",
        "content": [
            {"attachment": {"contentType": parsed.content_type, "url": f"Binary/{binary_id}", "size": len(parsed.raw)}}
        ],
    }
    extensions = [_problem(p) for p in problems if p.severity != "information"]
    if extensions:
        document["extension"] = extensions
    if mapped is not None:
        document["type"] = {"text": mapped.kind}
        if "T" in mapped.when:
            document["date"] = mapped.when
        if converted and mapped.subject:
            document["subject"] = {"reference": f"urn:uuid:{id_of(mapped.subject)}"}
        for element, content in mapped.document.items() if converted else ():
            if element == "format":
                document["content"][0]["format"] = content
            else:
                document[element] = content
    if not converted:
        reasons = [p for p in problems if p.severity in ("fatal", "error")]
        document["description"] = "not converted: " + "; ".join(sentence(p) for p in reasons)[:_TEXT_MAX]
    return document


def _problem(problem: Problem) -> Resource:
    parts: list[Resource] = [
        {"url": "severity", "valueCode": problem.severity},
        {"url": "text", "valueString": problem.text[:_TEXT_MAX]},
    ]
    if problem.field:
        parts.append({"url": "field", "valueString": problem.field})
    if problem.line is not None:
        parts.append({"url": "line", "valueInteger": problem.line})
    if problem.column is not None:
        parts.append({"url": "column", "valueInteger": problem.column})
    return {"url": PROBLEM, "extension": parts}


def sentence(problem: Problem) -> str:
    """`line 12, column 3, PID-7: …`"""
    where = [
        f"line {problem.line}" if problem.line is not None else "",
        f"column {problem.column}" if problem.column is not None else "",
        problem.field,
    ]
    place = ", ".join(part for part in where if part)
    return f"{place}: {problem.text}" if place else problem.text


def _targets(mapped: Mapped) -> list[Resource]:
    """Provenance.target: every resource, each with its lineage `birthDate=PID-7@3; name[0]=PID-5@3` (field, line)."""
    rows: dict[str, list[str]] = {}
    for trace in mapped.trace:
        element = trace.element.partition(".")[2] or trace.element
        at = f"@{trace.line}" if trace.line is not None else ""
        rows.setdefault(trace.key, []).append(f"{element}={trace.field}{at}")
    targets = []
    for item in mapped.items:
        target: Resource = {"reference": f"urn:uuid:{id_of(item.key)}"}
        if item.key in rows:
            target["extension"] = [{"url": LINEAGE, "valueString": "; ".join(rows[item.key])}]
        targets.append(target)
    return targets


def _provenance(adapter: str, version: str, mapped: Mapped, document_id: str, recorded: str) -> Resource:
    mapping = {"system": MAPPING, "code": f"{adapter}/{version}"}
    resource: Resource = {
        "resourceType": "Provenance",
        "meta": {"tag": [mapping]},
        "target": _targets(mapped),
        **{name: content for name, content in mapped.provenance.items() if name != "agent"},
        "recorded": recorded,
        "activity": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-DataOperation", "code": "CREATE"}],
            "text": f"converted from {mapped.kind}",
        },
        "agent": [
            {
                "type": {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
                            "code": "assembler",
                        }
                    ]
                },
                "who": {"display": f"tiercare adapter {adapter} {version}"},
            },
            *mapped.provenance.get("agent", []),
        ],
        "entity": [
            {
                "role": "source",
                "what": {
                    "reference": f"DocumentReference/{document_id}",
                    "display": f"{mapped.kind} of {mapped.source}",
                },
            }
        ],
    }
    criteria = (
        f"entity=DocumentReference/{document_id}&_tag={quote(MAPPING, safe=':/')}|{quote(mapping['code'], safe='/')}"
    )
    return {
        "fullUrl": f"urn:uuid:{id_of(f'provenance|{document_id}|{version}')}",
        "resource": resource,
        "request": {"method": "POST", "url": "Provenance", "ifNoneExist": criteria},
    }
