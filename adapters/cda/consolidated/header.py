"""The header of a C-CDA: its zone, who else took part, what it documents, a body that is one file."""

import re

from adapters.cda.consolidated.fields import who
from adapters.cda.consolidated.procedures import location
from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.contract import Resource
from adapters.kit.resource import Made

_AGENT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_AGENTS = {"dataEnterer": "enterer", "informant": "informant"}
_ZONE = re.compile(r"\d{10,}(?:\.\d+)?([+-]\d{2}):?(\d{2})")


def zone(root: Node) -> str:
    """The zone of the document's own time, for the times in it that say none."""
    at = root.child("effectiveTime")
    found = _ZONE.fullmatch(at.get("value")) if at is not None else None
    return f"{found.group(1)}:{found.group(2)}" if found else ""


def others(work: Conversion, root: Node) -> None:
    """Those who entered or told it (Provenance.agent), those who treated (Encounter.participant), where."""
    for node in root.named(*_AGENTS):
        person, place = who(work, node)
        actor = person or place
        if actor is not None:
            kind = {"coding": [{"system": _AGENT, "code": _AGENTS[node.name]}]}
            work.mapped.provenance.setdefault("agent", []).append({"type": kind, "who": actor})
    visit = root.find("componentOf/encompassingEncounter")
    if work.encounter is not None and visit is not None:
        _visit(work, work.encounter, visit)
    if not work.authors and work.custodian is None:
        work.problem("warning", "required", "no author and no custodian: the software is named as author", root)
        work.authors.append({"type": "Device", "display": "unknown author"})


def event(work: Conversion, root: Node) -> list[Resource]:
    """Composition.event of documentationOf: what was done, when, by whom."""
    found: list[Resource] = []
    for node in root.named("documentationOf"):
        service = node.child("serviceEvent")
        if service is None:
            continue
        work.use(node, service)
        concept = work.concept(service.child("code"))
        period = work.period(service.child("effectiveTime"))
        people = [one for child in service.named("performer") for one in who(work, child) if one is not None]
        value: Resource = {
            **({"code": [concept]} if concept else {}),
            **({"period": period} if period else {}),
            **({"detail": people} if people else {}),
        }
        if value:
            found.append(value)
    return found


def unstructured(work: Conversion, root: Node) -> bool:
    """nonXMLBody -> DocumentReference with the file in it (or its address); False when there is none."""
    text = root.find("component/nonXMLBody/text")
    if text is None:
        return False
    work.use(root.child("component"), root.find("component/nonXMLBody"), text)
    pointer = text.child("reference")
    attachment: Resource = {"contentType": text.get("mediaType")} if text.get("mediaType") else {}
    data = "".join(text.text.split())
    if pointer is not None and pointer.get("value"):
        work.use(pointer)
        attachment["url"] = pointer.get("value")
    elif text.get("representation") == "B64" and re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", data) and len(data) % 4 == 0:
        attachment["data"] = data
    else:
        work.problem("warning", "value", "the file in nonXMLBody is not base64: it is in the raw document only", text)
        work.keep(text, "not base64: kept in the raw document")
        return True
    made = work.made("DocumentReference", text)
    made.put("status", "current")
    made.put("subject", work.patient)
    made.add("content", {"attachment": attachment}, text.path, text.line)
    return True


def _visit(work: Conversion, made: Made, visit: Node) -> None:
    for node in visit.named("responsibleParty", "encounterParticipant"):
        person, place = who(work, node)
        if person is not None:
            made.add("participant", {"individual": person}, node.path, node.line)
        if place is not None and "serviceProvider" not in made.resource:
            made.put("serviceProvider", place, node.path, node.line)
    facility = visit.find("location/healthCareFacility")
    if facility is not None:
        work.use(visit.child("location"), facility)
        place = location(work, facility)
        if place is not None:
            made.add("location", {"location": place}, facility.path, facility.line)
    left = work.concept(visit.child("dischargeDispositionCode"))
    if left is not None:
        work.hospitalization["dischargeDisposition"] = left
