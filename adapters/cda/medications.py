"""Drug entries -> MedicationStatement; those of a prescription -> MedicationRequest."""

from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.cda.section import Section, code_of, label_of, rule_of
from adapters.cda.tables import frequency, real, status
from adapters.cda.values import number, quantity, stated, value_of
from adapters.contract import Resource
from adapters.kit.resource import Made

HERBS = ("herb-decoction", "herb-use")
_HERB = "中药"
_MOODS = {"INT": "intended", "RQO": "intended", "PRMS": "intended", "PRP": "intended"}


def medication(work: Conversion, section: Section, node: Node) -> Made | None:
    """The MedicationStatement of a substanceAdministration (of a prescription: the MedicationRequest); None, with a
    warning, when no drug is named."""
    state = node.child("statusCode")
    work.use(node, state)
    drug = _drug(work, node)
    if drug is None:
        work.problem("warning", "required", "the drug entry names no drug: kept as text only", node)
        return None
    asked = work.type.rules == "prescription"
    made = work.made("MedicationRequest" if asked else "MedicationStatement", node)
    said = _MOODS.get(node.get("moodCode")) or status("medication", state.get("code") if state is not None else "")
    denied = node.get("negationInd") == "true"
    made.put("status", "active" if asked else "not-taken" if denied else said, node.path, node.line)
    if asked:
        made.put("intent", "order")
        made.put("doNotPerform", denied or None, node.path, node.line)
    made.put("medicationCodeableConcept", drug, f"{node.path}/consumable", node.line)
    if asked:
        work.about(made)
        made.put("authoredOn", work.mapped.when)
        made.put("requester", work.authors[0] if work.authors else work.custodian)
    else:
        _about(work, made)
    _span(work, made, node)
    made.add("dosageInstruction" if asked else "dosage", _dosage(work, node), node.path, node.line)
    form = node.child("administrationUnitCode")
    concept = work.concept(form)
    if form is not None and concept:
        made.add("note", {"text": f"药物剂型：{_worded(concept)}"}, form.path, form.line)
        work.keep(form, "kept as a note")
    for detail in node.all("entryRelationship/observation"):
        if rule_of(detail) == "medication-note":
            _note(work, made, detail)
    return made


def _span(work: Conversion, made: Made, node: Node) -> None:
    """When it is taken; of a prescription, from when to when it may be dispensed."""
    for at in node.named("effectiveTime")[:1]:
        period = work.period(at)
        point = work.date_time(at) if not period and at.get("value") else ""
        if made.type == "MedicationRequest":
            span = period or ({"start": point} if point else {})
            made.put("dispenseRequest", {"validityPeriod": span} if span else None, at.path, at.line)
        elif period:
            made.put("effectivePeriod", period, at.path, at.line)
        else:
            made.put("effectiveDateTime", point, at.path, at.line)


def _about(work: Conversion, made: Made) -> None:
    made.put("subject", work.patient)
    if work.encounter is not None:
        made.put("context", work.encounter.reference())


def _drug(work: Conversion, node: Node) -> Resource | None:
    product = node.find("consumable/manufacturedProduct")
    if product is None:
        return None
    work.use(node.child("consumable"), product)
    material = next(iter(product.named("manufacturedLabeledDrug", "manufacturedMaterial")), None)
    if material is None:
        return None
    work.use(material)
    name = work.text(material.child("name"))
    code = material.child("code")
    work.use(code)
    if code is not None and code.get("code").startswith("DE"):
        code = None  # the 2011 form puts a data element's label where the drug's code belongs
    return work.concept(code, name) if code is not None else ({"text": name} if name else None)


def _dosage(work: Conversion, node: Node) -> Resource:
    """Dosage: route, single dose, timing when the rate's unit is a frequency, and all of it as text."""
    words: list[str] = []
    result: Resource = {}
    text = node.child("text")
    if text is not None and stated(text.words()):
        work.use_all(text)
        words.append(text.words())
    route = work.concept(node.child("routeCode"))
    if route:
        words.append(_worded(route))
    dose = node.child("doseQuantity")
    work.use(dose)
    amount = quantity(dose.get("value"), dose.get("unit")) if dose is not None else None
    if dose is not None and amount:
        words.append(f"每次{dose.get('value')}{dose.get('unit')}")
    rate = node.child("rateQuantity")
    work.use(rate)
    if rate is not None and (real(rate.get("value")) or real(rate.get("unit"))):
        words.append(f"{rate.get('value')}{rate.get('unit')}")
        timing = _timing(rate)
        if timing:
            result["timing"] = timing
    if words:
        result["text"] = "，".join(words)
    if route:
        result["route"] = route
    if amount:
        result["doseAndRate"] = [{"doseQuantity": amount}]
    return result


def _timing(rate: Node) -> Resource | None:
    """`3 次/日` -> three times a day. A count in any other unit stays text: `3 日` may mean every third day."""
    every, count = frequency(rate.get("unit")), number(rate.get("value"))
    if every is None or not isinstance(count, int) or count < 1:
        return None
    return {"repeat": {"frequency": count, "period": every[0], "periodUnit": every[1]}}


def _note(work: Conversion, made: Made, node: Node) -> None:
    """Also for the reader of the drug itself; the data element becomes an Observation like any other."""
    value = node.child("value")
    if value is None:
        return
    text = stated(value.words() or f"{value.get('value')}{value.get('unit')}" or value.get("displayName"))
    if text:
        made.add("note", {"text": f"{label_of(node)}：{text}"}, code_of(node), node.line)


def _worded(concept: Resource) -> str:
    return str(concept["text"])


# --------------------------------------------------------------------------------------------- in words
def herbs(work: Conversion, section: Section) -> Made | None:
    """How a herbal prescription is decocted and taken (DE08.50.047.00, DE06.00.136.00): one MedicationStatement of the
    section with the two sentences as its dosage. None when neither is filled in."""
    if work.type.rules == "guidance":
        return None  # there the same data element is 用药指导, an advice
    said: list[tuple[Node, str]] = []
    for entry in section.node.named("entry"):
        for node in entry.named("observation"):
            if rule_of(node) not in HERBS:
                continue
            work.use(node, node.child("code"))
            found = value_of(work, node)
            if found is not None and found[0] == "valueString":
                said.append((node, f"{label_of(node)}：{found[1]}"))
    if not said:
        return None
    made = work.made("MedicationStatement", section.node)
    made.put("status", "unknown")
    made.put("medicationCodeableConcept", {"text": _HERB})
    _about(work, made)
    for node, text in said:
        made.add("dosage", {"text": text}, code_of(node), node.line)
    return made
