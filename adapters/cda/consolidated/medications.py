"""Drugs -> MedicationStatement (taken), MedicationRequest (intended), MedicationDispense; vaccines -> Immunization."""

from decimal import Decimal

from adapters.cda.consolidated.fields import Row, authored, coded, fill, low_of, status, type_of, word
from adapters.cda.consolidated.templates import claims, part
from adapters.cda.conversion import Conversion
from adapters.cda.participants import organization
from adapters.cda.record import Node
from adapters.cda.section import Section
from adapters.cda.values import number, quantity
from adapters.contract import Resource
from adapters.kit.resource import Made

_COMMON = (Row("id", "identifier", "identifiers"),)
_VACCINE = (
    Row("id", "identifier", "identifiers"),
    Row("text", "note", "note"),
    Row("routeCode", "route", "concept"),
    Row("approachSiteCode", "site", "concept"),
    Row("doseQuantity", "doseQuantity", "quantity"),
    Row("performer", "performer", "actors"),
)
_DISPENSE = (
    Row("id", "identifier", "identifiers"),
    Row("quantity", "quantity", "quantity"),
    Row("performer", "performer", "actors"),
)
_PERIOD_UNITS = {"s": "s", "min": "min", "h": "h", "d": "d", "wk": "wk", "mo": "mo", "a": "a"}
_INTENTS = ("proposal", "plan", "order", "directive")


def medication(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made | None:
    """A substanceAdministration: EVN is a MedicationStatement, an intent or order a MedicationRequest."""
    intent = word("intent", node.get("moodCode"))
    if claims(node, "22.4.120"):
        intent = intent or "plan"
    made = work.made("MedicationRequest" if intent and not _taken(node) else "MedicationStatement", node)
    fill(work, made, node, _COMMON)
    drug = _drug(work, node)
    if made.type == "MedicationRequest":
        made.put("status", status(work, node, "request", "active").replace("revoked", "cancelled"), node.path)
        made.put("intent", intent if intent in _INTENTS else "plan")
        if node.get("negationInd") == "true":
            made.put("doNotPerform", True, node.path, node.line)
    else:
        said = status(work, node, "statement", "unknown")
        made.put("status", "not-taken" if node.get("negationInd") == "true" else said, node.path, node.line)
    for name, value in drug.items():
        made.put(name, value, f"{node.path}/consumable", node.line)
    made.put("subject", work.patient)
    if work.encounter is not None:
        made.put("encounter" if made.type == "MedicationRequest" else "context", work.encounter.reference())
    dosage = _dosage(work, made, node)
    made.add("dosageInstruction" if made.type == "MedicationRequest" else "dosage", dosage, node.path, node.line)
    if made.type == "MedicationRequest":
        authored(work, made, node, "requester", "authoredOn")
        _repeats(work, made, node)
    else:
        authored(work, made, node, "informationSource", "dateAsserted")
    return made


def _taken(node: Node) -> bool:
    """The medication template writes INT for what the patient is to take and takes: without a plan's template it is
    the list of drugs all the same."""
    return claims(node, "22.4.16") and node.get("moodCode") == "INT"


def supply(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made | None:
    """A medication supply order -> MedicationRequest with what to dispense."""
    made = work.made("MedicationRequest", node)
    fill(work, made, node, _COMMON)
    made.put("status", status(work, node, "request", "active").replace("revoked", "cancelled"), node.path, node.line)
    made.put("intent", "order")
    for name, value in _drug(work, node, part_of).items():
        made.put(name, value, f"{node.path}/product", node.line)
    made.put("subject", work.patient)
    _repeats(work, made, node)
    authored(work, made, node, "requester", "authoredOn")
    return made


def dispense(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made | None:
    """A medication dispense -> MedicationDispense."""
    made = work.made("MedicationDispense", node)
    fill(work, made, node, _DISPENSE)
    made.put("status", status(work, node, "dispense", "unknown"), node.path, node.line)
    for name, value in _drug(work, node, part_of).items():
        made.put(name, value, f"{node.path}/product", node.line)
    made.put("subject", work.patient)
    at = node.child("effectiveTime")
    if at is not None:
        made.put("whenHandedOver", low_of(work, at), at.path, at.line)
    return made


def immunization(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made:
    """Immunization; not-done with its reason when negated."""
    made = work.made("Immunization", node)
    fill(work, made, node, _VACCINE)
    refused = node.get("negationInd") == "true"
    made.put("status", "not-done" if refused else status(work, node, "immunization", "completed"), node.path, node.line)
    product = node.find("consumable/manufacturedProduct")
    material = product.child("manufacturedMaterial") if product is not None else None
    work.use(node.child("consumable"), product, material)
    made.put("vaccineCode", coded(work, material.child("code") if material is not None else None), node.path, node.line)
    made.put("patient", work.patient)
    if work.encounter is not None:
        made.put("encounter", work.encounter.reference())
    at = node.child("effectiveTime")
    when = low_of(work, at)
    if at is not None and when:
        made.put("occurrenceDateTime", when, at.path, at.line)
    else:
        made.put("occurrenceString", "unknown", node.path, node.line)
    if product is not None and material is not None:
        lot = material.child("lotNumberText")
        made.put("lotNumber", work.text(lot), node.path, node.line)
        made.put("manufacturer", _manufacturer(work, product), product.path, product.line)
    for detail in node.all("entryRelationship/observation"):
        if refused and part(detail) in ("", "22.4.53") and "statusReason" not in made.resource:
            work.use(detail)
            made.put("statusReason", work.concept(detail.child("code")), detail.path, detail.line)
    dose = node.child("repeatNumber")
    count = number(dose.get("value")) if dose is not None else None
    if dose is not None and isinstance(count, int) and count > 0:
        work.use(dose)
        made.put("protocolApplied", [{"doseNumberPositiveInt": count}], dose.path, dose.line)
    authored(work, made, node, "", "recorded")
    return made


# -------------------------------------------------------------------------------------------------- the drug
def _drug(work: Conversion, node: Node, above: Made | None = None) -> Resource:
    """medicationReference to a Medication when lot, maker, form or vehicle are told, else medicationCodeableConcept."""
    product = node.find("consumable/manufacturedProduct") or node.find("product/manufacturedProduct")
    work.use(node.child("consumable"), node.child("product"), product)
    material = product.child("manufacturedMaterial") or product.child("manufacturedLabeledDrug") if product else None
    work.use(material)
    code = material.child("code") if material is not None else None
    name = work.text(material.child("name")) if material is not None else ""
    concept = work.concept(code, name if code is not None and not code.get("displayName") else "")
    if concept is None and name:
        concept = {"text": name}
    if concept is None and product is None and above is not None:
        concept = above.resource.get("medicationCodeableConcept")
        if concept is None and "medicationReference" in above.resource:
            return {"medicationReference": above.resource["medicationReference"]}
    concept = concept or coded(work, code)
    form = node.child("administrationUnitCode")
    lot = material.child("lotNumberText") if material is not None else None
    vehicles = [one for one in node.named("participant") if one.get("typeCode") == "CSM"]
    maker = _manufacturer(work, product) if product is not None else None
    numbers = product.named("id") if product is not None else []
    if not (form is not None or lot is not None or vehicles or maker or numbers):
        return {"medicationCodeableConcept": concept}
    made = work.made("Medication", product or node)
    for one in numbers:
        made.add("identifier", work.identifier(one), one.path, one.line)
    made.put("code", concept, (code or node).path, node.line)
    made.put("manufacturer", maker, (product or node).path, node.line)
    if form is not None:
        made.put("form", work.concept(form), form.path, form.line)
    for one in vehicles:
        entity = one.find("participantRole/playingEntity/code")
        what = work.concept(entity)
        if entity is not None and what is not None:
            work.use(one, one.child("participantRole"), one.find("participantRole/playingEntity"))
            made.add("ingredient", {"itemCodeableConcept": what, "isActive": False}, entity.path, entity.line)
    batch = work.text(lot)
    if lot is not None and batch:
        made.put("batch", {"lotNumber": batch}, lot.path, lot.line)
    return {"medicationReference": made.reference(str(concept.get("text", "")))}


def _manufacturer(work: Conversion, product: Node) -> Resource | None:
    maker = product.child("manufacturerOrganization")
    return organization(work, maker) if maker is not None else None


def _repeats(work: Conversion, made: Made, node: Node) -> None:
    """quantity and repeatNumber -> dispenseRequest."""
    asked: Resource = {}
    amount, repeat, at = node.child("quantity"), node.child("repeatNumber"), node.child("effectiveTime")
    found = quantity(amount.get("value"), amount.get("unit")) if amount is not None else None
    if amount is not None and found:
        work.use(amount)
        asked["quantity"] = found
    count = number(repeat.get("value")) if repeat is not None else None
    if repeat is not None and isinstance(count, int) and count > 0:
        work.use(repeat)
        asked["numberOfRepeatsAllowed"] = count
    if node.name == "supply" and at is not None:
        period = work.period(at)
        if period:
            asked["validityPeriod"] = period
    made.put("dispenseRequest", asked, node.path, node.line)


# -------------------------------------------------------------------------------------------------- the dosage
def _dosage(work: Conversion, made: Made, node: Node) -> Resource:
    result: Resource = {}
    words = node.child("text")
    text = work.prose(words) if words is not None else ""
    if text:
        result["text"] = text
    for at in node.named("effectiveTime"):
        _time(work, made, at, result)
    criterion = node.find("precondition/criterion")
    if criterion is not None:
        work.use(node.child("precondition"), criterion)
        need = work.concept(criterion.child("value")) or work.concept(criterion.child("code"))
        result.update({"asNeededCodeableConcept": need} if need else {"asNeededBoolean": True})
    for child, element in (("approachSiteCode", "site"), ("routeCode", "route")):
        concept = work.concept(node.child(child))
        if concept:
            result[element] = concept
    amounts: Resource = {}
    dose, rate = node.child("doseQuantity"), node.child("rateQuantity")
    for name, found in (("dose", _amount(work, dose)), ("rate", _amount(work, rate))):
        if found is not None:
            amounts[f"{name}{'Range' if 'value' not in found else 'Quantity'}"] = found
    if amounts:
        result["doseAndRate"] = [amounts]
    ceiling = node.child("maxDoseQuantity")
    parts = {name: ceiling.child(name) for name in ("numerator", "denominator")} if ceiling is not None else {}
    ratio = {name: found for name, part in parts.items() if (found := _amount(work, part)) and "value" in found}
    if len(ratio) == len(parts) > 0:
        result["maxDosePerPeriod"] = ratio
    return result


def _amount(work: Conversion, node: Node | None) -> Resource | None:
    """Quantity of value and unit, or Range of low and high."""
    if node is None:
        return None
    found = quantity(node.get("value"), node.get("unit"))
    if found is not None:
        work.use(node)
        return found
    ends = {
        name: value
        for name in ("low", "high")
        if (end := node.child(name)) is not None and (value := quantity(end.get("value"), end.get("unit")))
    }
    work.use(*(node.child(name) for name in ends))
    return ends or None


def _time(work: Conversion, made: Made, at: Node, dosage: Resource) -> None:
    """effectiveTime once as the span of the therapy, once as its rhythm (PIVL_TS, EIVL_TS)."""
    kind = type_of(at)
    if kind == "PIVL_TS":
        period = at.child("period")
        if period is not None:
            _rhythm(work, period, dosage)
        return
    if kind == "EIVL_TS":
        event = at.child("event")
        if event is not None and event.get("code"):
            work.use(event)
            dosage.setdefault("timing", {}).setdefault("repeat", {})["when"] = [event.get("code")]
        return
    if made.type == "MedicationStatement" and not {"effectivePeriod", "effectiveDateTime"} & made.resource.keys():
        if at.get("value"):
            made.put("effectiveDateTime", work.date_time(at), at.path, at.line)
        else:
            made.put("effectivePeriod", work.period(at), at.path, at.line)
    elif made.type == "MedicationRequest":
        bounds = {"start": work.date_time(at)} if at.get("value") else work.period(at)
        if bounds and all(bounds.values()):
            dosage.setdefault("timing", {}).setdefault("repeat", {})["boundsPeriod"] = bounds


def _rhythm(work: Conversion, period: Node, dosage: Resource) -> None:
    ends = [period] if period.get("value") else [end for end in period.children if end.name in ("low", "high")]
    told = [(number(end.get("value")), _PERIOD_UNITS.get(end.get("unit")), end) for end in ends]
    values = [(value, unit) for value, unit, _ in told if isinstance(value, int | Decimal) and value > 0 and unit]
    if not values or len(values) != len(told) or len({unit for _, unit in values}) > 1:
        return
    work.use(*ends)
    repeat = dosage.setdefault("timing", {}).setdefault("repeat", {})
    repeat.update({"frequency": 1, "period": values[0][0], "periodUnit": values[0][1]})
    if len(values) > 1:
        repeat["periodMax"] = values[1][0]
