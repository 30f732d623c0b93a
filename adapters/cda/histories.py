"""Histories that FHIR has a resource for: allergies -> AllergyIntolerance, of the family -> FamilyMemberHistory."""

import re

from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.cda.section import Section, code_of
from adapters.cda.values import value_of
from adapters.contract import Resource
from adapters.kit.resource import Made

RULES = ("allergy", "family-history")
_BASE = "http://terminology.hl7.org/CodeSystem/"
# An answer that says there is none: it stays the Observation that it is. `否认青霉素过敏` denies one allergy only.
_DENIED = re.compile(r"(无|否认|未发现|没有|不详|未知|暂无)[^，。；,;]{0,12}|-|/|N/?A", re.IGNORECASE)


def history(work: Conversion, section: Section, node: Node, rule: str) -> Made | None:
    """The resource of a history that says something; None for one that denies it, or is in doubt."""
    found = value_of(work, node)
    if found is None or found[0] not in ("valueString", "valueCodeableConcept"):
        return None
    said: Resource = found[1] if found[0] == "valueCodeableConcept" else {"text": found[1]}
    words = str(said.get("text", "")).strip().rstrip("。.;；")
    if _DENIED.fullmatch(words) or words.startswith(("无", "否认")):
        return None
    work.use(node, node.child("code"))
    made = _allergy(work, said, node) if rule == "allergy" else _family(work, said, node)
    if made.type == "AllergyIntolerance" and work.encounter is not None:
        made.put("encounter", work.encounter.reference())
    return made


def _allergy(work: Conversion, said: Resource, node: Node) -> Made:
    made = work.made("AllergyIntolerance", node)
    made.put("clinicalStatus", _coding("allergyintolerance-clinical", "active"))
    made.put("verificationStatus", _coding("allergyintolerance-verification", "unconfirmed"))
    made.put("code", said, code_of(node), node.line)
    made.put("patient", work.patient)
    made.put("recordedDate", work.mapped.when)
    return made


def _family(work: Conversion, said: Resource, node: Node) -> Made:
    made = work.made("FamilyMemberHistory", node)
    made.put("status", "partial")
    made.put("patient", work.patient)
    made.put("date", work.mapped.when)
    member = {"system": f"{_BASE}v3-RoleCode", "code": "FAMMEMB", "display": "family member"}
    made.put("relationship", {"coding": [member], "text": "家族成员"})
    made.add("condition", {"code": said}, code_of(node), node.line)
    return made


def _coding(system: str, code: str) -> Resource:
    return {"coding": [{"system": f"{_BASE}{system}", "code": code}]}
