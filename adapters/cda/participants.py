"""Persons and institutions of a document: authors, signers, custodian, provider -> Practitioner, Organization.

Staff and department numbers have no meaning outside the institution that gave them, so a Practitioner is matched by
(institution, number), never by the number under the national OID alone. A name is not an identity: a person without a
number is a Practitioner of this document only. An institution without a code is known within its source by its name.
"""

import re
from dataclasses import dataclass

from adapters.cda.contacts import address, person_name, telecom
from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.cda.tables import place, real
from adapters.contract import Resource
from adapters.kit.codes import system_of
from adapters.kit.resource import Made, reference

STAFF = "2.16.156.10011.1.4"
AUTHOR = "2.16.156.10011.1.7"  # the same staff numbers under another root
NPI = "2.16.840.1.113883.4.6"  # the United States' national provider identifier
INSTITUTION = "2.16.156.10011.1.5"
INSTITUTION_CODE_LENGTH = 9  # organisation code 9, USCC 18, institution code 22, older ones 12: shorter is home-made
_PERSON = re.compile(r"(assigned|associated)Per[a-z]+|playingEntity|assignedAuthorChoice")


@dataclass(frozen=True, slots=True)
class Level:
    """One link of a chain bed > room > department > ward > hospital."""

    level: str
    root: str
    code: str
    name: str
    physical: str
    node: Node


def practitioner(work: Conversion, node: Node) -> Resource | None:
    """Reference to the Practitioner of an assignedEntity, assignedAuthor, participantRole; None if nobody is named."""
    person = _person(node)
    name = person_name(work, _name_of(work, person)) if person is not None else None
    root, number = _number(work, node)
    if name is None and not number:
        return None
    if number:
        made = _by_number(work, root, number)
    else:
        label = name["text"] if name else ""
        made = _once(work, f"{work.key}|person|{label}", "Practitioner", "owned")
    if "name" not in made.resource:
        made.add("name", name, node.path, node.line)
    for contact in node.named("telecom"):
        made.add("telecom", telecom(work, contact), contact.path, contact.line)
    for home in node.named("addr"):
        made.add("address", address(work, home), home.path, home.line)
    if work.consolidated:
        _more(work, made, node)
    return reference(made.key, name["text"] if name else "")


def _more(work: Conversion, made: Made, node: Node) -> None:
    """The other numbers of a person, and the specialty."""
    for one in node.named("id"):
        made.add("identifier", work.identifier(one), one.path, one.line)
    specialty = work.concept(node.child("code"))
    if specialty is not None:
        made.add("qualification", {"code": specialty}, node.path, node.line)


def role(work: Conversion, node: Node) -> str:
    """What the person does here: `<code displayName="主治医师"/>`."""
    code = node.child("code")
    if code is None:
        return ""
    work.use(code)
    return real(code.get("displayName"))


def organization(work: Conversion, node: Node) -> Resource | None:
    """Reference to the Organization of an element with id and name (representedOrganization and the like): shared by
    its institution code, else known to this source by its name. None when it says neither."""
    if work.consolidated:
        return _registered(work, node)
    code = institution_code(node)
    work.use(*node.named("id"), *(one for one in node.named("code") if code and code in one.attributes.values()))
    name = work.text(node.child("name"), "organization")
    work.use(node)
    if not code and not name:
        return None
    made = organization_named(work, name, code, node)
    if made.resource.get("telecom") is None:
        for contact in node.named("telecom"):
            made.add("telecom", telecom(work, contact), contact.path, contact.line)
    if made.resource.get("address") is None:
        place_of = node.child("addr") or (node if node.child("streetName") is not None else None)
        made.add("address", address(work, place_of), node.path, node.line)
    return reference(made.key, name)


def _registered(work: Conversion, node: Node) -> Resource | None:
    """Organization of C-CDA: by its first identifier, whose root is registered, else by its name in this source."""
    numbers = [(found, one) for one in node.named("id") if (found := work.identifier(one))]
    work.use(node)
    name = next((words for one in node.named("name") if (words := work.text(one, "organization"))), "")
    if not numbers and not name:
        return None
    first = numbers[0][0] if numbers else {"system": work.local_system("name", work.source), "value": name}
    made = _once(work, f"organization|{first.get('system', '')}|{first['value']}", "Organization", "shared")
    for number, one in numbers or [(first, node)]:
        made.add("identifier", number, one.path, one.line)
    if name and "name" not in made.resource:
        made.put("name", name, node.path, node.line)
    for one in node.named("standardIndustryClassCode"):
        made.add("type", work.concept(one), one.path, one.line)
    for one in node.named("telecom"):
        made.add("telecom", telecom(work, one), one.path, one.line)
    for one in node.named("addr"):
        made.add("address", address(work, one), one.path, one.line)
    return made.reference(name)


def organization_named(work: Conversion, name: str, code: str, node: Node) -> Made:
    """The Organization with this institution code, or this name within the source; made once a document."""
    if code:
        made = _once(work, f"{work.source}|organization|{code}", "Organization", "shared")
        national = is_national(code)
        system = f"urn:oid:{INSTITUTION}" if national else work.local_system(INSTITUTION, work.source)
        made.add("identifier", {"system": system, "value": code}, node.path, node.line)
    else:
        made = _once(work, f"{work.source}|organization-name|{name}", "Organization", "shared")
        made.add("identifier", {"system": work.local_system("name", work.source), "value": name}, node.path, node.line)
    if name and "name" not in made.resource:
        made.put("name", name, node.path, node.line)
    return made


def chain(work: Conversion, node: Node | None) -> list[Level]:
    """The levels of an organisation and what it is part of, innermost first; placeholders are left out."""
    levels: list[Level] = []
    while node is not None:
        work.use(node)
        ids = node.named("id")
        row = next((found for number in ids if (found := place(number.get("root")))), None)
        number = next((work_id for one in ids if (work_id := _extension(work, one))), "")
        name = work.text(node.child("name"), "organization")
        if row is not None and (number or name):
            levels.append(Level(row[0], ids[0].get("root"), number, name, row[2], node))
        elif name:
            levels.append(Level("department", "", "", name, "", node))
        part = node.child("asOrganizationPartOf")
        work.use(part)
        node = (part.child("wholeOrganization") if part is not None else None) or node.child("wholeOrganization")
    return levels


def level_organization(work: Conversion, level: Level) -> Resource:
    return organization_named(work, level.name, level.code, level.node).reference(level.name)


def is_national(code: str) -> bool:
    return len(code) >= INSTITUTION_CODE_LENGTH


def institution_code(node: Node) -> str:
    """From `<id root extension>`, or the 2011 forms `<code codeSystem="SD.4.4" code="…"/>`, `<code root extension>`."""
    for one in node.named("id"):
        number = real(one.get("extension"), "id")
        row = place(one.get("root"))
        if number and (row is None or row[0] == "institution"):
            return number
    code = node.child("code")
    row = place(code.get("codeSystem") or code.get("root")) if code is not None else None
    if code is None or row is None or row[0] != "institution":
        return ""
    return real(code.get("code") or code.get("extension"), "id")


def told(work: Conversion, node: Node) -> str:
    """A person's part in a statement as a sentence, where FHIR has no element for it: `医嘱审核人：沈某 2012-10-05`."""
    work.keep(node, "kept as a note")
    people_, others = [], []
    what = ""
    for part in node.walk():
        if part.name == "code" and not what:
            what = real(part.get("displayName"))
        elif part.name == "name" and real(part.words(), "name"):
            people_.append(real(part.words(), "name"))
        elif part.name == "time":
            others.append(work.date_time(part))
        elif part.name == "id":
            others.append(real(part.get("extension"), "id"))
    said = " ".join(word for word in [*people_, *others] if word)
    return f"{what}：{said}" if what and said else said


# ------------------------------------------------------------------------------------------------- readers
def _person(node: Node) -> Node | None:
    """The element that holds the name; the 2011 edition wraps it (`assignedAuthorChoice`) and misspells it."""
    for child in node.children:
        if _PERSON.fullmatch(child.name):
            return _person(child) or child
    return None


def _name_of(work: Conversion, person: Node) -> Node | None:
    for child in person.children:
        if child.name in ("code", "assignedPersonCode"):
            work.use_all(child)
    return person.child("name")


def _extension(work: Conversion, node: Node) -> str:
    work.use(node)
    return real(node.get("extension"), "id")


def _number(work: Conversion, node: Node) -> tuple[str, str]:
    """(root, number) of the first id that says something; author and staff roots are one."""
    for one in node.named("id"):
        number, root = _extension(work, one), one.get("root") or STAFF
        if number:
            return (STAFF if root == AUTHOR else root), number
    return "", ""


def _by_number(work: Conversion, root: str, number: str) -> Made:
    if root == NPI:  # one register for all
        made = _once(work, f"{root}|{number}", "Practitioner", "shared")
    else:
        made = _once(work, f"{work.institution}|staff|{root}|{number}", "Practitioner", "shared")
        made.add("identifier", {"system": work.local_system(root), "value": number})
    made.add("identifier", {"system": system_of(root), "value": number})
    return made


def _once(work: Conversion, key: str, type: str, mode: str) -> Made:
    """The resource under this key, made at its first mention."""
    if key not in work.shared:
        work.shared[key] = Made(work.mapped, type, key, "shared" if mode == "shared" else "owned")
    return work.shared[key]
