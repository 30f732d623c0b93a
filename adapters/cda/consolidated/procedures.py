"""Procedures and acts done -> Procedure; implants and supplies -> Device, DeviceUseStatement; places -> Location."""

from adapters.cda.consolidated.fields import Row, authored, coded, fill
from adapters.cda.contacts import address, telecom
from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.cda.section import Section
from adapters.cda.tables import status as state_of
from adapters.contract import Resource
from adapters.kit.resource import Made

_ROWS = (
    Row("id", "identifier", "identifiers"),
    Row("effectiveTime", "performed", "when"),
    Row("text", "note", "note"),
    Row("targetSiteCode", "bodySite", "concepts"),
    Row("performer", "performer", "actors"),
    Row("methodCode", "usedCode", "concepts"),
)
_USE = (
    Row("id", "identifier", "identifiers"),
    Row("effectiveTime", "timing", "when"),
    Row("text", "note", "note"),
)


def procedure(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made:
    """procedure, act or observation that was done -> Procedure; an observation's value is its outcome."""
    made = work.made("Procedure", node)
    fill(work, made, node, _ROWS)
    state = node.child("statusCode")
    work.use(state)
    said = state_of("procedure", state.get("code").lower() if state is not None else "")
    made.put("status", "not-done" if node.get("negationInd") == "true" else said, node.path, node.line)
    made.put("code", coded(work, node.child("code")), f"{node.path}/code", node.line)
    work.about(made)
    if part_of is not None and part_of.type == "Procedure":
        made.add("partOf", part_of.reference())
    value = node.child("value")
    if value is not None:
        made.put("outcome", work.concept(value), value.path, value.line)
    for child in node.named("participant"):
        _part(work, made, child)
    authored(work, made, node, "recorder", "")
    return made


def device_use(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made | None:
    """A supply that the patient has -> DeviceUseStatement of a Device; None when it names no thing."""
    thing = next((one for one in node.all("participant/participantRole") if _is_device(one)), None)
    if thing is None:
        return None
    use = work.made("DeviceUseStatement", node)
    fill(work, use, node, _USE)
    state = node.child("statusCode")
    work.use(state, *node.named("participant"))
    completed = state is not None and state.get("code").lower() == "completed"
    use.put("status", "completed" if completed else "active", node.path, node.line)
    use.put("subject", work.patient)
    use.put("device", device(work, thing), thing.path, thing.line)
    authored(work, use, node, "source", "recordedOn")
    return use


def device(work: Conversion, role: Node) -> Resource:
    """Device of a product instance: its identifiers, type, name and maker."""
    made = work.made("Device", role)
    work.use(role)
    for one in role.named("id"):
        made.add("identifier", work.identifier(one), one.path, one.line)
    thing = role.child("playingDevice")
    if thing is not None:
        work.use(thing)
        made.put("type", work.concept(thing.child("code")), thing.path, thing.line)
        for name, kind in (("manufacturerModelName", "model-name"), ("softwareName", "other")):
            words = work.text(thing.child(name))
            made.add("deviceName", {"name": words, "type": kind} if words else None, thing.path, thing.line)
    maker = role.child("scopingEntity")
    if maker is not None:
        work.use(maker)
        made.put("manufacturer", work.text(maker.child("desc")), maker.path, maker.line)
        for one in maker.named("id"):
            found = work.identifier(one)
            if found is not None:
                made.add("identifier", {"type": {"text": "UDI issuer or maker"}, **found}, one.path, one.line)
    made.put("patient", work.patient)
    return made.reference()


def location(work: Conversion, role: Node) -> Resource | None:
    """Location of a service delivery location; None when it says nothing."""
    entity = role.child("playingEntity") or role.child("location")
    name = work.text(entity.child("name")) if entity is not None else ""
    kind = work.concept(role.child("code"))
    numbers = [(found, one) for one in role.named("id") if (found := work.identifier(one))]
    where = next((found for one in role.named("addr") if (found := address(work, one))), None)
    inner = entity.child("addr") if entity is not None else None
    where = where or address(work, inner)
    if not (name or kind or numbers or where):
        return None
    work.use(role, entity)
    made = work.made("Location", role)
    for found, one in numbers:
        made.add("identifier", found, one.path, one.line)
    made.put("name", name, role.path, role.line)
    made.add("type", kind, role.path, role.line)
    for one in role.named("telecom"):
        made.add("telecom", telecom(work, one), one.path, one.line)
    made.put("address", where, role.path, role.line)
    return made.reference(name)


def _is_device(role: Node) -> bool:
    return role.get("classCode") == "MANU" or role.child("playingDevice") is not None


def _part(work: Conversion, made: Made, node: Node) -> None:
    role = node.child("participantRole")
    if role is None:
        return
    if _is_device(role):
        work.use(node)
        made.add("focalDevice", {"manipulated": device(work, role)}, node.path, node.line)
    elif node.get("typeCode") == "LOC" and "location" not in made.resource:
        work.use(node)
        made.put("location", location(work, role), node.path, node.line)
