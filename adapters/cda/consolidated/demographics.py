"""What C-CDA says of the patient beyond name, sex and birth: race, ethnicity, languages, religion, death."""

from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.contract import Resource
from adapters.kit.resource import Made

_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
_RELIGION = "http://hl7.org/fhir/StructureDefinition/patient-religion"
_OMB = {"1002-5", "2028-9", "2054-5", "2076-8", "2106-3", "2135-2", "2186-5"}
_BCP47 = "urn:ietf:bcp:47"


def demographics(work: Conversion, made: Made, person: Node) -> None:
    for name, nodes in (
        ("race", [n for n in person.children if n.name == "raceCode"]),
        ("ethnicity", [n for n in person.children if n.name == "ethnicGroupCode"]),
    ):
        parts, line = _groups(work, nodes)
        if parts:
            made.add("extension", {"url": f"{_CORE}{name}", "extension": parts}, nodes[0].path, line)
    religion = person.child("religiousAffiliationCode")
    concept = work.concept(religion)
    if religion is not None and concept is not None:
        extension = {"url": _RELIGION, "valueCodeableConcept": concept}
        made.add("extension", extension, religion.path, religion.line)
    for node in person.named("languageCommunication"):
        made.add("communication", _language(work, node), node.path, node.line)
    _death(work, made, person)


def _groups(work: Conversion, nodes: list[Node]) -> tuple[list[Resource], int]:
    parts: list[Resource] = []
    words: list[str] = []
    for node in nodes:
        concept = work.concept(node)
        if concept is None:
            continue
        words.append(str(concept.get("text", "")))
        for coding in concept.get("coding", []):
            kind = "ombCategory" if coding["code"] in _OMB else "detailed"
            parts.append({"url": kind, "valueCoding": coding})
    text = ", ".join(word for word in words if word)
    if text:
        parts.append({"url": "text", "valueString": text})
    return parts, nodes[0].line if nodes else 0


def _language(work: Conversion, node: Node) -> Resource | None:
    code = node.child("languageCode")
    if code is None or not code.get("code"):
        return None
    work.use(node, code)
    result: Resource = {"language": {"coding": [{"system": _BCP47, "code": code.get("code")}]}}
    preferred = node.child("preferenceInd")
    if preferred is not None and preferred.get("value") in ("true", "false"):
        work.use(preferred)
        result["preferred"] = preferred.get("value") == "true"
    return result


def _death(work: Conversion, made: Made, person: Node) -> None:
    when, dead = person.child("deceasedTime"), person.child("deceasedInd")
    at = work.date_time(when) if when is not None and when.get("value") else ""
    if when is not None and at:
        work.use(dead)
        made.put("deceasedDateTime", at, when.path, when.line)
    elif dead is not None and dead.get("value") in ("true", "false"):
        work.use(dead)
        made.put("deceasedBoolean", dead.get("value") == "true", dead.path, dead.line)
