"""Discharge orders (DE06.00.287.00 出院医嘱) -> CarePlan: the whole text, and an activity for each numbered order."""

import re

from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.cda.section import Section, code_of
from adapters.cda.values import value_of
from adapters.contract import Resource
from adapters.kit.codes import SNOMED
from adapters.kit.resource import Made

_CATEGORY: Resource = {
    "coding": [{"system": SNOMED, "code": "736372004", "display": "Discharge care plan"}],
    "text": "出院医嘱",
}
_NUMBERED = re.compile(r"(?:^|(?<=[\s。；;.]))\s*(?:[（(]\d{1,2}[)）]|\d{1,2}\s*[、.．)）](?!\d))\s*")


def care_plan(work: Conversion, section: Section, node: Node) -> Made | None:
    """The CarePlan of one discharge-orders statement; None when it is empty."""
    work.use(node, node.child("code"))
    found = value_of(work, node)
    if found is None:
        return None
    text = str(found[1]) if found[0] == "valueString" else str(found[1].get("text", "")) or "出院医嘱"
    field = code_of(node)
    made = work.made("CarePlan", node)
    made.put("status", "active")
    made.put("intent", "plan")
    made.add("category", _CATEGORY)
    made.put("title", "出院医嘱")
    made.put("description", text, field, node.line)
    work.about(made)
    made.put("created", work.mapped.when)
    if work.authors:
        made.put("author", work.authors[0])
    for order in orders(text):
        detail = {"status": "not-started", "description": order}
        made.add("activity", {"detail": detail}, field, node.line)
    work.care_plans.append(made)
    return made


def orders(text: str) -> list[str]:
    """The orders of `（1）休息。（2）门诊随访`; a text without numbers is one order."""
    starts = [match for match in _NUMBERED.finditer(text) if match.group().strip()]
    if not starts:
        return [text]
    ends = [match.start() for match in starts[1:]] + [len(text)]
    found = [text[match.end() : end].strip() for match, end in zip(starts, ends, strict=True)]
    lead = text[: starts[0].start()].strip()
    return [order for order in ([lead] if lead else []) + found if order]
