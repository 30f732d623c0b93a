"""One record -> what it means in FHIR, in this order: header, visit, sections, composition, the document as a Bundle.

Keys: `source` is the custodian (else the first institution that is named); a document is named by its type and setId,
or by type and id. The same document sent again, or a new version of its set, updates the same resources.
"""

from adapters.cda import collected, composition, encounter, patient, referral, reports
from adapters.cda.consolidated import entries, header
from adapters.cda.consolidated.templates import is_consolidated
from adapters.cda.conversion import Conversion
from adapters.cda.enclosed import document_bundle
from adapters.cda.leftovers import report
from adapters.cda.participants import chain, institution_code, is_national, organization, practitioner, role
from adapters.cda.record import Document, Node
from adapters.cda.section import Section, sections_of
from adapters.cda.statements import convert_section
from adapters.cda.tables import document_type, real
from adapters.contract import Mapped, Resource
from adapters.kit.resource import Made, id_of, reference

_UNKNOWN = "unknown-source"


def map_document(document: Document) -> Mapped:
    """The resources of a document. Never raises for bad input: what is wrong stands in `problems`."""
    work = _opened(document)
    root = document.root
    _when(work, root)
    target = root.child("recordTarget")
    subject = patient.patient(work, target) if target is not None else None
    if target is None:
        work.problem("error", "required", "the document names no patient (recordTarget)", root)
    if subject is None:
        return _done(work)
    work.mapped.subject = subject.key
    _participants(work, root, subject)
    for node in root.named("participant"):
        if node.get("typeCode") in ("NOT", "IND", ""):
            patient.contact(work, subject, node)
    encounter.encounter(work, root)
    if work.consolidated:
        header.others(work, root)
    sections = _sections(work, root)
    extra = patient.header_observations(work, work.mapped.when)
    referral.finish(work)
    encounter.finish(work)
    collected.finish(work)
    reports.finish(work, root, work.type.title)
    _plans(work)
    _compose(work, root, sections, extra)
    return _done(work)


# ------------------------------------------------------------------------------------------------ opening
def _opened(document: Document) -> Conversion:
    root = document.root
    code, title = root.child("code"), root.child("title")
    value = real(code.get("code")) if code is not None else ""
    words = title.words() if title is not None else ""
    type = document_type(value, words or (code.get("displayName") if code is not None else ""))
    source = _source(root)
    institution = _institution(root, source)
    mapped = Mapped(kind=f"{type.code} {type.title}".strip() or "ClinicalDocument", source=source)
    work = Conversion(document, type, source, institution, "", mapped)
    work.consolidated = is_consolidated(root)
    if work.consolidated:
        work.zone = header.zone(root)
    work.key = f"{source}|document|{type.code}|{_document_number(work, root)}"
    if work.consolidated:
        return work
    if not type.known:
        work.problem("information", "unmapped", f"no rule for documents of type {type.code or '?'}: generic", root)
    elif not type.rules:
        text = f"{mapped.kind} has no rules of its own: converted by data elements"
        work.problem("information", "unmapped", text, code or root)
    return work


def _source(root: Node) -> str:
    """The institution that keeps the document, else one that provides or wrote it."""
    paths = (
        "custodian/assignedCustodian/representedCustodianOrganization",
        "recordTarget/patientRole/providerOrganization",
        "author/assignedAuthor/representedOrganization",
    )
    names = (_institution_of(node) for path in paths for node in root.all(path))
    return next((name for name in names if name), _UNKNOWN)


def _institution(root: Node, source: str) -> str:
    """The institution where the patient was: a regional custodian keeps the documents of many hospitals."""
    paths = (
        "recordTarget/patientRole/providerOrganization",
        "componentOf/encompassingEncounter/location/healthCareFacility/serviceProviderOrganization",
        "author/assignedAuthor/representedOrganization",
    )
    for path in paths:
        for top in root.all(path):
            for node in top.walk():
                if institution_code(node):
                    return _institution_of(node)
    return source


def _institution_of(node: Node) -> str:
    """What names an institution: its code if that is a national one, else its name, else its own short code."""
    code = institution_code(node)
    names = (real(name.words() or name.get("literal"), "organization") for name in node.named("name"))
    name = next((name for name in names if name), "")
    return code if is_national(code) else name or code


def _document_number(work: Conversion, root: Node) -> str:
    """`setId`, else `id`, with its root: `2.16.156.10011.1.1^RN001`; the digest of the bytes when there is neither."""
    for name in ("setId", "id"):
        node = root.child(name)
        if node is None:
            continue
        work.use(node)
        value = real(node.get("extension"), "id")
        if value or (name == "setId" and real(node.get("root"))):
            return f"{name}|{node.get('root')}|{value}"
    text = "the document has no id: it can only be recognised again if not one byte changes"
    work.problem("warning", "required", text, root.child("id") or root)
    return f"sha256|{work.document.digest}"


def _when(work: Conversion, root: Node) -> None:
    """effectiveTime, else the author's time; a document without any time is an error."""
    at = work.date_time(root.child("effectiveTime"))
    authored = [work.date_time(node) for node in root.all("author/time")]
    work.mapped.when = at or next((time for time in authored if time), "")
    if not work.mapped.when and not work.mapped.failed:
        node = root.child("effectiveTime") or root
        work.problem("error", "required", "the document has no time (effectiveTime)", node)
    elif not at and not work.mapped.failed:
        node = root.child("effectiveTime") or root
        work.problem("warning", "required", f"no effectiveTime: the author's time {work.mapped.when} is taken", node)


# ----------------------------------------------------------------------------------------- participants
def _participants(work: Conversion, root: Node, subject: Made) -> None:
    for name in ("versionNumber", "languageCode"):
        work.use(root.child(name))
    custodian = root.find("custodian/assignedCustodian/representedCustodianOrganization")
    if custodian is not None:
        work.use(root.child("custodian"), root.find("custodian/assignedCustodian"))
        work.custodian = organization(work, custodian)
    for node in root.named("author"):
        entity = node.child("assignedAuthor")
        if entity is None:
            continue
        work.use(node, entity)
        who = practitioner(work, entity)
        if not work.consolidated:
            role(work, entity)
        places = [organization(work, place) for place in entity.named("representedOrganization")]
        device = entity.child("assignedAuthoringDevice")
        machine = _device(work, device) if device is not None and who is None and not any(places) else None
        for named in [who, *places, machine]:
            if named is not None and named not in work.authors:
                work.author_is_person = work.author_is_person or (not work.authors and named is who)
                work.authors.append(named)
        if work.asking is None:
            work.asking = (node, who, next((place for place in places if place), None))
    provider = root.find("recordTarget/patientRole/providerOrganization")
    if provider is not None and work.consolidated:
        keeper = organization(work, provider)
        work.custodian = work.custodian or keeper
        subject.put("managingOrganization", keeper, provider.path, provider.line)
    elif provider is not None and work.custodian is None:
        for level in chain(work, provider):
            if level.level == "institution":
                work.custodian = organization(work, level.node)


def _device(work: Conversion, node: Node) -> Resource | None:
    """The system that wrote the document, by its name: an author that is neither a person nor an institution."""
    work.use(node)
    names = [work.text(child) for child in node.named("softwareName", "manufacturerModelName")]
    name = next((name for name in names if name), "")
    return {"type": "Device", "display": name} if name else None


# ----------------------------------------------------------------------------------------------- sections
def _sections(work: Conversion, root: Node) -> list[Section]:
    body = root.find("component/structuredBody")
    if body is None and header.unstructured(work, root):
        return []
    if body is None:
        work.problem("warning", "required", "the document has no structuredBody: only its header is converted", root)
        return []
    work.use(root.child("component"))
    sections = sections_of(work, body)
    referring = work.type.rules == "referral"
    if referring and not any(section.role == "referral" for section in sections):
        text = "a referral without a section 转诊建议 (18776-1): it names no receiving institution"
        work.problem("error", "required", text, body)
    for section in sections:
        if work.consolidated:
            entries.convert_section(work, section)
            continue
        if not section.known:
            work.problem("information", "unmapped", f"no rule for the section {section.title}: generic", section.node)
        convert_section(work, section, referral_required=referring)
    return sections


def _plans(work: Conversion) -> None:
    """A discharge plan addresses the diagnoses at discharge; a referral carries what was found."""
    for plan in work.care_plans:
        for kind, condition in work.diagnoses:
            if kind == "discharge":
                plan.add("addresses", condition.reference())
    if work.type.rules == "referral":
        found = [reference(item.key) for item in work.mapped.items]
        for referred in work.referrals:
            for one in found:
                if one["reference"] in work.observations:
                    referred.add("supportingInfo", one)


def _compose(work: Conversion, root: Node, sections: list[Section], extra: list[Resource]) -> None:
    document_id = _document_identifier(work, root)
    if not work.authors and work.custodian is None:
        work.problem("error", "required", "the document names neither an author nor a custodian", root)
        return
    composition.composition(work, root, sections, extra)
    if work.mapped.when:
        document_bundle(work, document_id, _instant(work.mapped.when))


def _document_identifier(work: Conversion, root: Node) -> Resource:
    """The id of this version of the document, with the system of its root; else a uuid made of its key."""
    node = root.child("id")
    found = work.identifier(node) if node is not None else None
    if found is None or "system" not in found:
        return {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{id_of(f'{work.key}|identifier')}"}
    return {"system": found["system"], "value": found["value"]}


def _instant(when: str) -> str:
    """An instant of a dateTime: a document dated only to the day is of that day's first second."""
    if "T" in when:
        return when
    year, month, day = [*when.split("-"), "01", "01"][:3]
    return f"{year}-{month}-{day}T00:00:00+08:00"


def _done(work: Conversion) -> Mapped:
    report(work)
    work.mapped.problems = list(dict.fromkeys(work.mapped.problems))  # a value read twice is one problem
    return work.mapped
