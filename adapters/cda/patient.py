"""recordTarget -> Patient, and what FHIR keeps beside it (age, occupation, education, native place) -> Observation.

Identifiers stand in the order in which they are trusted to name one person: identity card, health card, health-record
number. Numbers that one hospital or insurance area gives (inpatient, chart, outpatient) come last, and when nothing
better is there a copy under the hospital's own system stands first: the plain number of another must not match it.
"""

from adapters.cda.consolidated.demographics import demographics
from adapters.cda.contacts import address, person_name, telecom
from adapters.cda.conversion import DATA_ELEMENTS, Conversion
from adapters.cda.record import Node
from adapters.cda.tables import data_element, identifier, real
from adapters.cda.values import quantity
from adapters.contract import Resource
from adapters.kit import codes, people
from adapters.kit.resource import Made

ETHNIC_GROUP = "http://hl7.org.cn/fhir/sd/ehr/StructureDefinition/ext-person-ethnicGroup"
NATIONALITY = "http://hl7.org/fhir/StructureDefinition/patient-nationality"
BIRTH_PLACE = "http://hl7.org/fhir/StructureDefinition/patient-birthPlace"
_RELATION = "http://terminology.hl7.org/CodeSystem/v2-0131"
_SCOPES = ("person", "region", "hospital")


def patient(work: Conversion, target: Node) -> Made | None:
    """The Patient of a recordTarget; an error problem and None when it has no patientRole."""
    role = target.child("patientRole")
    if role is None:
        work.problem("error", "required", "recordTarget has no patientRole", target)
        return None
    person = role.child("patient") or Node("patient", {}, "", "", role.line, f"{role.path}/patient")
    work.use(target, role, person)
    identifiers = _identifiers(work, role, person)
    key, mode = _key(work, identifiers)
    made = Made(work.mapped, "Patient", key, "shared" if mode == "shared" else "owned")
    work.patient = made.reference()
    for value, node in identifiers:
        made.add("identifier", value, node.path, node.line)
    for name in person.named("name"):
        made.add("name", person_name(work, name), name.path, name.line)
    _sex_and_birth(work, made, person)
    for node in role.named("telecom"):
        made.add("telecom", telecom(work, node), node.path, node.line)
    for node in role.named("addr"):
        made.add("address", address(work, node), node.path, node.line)
    _status(work, made, person)
    _origin(work, made, person)
    _employer(work, made, person)
    if work.consolidated:
        demographics(work, made, person)
        for node in person.named("guardian"):
            contact_of(work, made, node, node)
    return made


def contact(work: Conversion, made: Made, participant: Node) -> None:
    """participant NOT (notification contact) -> Patient.contact."""
    entity = next(iter(participant.named("associatedEntity", "assignedEntity")), None)
    if entity is None:
        return
    contact_of(work, made, participant, entity)


def contact_of(work: Conversion, made: Made, participant: Node, entity: Node) -> None:
    """Patient.contact of an entity with a person: who to tell, a guardian."""
    work.use(participant, entity)
    persons = ("associatedPerson", "assignedPerson", "guardianPerson")
    person = next((n for n in entity.children if n.name in persons), None)
    code = entity.child("code")
    relation = work.concept(code)
    name = person_name(work, person.child("name")) if person is not None else None
    phones = [found for node in entity.named("telecom") if (found := telecom(work, node))]
    home = address(work, entity.child("addr"))
    value: Resource = {
        **({"relationship": [relation]} if relation else {}),
        **({"name": name} if name else {}),
        **({"telecom": phones} if phones else {}),
        **({"address": home} if home else {}),
    }
    if name or phones or home:  # Patient pat-1
        made.add("contact", value, participant.path, participant.line)


# --------------------------------------------------------------------------------------------- identifiers
def _identifiers(work: Conversion, role: Node, person: Node) -> list[tuple[Resource, Node]]:
    """Identifiers of the person with their node, the most trusted first; numbers of documents become Observations."""
    found: list[tuple[int, Resource, Node]] = []
    for node in [*person.named("id"), *role.named("id")]:
        work.use(node)
        value = real(node.get("extension"), "id")
        root = node.get("root")
        if not value or not real(root):
            continue
        system, name, scope = identifier(root) or (codes.system_of(root), "", "hospital")
        if scope == "document":
            _note(work, node, name, "", {"valueString": value})
            continue
        rank = _SCOPES.index(scope)
        if system in (people.RESIDENT_ID, "urn:oid:2.16.840.1.113883.2.23.1.19.1"):
            value, doubtful = _resident_id(work, value, node)
            rank = len(_SCOPES) if doubtful else rank
        found.append((rank, {**({"type": {"text": name}} if name else {}), "system": system, "value": value}, node))
    found.sort(key=lambda item: item[0])
    if found and found[0][0] >= _SCOPES.index("hospital"):
        # Nothing here names the person outside the hospital: match by the hospital's own number.
        _, best, node = found[0]
        found.insert(0, (0, {**best, "system": work.local_system(node.get("root"))}, node))
    return [(value, node) for _, value, node in found]


def _resident_id(work: Conversion, value: str, node: Node) -> tuple[str, bool]:
    """The number without the `ID` prefix of the 2011 edition, and whether it is doubtful: then it is kept, with a
    warning, but another identifier decides who the patient is."""
    number = people.fold_digits(value)
    if number.startswith("ID") and number[2:3].isdigit():
        number = number[2:]
    why = people.resident_id_problem(number)
    if why:
        work.problem("warning", "value", f"identity number {number}: {why}", node)
    return number, bool(why)


def _key(work: Conversion, identifiers: list[tuple[Resource, Node]]) -> tuple[str, str]:
    if not identifiers:
        return f"{work.key}|patient", "owned"
    first = identifiers[0][0]
    return f"{work.institution}|patient|{first['system']}|{first['value']}", "shared"


# ------------------------------------------------------------------------------------------------ elements
def _sex_and_birth(work: Conversion, made: Made, person: Node) -> None:
    sex = person.child("administrativeGenderCode")
    if sex is not None:
        work.use(sex)
        code, display = real(sex.get("code")), real(sex.get("displayName"))
        gender = people.gender(code) or people.gender(display) or ("other" if code == "UN" else None)
        if gender is None and (code or display):
            work.problem("warning", "code-invalid", f"sex {code or display} is not known", sex)
        made.put("gender", gender, sex.path, sex.line)
    birth = person.child("birthTime")
    if birth is not None:
        at = work.date_time(birth)
        made.put("birthDate", at.partition("T")[0], birth.path, birth.line)
    age = person.child("age")
    if age is not None:
        work.use(age)
        value = quantity(age.get("value") or age.words(), age.get("unit"))
        if value:
            _note(work, age, "年龄", "30525-0", {"valueQuantity": value}, "DE02.01.026.00")


def _status(work: Conversion, made: Made, person: Node) -> None:
    marital = person.child("maritalStatusCode")
    if marital is not None:
        work.use(marital)
        value = people.marital(real(marital.get("code")), real(marital.get("displayName")))
        made.put("maritalStatus", value, marital.path, marital.line)
    group = person.child("ethnicGroupCode")
    concept = work.concept(group)
    if group is not None and concept and not work.consolidated:
        coding = concept.get("coding", [{}])[0] or {"display": concept["text"]}
        made.add("extension", {"url": ETHNIC_GROUP, "valueCoding": coding}, group.path, group.line)
    nation = person.child("nationality") or person.child("asNationality")
    if nation is not None:
        value = work.concept(nation) or _nested(work, nation)
        if value:
            extension = {"url": NATIONALITY, "extension": [{"url": "code", "valueCodeableConcept": value}]}
            made.add("extension", extension, nation.path, nation.line)
    jobs = [*person.all("occupation/occupationCode"), *person.named("occupationCode")]
    for node in jobs:
        value = work.concept(node) or _nested(work, node)
        if value:
            _note(work, node, "职业", "11341-5", {"valueCodeableConcept": value}, "DE02.01.052.00")
    for node in person.named("asEducationLevelCode", "educationLevelCode"):
        value = work.concept(node) or _nested(work, node)
        if value:
            _note(work, node, "学历", "82589-3", {"valueCodeableConcept": value}, "DE02.01.041.00")


def _nested(work: Conversion, node: Node) -> Resource | None:
    """The 2011 form: `<code code="DE…" displayName="label"/><value code="…"/>`, or the value in the code itself."""
    code, value = node.child("code"), node.child("value")
    work.use(node, code)
    if value is not None:
        return work.concept(value)
    return codes.concept(text=real(code.get("displayName"))) if code is not None else None


def _origin(work: Conversion, made: Made, person: Node) -> None:
    """Places: of birth (extension), of household registration (address), of the family (Observation)."""
    born = address(work, person.find("birthplace/place/addr"))
    if born:
        made.add("extension", {"url": BIRTH_PLACE, "valueAddress": born}, f"{person.path}/birthplace", person.line)
    household = person.find("household/place/addr")
    if household is not None:
        made.add("address", address(work, household, "户口地址"), household.path, household.line)
    native = person.find("nativePlace/place/addr")
    value = address(work, native)
    if native is not None and value and value.get("text"):
        _note(work, native, "籍贯", "", {"valueString": value["text"]})


def _employer(work: Conversion, made: Made, person: Node) -> None:
    node = person.child("employerOrganization")
    if node is None:
        return
    work.use(node)
    name = work.text(node.child("name"), "organization")
    phones = [found for one in node.named("telecom") if (found := telecom(work, one))]
    where = address(work, node.child("addr"))
    if not (name or phones or where):
        return
    value: Resource = {
        "relationship": [{"coding": [{"system": _RELATION, "code": "E", "display": "Employer"}], "text": "工作单位"}],
        **({"telecom": phones} if phones else {}),
        **({"address": where} if where else {}),
        **({"organization": {"display": name}} if name else {}),
    }
    made.add("contact", value, node.path, node.line)


def _note(work: Conversion, node: Node, label: str, loinc: str, value: Resource, code: str = "") -> None:
    """An Observation of the document about something of the header that Patient has no element for."""
    work.header_notes.append((node, label, loinc, value, data_element(code)))


def header_observations(work: Conversion, when: str) -> list[Resource]:
    """The Observations of what `patient` noted; made later, when the encounter is there to point to."""
    references = []
    for node, label, loinc, value, code in work.header_notes:
        made = work.made("Observation", node)
        made.put("status", "final")
        coding = [
            *([{"system": codes.LOINC, "code": loinc}] if loinc else []),
            *([{"system": DATA_ELEMENTS, "code": code, "display": label}] if code else []),
        ]
        made.put("code", {**({"coding": coding} if coding else {}), "text": label}, node.path, node.line)
        work.about(made)
        made.put("effectiveDateTime", when)
        for name, content in value.items():
            made.put(name, content, node.path, node.line)
        references.append(made.reference())
    return references
