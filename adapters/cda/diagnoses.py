"""Diagnoses -> Condition. The section says whether of admission or discharge; name and code stand beside each other
in one observation, in an organizer, or alone."""

from dataclasses import dataclass

from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.cda.section import Section, code_of, label_of, rule_of
from adapters.cda.values import stated
from adapters.kit.resource import Made

RULES = ("diagnosis-code", "diagnosis-name", "tcm-code", "tcm-name", "diagnosis-condition")
_TCM_SYSTEM = "2.16.156.10011.2.3.3.14"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
_ROLES = {"admission": "入院诊断", "discharge": "出院诊断"}
# 门(急)诊诊断 and 病理诊断 share a section with others: the label tells them apart.
_LABELS = (
    "门（急）诊诊断",
    "门(急)诊诊断",
    "病理诊断",
    "主要诊断",
    "其他诊断",
    "初步诊断",
    "确定诊断",
    "修正诊断",
    "补充诊断",
)


@dataclass(slots=True)
class Diagnosis:
    """Nodes of one diagnosis: the observation with its name, with its code, with 入院病情."""

    tcm: bool
    name: Node | None = None
    code: Node | None = None
    condition: Node | None = None

    @property
    def node(self) -> Node:
        found = self.code or self.name or self.condition
        assert found is not None  # a Diagnosis is made for a node
        return found


def in_group(node: Node) -> list[Diagnosis]:
    """The diagnoses in an entry's statement (with its nested observations), in order."""
    found: list[Diagnosis] = []
    for part in node.walk():
        rule = rule_of(part) if part.name == "observation" else ""
        if rule not in RULES:
            continue
        if rule == "diagnosis-condition":
            if not found or found[-1].condition is not None:
                found.append(Diagnosis(tcm=False))
            found[-1].condition = part
            continue
        tcm = rule.startswith("tcm") or _is_tcm(part)
        coded = rule.endswith("code")
        taken = bool(found) and (found[-1].code if coded else found[-1].name) is not None
        if not found or found[-1].tcm != tcm or taken:
            found.append(Diagnosis(tcm))
        if coded:
            found[-1].code = part
        else:
            found[-1].name = part
    return found


def condition(work: Conversion, section: Section, diagnosis: Diagnosis) -> Made | None:
    """The Condition; None when neither a code nor a name is filled in."""
    for node in (diagnosis.name, diagnosis.code):
        if node is not None:
            _use(work, node)
    value = diagnosis.code.child("value") if diagnosis.code is not None else None
    name = _text(work, diagnosis.name)
    concept = work.concept(value, name) if value is not None else None
    if concept is None and (name or _text(work, diagnosis.code)):
        concept = {"text": name or _text(work, diagnosis.code)}
    if concept is None:
        return None
    node = diagnosis.node
    field = code_of(node)
    made = work.made("Condition", node)
    made.add("category", {"coding": [{"system": _CATEGORY, "code": "encounter-diagnosis"}]})
    for label in _categories(section, diagnosis):
        made.add("category", {"text": label})
    made.put("code", concept, field, node.line)
    work.about(made)
    _when_and_who(work, made, diagnosis)
    if section.role in _ROLES or section.role == "encounter":
        work.diagnoses.append((section.role, made))
    return made


def _use(work: Conversion, node: Node) -> None:
    """The observation, its code with qualifier; its value is used by who reads it."""
    work.use(node)
    code = node.child("code")
    if code is not None:
        work.use_all(code)


def _text(work: Conversion, node: Node | None) -> str:
    if node is None:
        return ""
    for child in node.named("value", "text"):
        text = stated(child.words())
        if text:
            work.use_all(child)
            return text
    return ""


def _is_tcm(node: Node) -> bool:
    value = node.child("value")
    return "中医" in label_of(node) or (value is not None and value.get("codeSystem") == _TCM_SYSTEM)


def _categories(section: Section, diagnosis: Diagnosis) -> list[str]:
    labels = label_of(diagnosis.node) + (label_of(diagnosis.name) if diagnosis.name is not None else "")
    for node in (diagnosis.code, diagnosis.name):
        qualifier = node.find("code/qualifier/name") if node is not None else None
        labels += qualifier.get("displayName") if qualifier is not None else ""
    found = [_ROLES[section.role]] if section.role in _ROLES else []
    found += [word for word in _LABELS if word in labels][:1]
    if diagnosis.tcm:
        found.append("中医证候" if "证候" in labels or "症候" in labels else "中医病名")
    return found


def _when_and_who(work: Conversion, made: Made, diagnosis: Diagnosis) -> None:
    for node in (diagnosis.name, diagnosis.code):
        if node is None:
            continue
        at = node.child("effectiveTime")
        if at is not None and "recordedDate" not in made.resource:
            made.put("recordedDate", work.date_time(at), f"{code_of(node)}/effectiveTime", at.line)
        for number in node.named("id"):
            made.add("identifier", work.identifier(number), number.path, number.line)
