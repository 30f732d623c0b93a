"""People at work, institutions, places: XCN, PRT, ROL -> Practitioner, HD, XON -> Organization, PL -> Location."""

import re
from collections.abc import Callable
from typing import NamedTuple

from adapters.contract import Resource
from adapters.hl7v2.map_context import Context, filled
from adapters.hl7v2.map_datatypes import authority, code_system, coded, id_type, namespace, uri_of
from adapters.hl7v2.map_names import address, names, work_phone
from adapters.hl7v2.message import Segment, Value
from adapters.kit.resource import reference

PHYSICAL = "http://terminology.hl7.org/CodeSystem/location-physical-type"
_DEPTH = ((3, "bd", "Bed"), (2, "ro", "Room"), (1, "wa", "Ward"), (7, "bu", "Building"))
_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")


def practitioner(context: Context, value: Value) -> Resource | None:
    """A reference to the Practitioner of an XCN; without a number it can only be named (a display, no resource)."""
    if not value.text:
        return None
    number = value.said(1)
    found = names(context, value, 2)
    display = found[0]["text"] if found else ""
    if not number:
        return {"display": display} if display else None
    kind = value.said(13)
    system = authority(context, value, 9) or context.local("staff", namespace(value, 9))
    key = context.key("practitioner", f"{system}|{number}")
    if context.made(key) is None:
        made = context.make("Practitioner", key, "shared")
        own = {"type": id_type("", kind) if kind else None, "system": system, "value": number}
        made.add("identifier", filled(own), value.place, value.line)
        for name in found:
            made.add("name", name, value.place, value.line)
    return reference(key, display)


def facility(context: Context, value: Value) -> None:
    """MSH-4 -> the Organization that sends; it serves the visit."""
    name, universal = value.said(1), value.said(2)
    value.component(3)
    if name or universal:
        system = uri_of(context, name, universal)
        pair = ("urn:ietf:rfc:3986", system) if system else (context.local("organization"), name or universal)
        context.organization = organization(context, name or universal, pair, value)


def organization(context: Context, name: str, numbered: tuple[str, str] | None, value: Value) -> Resource | None:
    """A reference to an Organization: shared when it has a number (system, value), else the sender's own, by name."""
    if numbered is None and not name:
        return None
    identity = "|".join(numbered) if numbered else name
    key = context.key("organization", identity)
    if context.made(key) is None:
        made = context.make("Organization", key, "shared" if numbered else "owned")
        if numbered:
            made.add("identifier", {"system": numbered[0], "value": numbered[1]}, value.place, value.line)
        made.put("name", name or identity, value.place, value.line)
    return reference(key, name)


def named_organization(context: Context, value: Value) -> Resource | None:
    """Organization of an XON: name 1, number 10 or 3, authority 6."""
    if not value.text:
        return None
    name, number = value.said(1), value.said(10) or value.said(3)
    system = authority(context, value, 6) or context.local("organization", namespace(value, 6))
    return organization(context, name, (system, number) if number else None, value)


def coded_organization(context: Context, value: Value) -> Resource | None:
    """Organization of a CWE (RXA-17): number 1 in the system 3, name 2."""
    number, name = value.said(1), value.said(2)
    system = code_system(context, value.component(3)) or context.local("organization")
    return organization(context, name or number, (system, number) if number else None, value)


def described_organization(context: Context, name: Value, where: Value, phone: Value) -> Resource | None:
    """The Organization of an XON with the address and phone that stand in fields of their own."""
    found = named_organization(context, name)
    made = context.referenced(found) if found else None
    if made is not None and "address" not in made.resource:
        made.add("address", address(context, where), where.place, where.line)
        if "telecom" not in made.resource:
            made.add("telecom", work_phone(context, phone), phone.place, phone.line)
    return found


def place(context: Context, value: Value) -> Resource | None:
    """A reference to the Location of a PL: one Location a distinct place, named from the widest part to the bed."""
    if not value.text:
        return None
    parts = value.all_said(1, 9)
    if not any(parts):
        return None
    system = context.local("location")
    number = "^".join(parts).rstrip("^")
    key = context.key("location", number)
    point, room, bed, owner, _, _, building, floor, description = parts
    # Chinese senders put the department's name where they like; what is written in Chinese is the name.
    words = [part for part in parts[:8] if _HAN.search(part)]
    words = words or [part for part in (owner, building, floor, point, room, bed) if part]
    name = description or " ".join(words) or number
    if context.made(key) is None:
        made = context.make("Location", key, "shared")
        made.add("identifier", {"system": system, "value": number}, value.place, value.line)
        made.put("name", " ".join(words) or name, value.place, value.line)
        if description:
            made.put("description", description, value.place, value.line)
        code, display = next(((c, d) for n, c, d in _DEPTH if parts[n - 1]), ("", ""))
        if code:
            made.put("physicalType", {"coding": [{"system": PHYSICAL, "code": code, "display": display}]})
        if context.organization and owner in ("", context.organization.get("display")):
            made.put("managingOrganization", context.organization)
    return reference(key, name)


_Reader = tuple[int, Callable[[Context, Value], Resource | None]]
# segment: the field of the role, the field of the person, and what stands in for the person
_ACTORS: dict[str, tuple[int, int, tuple[_Reader, ...]]] = {
    "PRT": (4, 5, ((8, named_organization), (9, place))),
    "ROL": (3, 4, ((14, named_organization),)),
}


class Role(NamedTuple):
    """Who takes part, as what, and where both stand."""

    actor: Resource
    concept: Resource | None
    value: Value
    role: Value


def roles(context: Context, segments: list[Segment]) -> list[Role]:
    """Those of PRT and ROL segments that are not taken back: people, else institutions, else places."""
    found = []
    for segment in segments:
        if segment.name not in _ACTORS:
            continue
        role_at, who, others = _ACTORS[segment.name]
        role = segment.value(role_at)
        action = segment.value(2).taken().component(1).upper()
        concept = coded(context, role)
        people = [(actor, value) for value in segment.values(who) if (actor := practitioner(context, value))]
        if action not in ("DE", "D", "DEL"):
            for actor, value in people or _others(context, segment, others):
                _contacts(context, segment, actor)
                found.append(Role(actor, concept, value, role))
    return found


def _others(context: Context, segment: Segment, readers: tuple[_Reader, ...]) -> list[tuple[Resource, Value]]:
    for number, read in readers:
        value = segment.value(number)
        actor = read(context, value)
        if actor:
            return [(actor, value)]
    return []


def _contacts(context: Context, segment: Segment, actor: Resource) -> None:
    """The address and the phones of a PRT or ROL belong to whom it names."""
    target = context.referenced(actor)
    if target is None or target.type not in ("Practitioner", "Organization"):
        return
    where, phone = (14, 15) if segment.name == "PRT" else (11, 12)
    context.fill(target, segment, ((where, "address[]", address), (phone, "telecom[]", work_phone)))


def status_of(context: Context, value: Value, table: str, missing: str, what: str) -> str:
    """A required FHIR status from a table; a code that it does not have is a warning and gives `missing`."""
    code = value.taken().said(1)
    if not code:
        return missing
    row = context.row(table, code)
    if row is None:
        context.unknown(value, code, what)
        return missing
    return row[0] or missing
