"""One record opened for the builders: who it is about, who wrote it, its key, when; coded values that lose nothing."""

from dataclasses import dataclass

from adapters.contract import Mapped, Resource
from adapters.kit import codes
from adapters.kit.resource import Made
from adapters.roles.fields import Field, Fields, source
from adapters.roles.people import People, Side, local_system, name_of

_TIMES = ("at", "visit.start", "visit.end")  # which of them says when: the first that is filled
DE = "urn:oid:2.16.156.10011.2.2.1"  # data element codes, WS/T 363


@dataclass(slots=True)
class Case:
    """`key` begins the keys of all that only this record says; `at` is when it happened (FHIR dateTime or '')."""

    fields: Fields
    mapped: Mapped
    people: People
    patient: Made | None
    org: Side
    key: str
    at: str
    at_field: Field | None

    @property
    def subject(self) -> Resource | None:
        return self.patient.reference(name_of(self.patient)) if self.patient else None

    @property
    def author(self) -> Resource | None:
        """The doctor, else the institution."""
        found = self.org.doctor or self.org.institution
        return found.reference(name_of(found)) if found else None

    @property
    def institution(self) -> Resource | None:
        return self.org.institution.reference(name_of(self.org.institution)) if self.org.institution else None

    def number(self, made: Made, role: str, what: str) -> None:
        """Identifiers of a role: the first `number` in the number space `what`, others in their column's own."""
        for index, field in enumerate(self.fields.all(role)):
            own = field.column.partition("[")[0].rpartition("/")[2]
            system = local_system(self.mapped.source, what if role == "number" and index == 0 else own)
            made.add("identifier", {"system": system, "value": field.text}, *source(field))

    def make(self, type: str, suffix: str) -> Made:
        return Made(self.mapped, type, f"{self.key}|{suffix}", "owned")


def open_case(
    fields: Fields, mapped: Mapped, kind: str, sender: str, patient_needed: bool = True, by_content: bool = False
) -> Case | None:
    """None after noting an error. `sender` as of `read_source`. `kind` is the record's kind in keys: the same for all
    layouts that tell of the same thing. `by_content`: a row with neither number nor time is known by what it says."""
    if not read_source(fields, mapped, sender):
        return None
    own = sender.startswith("=")
    people = People(fields, mapped, mapped.source, own)
    patient = people.patient() if patient_needed or people.names_patient() else None
    org = people.side("org")
    at, at_field = fields.first_time(*_TIMES)
    number = fields.one("number")
    if patient is None and patient_needed:
        return None
    value = number.text if number else f"{patient.key}|{at}" if at and patient else ""
    if not value and by_content and patient:
        value = f"{patient.key}|{fields.content()}"
        text = "neither a number nor a time: the row is known by its content, a corrected row becomes another record"
        fields.warn("incomplete", text)
    if not value:
        fields.missing("the record has neither a number nor a time", "number", "at")
        return None
    sent, _ = fields.date_time("sent")
    mapped.when = sent or at
    return Case(fields, mapped, people, patient, org, f"{mapped.source}|{kind}|{value}", at, at_field)


def read_source(fields: Fields, mapped: Mapped, sender: str) -> bool:
    """Sets Mapped.source; False after noting an error. `sender` is `=name`, or columns (`a|b`: the first that is
    filled) that name the sending institution."""
    mapped.source = sender.removeprefix("=")
    if sender.startswith("="):
        return True
    field = next((f for name in sender.split("|") if (f := fields.column(name))), None)
    if field is None:
        fields.missing(f"the sending institution is not named: {sender} is empty", "sender", "from.code", "org.code")
        return False
    mapped.source = field.text
    return True


def coded(fields: Fields, field: Field, system: str = "") -> Resource | None:
    """CodeableConcept of a coded cell: the source's code always, its word, and the translation when its table has one.

    A code table's row is text[,system,code]. An unknown code is a warning and stays as it is.
    """
    row = fields.word(field)
    told = field.meaning.code if field.meaning.code.startswith("2.16.") else ""  # the message's own codeSystem
    own = system or codes.system_of(told or f"{fields.layout}.{field.column}")
    word = fields.shown(field) or (row[0] if row else field.text)
    found = codes.concept(field.text, own, text=word)
    if found and field.codes == "" and not told:
        found.pop("coding", None)
    if found and row and len(row) > 2 and row[2]:
        found["coding"].insert(0, {"system": row[1], "code": row[2]})
    return found


def several(fields: Fields, field: Field) -> list[Resource]:
    """The concepts of a cell that holds a list of codes (`1,2,8`)."""
    parts = [
        part for part in field.text.replace("，", ",").replace("、", ",").replace(";", ",").split(",") if part.strip()
    ]
    found = []
    for part in parts:
        one = Field(field.column, part.strip(), field.line, field.meaning)
        concept = coded(fields, one)
        if concept:
            found.append(concept)
    return found
