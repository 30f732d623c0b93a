"""One section of the body: its code, title and role, decided by LOINC code or title, never by a template's id."""

from dataclasses import dataclass, field

from adapters.cda.conversion import Conversion, system_of
from adapters.cda.record import Node
from adapters.cda.tables import data_element, element, real, section_type
from adapters.contract import Resource
from adapters.kit import codes

_DISCHARGE_DIAGNOSIS = "11535-2"
_ADMISSION_DIAGNOSIS = "46241-6"
_WORDS = {"admission": "入院诊断", "encounter": "诊断"}


@dataclass(slots=True)
class Section:
    """`role`: admission, discharge, encounter (a diagnosis of the visit), referral, ''. `known`: a row names it."""

    node: Node
    code: str
    title: str
    role: str
    category: str
    known: bool
    concept: Resource | None
    entries: list[Resource] = field(default_factory=list)  # references to what the section's entries became
    sections: list["Section"] = field(default_factory=list)


def sections_of(work: Conversion, body: Node) -> list[Section]:
    """The sections of structuredBody in order. 11535-2 twice without a 46241-6 (C0049): the first is the admission."""
    work.use(body)
    found = [_section(work, node) for node in body.all("component/section")]
    if work.type.rules == "referral":
        _of_the_visit(found)
    if work.consolidated:
        return found
    discharge = [section for section in found if section.code == _DISCHARGE_DIAGNOSIS]
    named = any(section.code == _ADMISSION_DIAGNOSIS for section in found)
    if discharge and not named and (len(discharge) > 1 or _tells_only_admission(discharge[0].node)):
        discharge[0].role = "admission"
        if discharge[0].node.child("title") is None:
            discharge[0].title = _WORDS["admission"]
    return found


def _of_the_visit(sections: list[Section]) -> None:
    """A referral writes the diagnosis of the visit under the code for an admission: nobody was admitted."""
    for section in sections:
        if section.role == "admission":
            section.role = "encounter"
            if section.node.child("title") is None:
                section.title = _WORDS["encounter"]


def _section(work: Conversion, node: Node) -> Section:
    code, title = node.child("code"), node.child("title")
    work.use(node, code, title)
    label = real(code.get("displayName")) if code is not None else ""
    value = real(code.get("code")) if code is not None else ""
    words = title.words() if title is not None else ""
    known = section_type(value, words or label)
    concept = None
    if code is not None:
        system = codes.LOINC if known and value[:1].isdigit() and "-" in value else system_of(code)
        concept = codes.concept(value, system, label, words or (known.title if known else ""))
    section = Section(
        node=node,
        code=value,
        title=words or (known.title if known else label) or "未命名章节",
        role=known.role if known else "",
        category=known.category if known else "",
        known=known is not None,
        concept=concept,
    )
    section.sections = [_section(work, child) for child in node.all("component/section")]
    return section


def _tells_only_admission(node: Node) -> bool:
    """A single 11535-2 that holds the admission time and not the discharge time."""
    rules = {rule_of(one) for one in node.walk() if one.name == "observation"}
    return "encounter-start" in rules and "encounter-end" not in rules


def code_of(node: Node) -> str:
    """The mended DE code (or any other code) of a statement; '' if it has none."""
    code = node.child("code")
    return data_element(code.get("code")) if code is not None else ""


def rule_of(node: Node) -> str:
    """The rule that elements.csv names for a statement's code."""
    row = element(code_of(node))
    return row.rule if row else ""


def label_of(node: Node) -> str:
    """How a statement is called: displayName, the table's word, the code."""
    code = node.child("code")
    if code is None:
        return ""
    row = element(data_element(code.get("code")))
    shown = real(code.get("displayName")).replace("\n", "").replace("人院", "入院")
    if data_element(code.get("code")) == "" and "DE9" in code.get("code"):
        return shown
    return shown or (row.meaning if row else "") or real(code.get("code"))
