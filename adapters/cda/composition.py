"""The header of the document and its sections -> Composition (https://hl7.org/fhir/R4/composition.html)."""

from typing import Any

from adapters.cda.consolidated.header import event
from adapters.cda.conversion import Conversion
from adapters.cda.narrative import lines, narrative
from adapters.cda.participants import practitioner
from adapters.cda.record import Node
from adapters.cda.section import Section
from adapters.cda.tables import real
from adapters.contract import Resource
from adapters.kit import codes
from adapters.kit.resource import Made

DOCUMENT_CODES = "urn:oid:2.16.156.10011.2.4"  # 卫生信息共享文档规范编码体系
_CONFIDENTIALITY = ("U", "L", "M", "N", "R", "V")
_RELATIONS = {"RPLC": "replaces", "APND": "appends", "XFRM": "transforms"}
_ATTESTERS = {"legalAuthenticator": "legal", "authenticator": "professional"}


def composition(work: Conversion, root: Node, sections: list[Section], extra: list[Resource]) -> Made:
    """The Composition. `extra` are Observations about the header: they get a section of their own, 基本信息."""
    made = Made(work.mapped, "Composition", f"{work.key}|Composition", "owned")
    language = root.child("languageCode")
    if language is not None:
        work.use(language)
        primary, _, region = real(language.get("code")).partition("-")
        made.put("language", f"{primary.lower()}-{region.upper()}" if region else primary.lower(), "languageCode")
    made.put("identifier", identifier(work, root), "id", root.line)
    made.put("status", "final")
    code = root.child("code")
    made.put("type", _type(work, code), "code", code.line if code is not None else root.line)
    made.put("subject", work.patient)
    if work.encounter is not None:
        made.put("encounter", work.encounter.reference())
    made.put("date", work.mapped.when, "effectiveTime", root.line)
    made.put("author", work.authors or ([work.custodian] if work.custodian else None), "author", root.line)
    made.put("title", title(work, root), "title", root.line)
    _confidentiality(work, made, root)
    for node in root.named("author"):
        made.add("attester", _authored(work, node), node.path, node.line)
    for node in root.named(*_ATTESTERS):
        made.add("attester", _attester(work, node), node.path, node.line)
    made.put("custodian", work.custodian, "custodian", root.line)
    if work.consolidated:
        for told in event(work, root):
            made.add("event", told, "documentationOf", root.line)
    for node in root.named("relatedDocument"):
        made.add("relatesTo", _relation(work, node), node.path, node.line)
    for section in sections:
        made.add("section", _section(section, consolidated=work.consolidated), section.node.path, section.node.line)
    if extra:
        text = {"status": "generated", "div": _list(work)}
        made.add("section", {"title": "基本信息", "text": text, "entry": extra})
    return made


def identifier(work: Conversion, root: Node) -> Resource | None:
    """The identifier that stays over all versions: setId, else id."""
    for name in ("setId", "id"):
        node = root.child(name)
        if node is not None:
            found = work.identifier(node)
            if found:
                return found
    return None


def title(work: Conversion, root: Node) -> str:
    node = root.child("title")
    return work.text(node) or work.type.title or work.type.code or "未命名文档"


def _type(work: Conversion, code: Node | None) -> Resource:
    """LOINC where one fits, and always the source's own code; the text is what the source calls it."""
    coding: list[Resource] = []
    if work.type.loinc:
        coding.append({"system": codes.LOINC, "code": work.type.loinc, "display": work.type.display})
    if code is not None:
        work.use(code)
        value = real(code.get("code"))
        system = DOCUMENT_CODES if work.type.known else codes.system_of(code.get("codeSystem"))
        if value:
            display = real(code.get("displayName")) or work.type.title
            named = {"display": display} if display else {}
            coding.append({**({"system": system} if system else {}), "code": value, **named})
    text = work.type.title or (real(code.get("displayName")) if code is not None else "") or work.type.code
    return {**({"coding": coding} if coding else {}), "text": text or "未知文档"}


def _confidentiality(work: Conversion, made: Made, root: Node) -> None:
    node = root.child("confidentialityCode")
    if node is None:
        return
    work.use(node)
    code = node.get("code").upper()
    if code in _CONFIDENTIALITY:
        made.put("confidentiality", code, node.path, node.line)
    elif real(code):
        # An unknown level must not turn a restricted document into an ordinary one.
        made.put("confidentiality", "R", node.path, node.line)
        work.problem("warning", "code-invalid", f"confidentiality {code} is not known: taken as R (restricted)", node)


def _authored(work: Conversion, node: Node) -> Resource | None:
    """When an author wrote: a personal attestation with its time. None when the author says no time."""
    at = work.date_time(node.child("time"))
    if not at:
        return None
    entity = node.child("assignedAuthor")
    party = practitioner(work, entity) if entity is not None else None
    return {"mode": "personal", "time": at, **({"party": party} if party else {})}


def _attester(work: Conversion, node: Node) -> Resource:
    time, entity = node.child("time"), node.child("assignedEntity")
    work.use(node, entity)
    at = work.date_time(time)
    party = practitioner(work, entity) if entity is not None else None
    if not at and party is None:
        return {}
    return {
        "mode": _ATTESTERS[node.name],
        **({"time": at} if at else {}),
        **({"party": party} if party else {}),
    }


def _relation(work: Conversion, node: Node) -> Resource | None:
    parent = node.child("parentDocument")
    work.use(node, parent)
    if parent is None:
        return None
    target = next(
        (found for name in ("setId", "id") for one in parent.named(name) if (found := work.identifier(one))), None
    )
    for one in parent.named("code", "versionNumber"):
        work.use(one)
    code = _RELATIONS.get(node.get("typeCode"))
    return {"code": code, "targetIdentifier": target} if target and code else None


def _section(section: Section, *, consolidated: bool) -> Resource:
    result: Resource = {"title": section.title}
    if section.concept:
        result["code"] = {**section.concept, "text": section.title}
    result["text"] = narrative(section.node, consolidated=consolidated)
    if section.entries:
        result["entry"] = section.entries
    if section.sections:
        result["section"] = [_section(child, consolidated=consolidated) for child in section.sections]
    return result


def _list(work: Conversion) -> str:
    rows = [
        f"<li><b>{lines(label)}</b>：{lines(_shown(content))}</li>"
        for _, label, _, value, _ in work.header_notes
        for content in value.values()
    ]
    return f'<div xmlns="http://www.w3.org/1999/xhtml"><ul>{"".join(rows)}</ul></div>'


def _shown(content: Any) -> str:
    """A string, CodeableConcept or Quantity as a reader wants it."""
    if isinstance(content, dict):
        return str(content.get("text") or f"{content.get('value')} {content.get('unit', '')}".strip())
    return str(content)
