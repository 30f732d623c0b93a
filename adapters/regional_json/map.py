"""Record -> its resources. Pure. What a column means stands in tables/<layout>.csv, a table a layout."""

from collections.abc import Callable

from adapters.contract import Mapped
from adapters.kit import codes
from adapters.regional_json.record import PACKAGE
from adapters.roles.case import Case, open_case, read_source
from adapters.roles.chronic import make_follow_up
from adapters.roles.fields import Fields
from adapters.roles.people import People
from adapters.roles.prescription import make_prescription
from adapters.roles.readings import make_readings
from adapters.roles.record import Record
from adapters.roles.referral import Referral
from adapters.roles.signing import make_contract, make_home_bed
from adapters.roles.visit import make_visit

UP = "DR_Referrals"  # the layout whose number a return report answers

# builder of tables/layouts.csv -> kind in keys, what makes the resources; the second word of a builder is its argument
BUILDERS: dict[str, tuple[str, Callable[[Case, str], object]]] = {
    "contract": ("contract", lambda case, _: make_contract(case)),
    "follow_up": ("follow-up", make_follow_up),
    "home_bed": ("home-bed", lambda case, _: make_home_bed(case)),
    "prescription": ("prescription", make_prescription),
    "settlement": ("visit", lambda case, _: make_visit(case, "IMP", ("diseinfo", "opspdiseinfo", "oprninfo"))),
    "readings": ("reading", lambda case, _: make_readings(case)),
}


def map_record(record: Record) -> Mapped:
    """The resources of one record. Errors are in `problems`; then nothing of it is to be written."""
    title, direction, sender, _, builder = codes.table(PACKAGE, "layouts")[record.layout]
    mapped = Mapped(kind=f"{record.layout} {title}", source=sender.removeprefix("="))
    fields = Fields(record, mapped)
    name, _, argument = builder.partition(" ")
    if name == "referral":
        _referral(fields, mapped, sender, direction)
        return mapped
    kind, make = BUILDERS[name]
    case = open_case(fields, mapped, kind, sender, patient_needed=name != "prescription")
    if case is not None:
        make(case, argument)
        fields.unmapped()
    return mapped


def _referral(fields: Fields, mapped: Mapped, sender: str, direction: str) -> None:
    own_codes = sender.startswith("=")
    if not read_source(fields, mapped, sender):
        return
    key, answers = _key(fields.layout, mapped.source, fields)
    if not key:
        fields.missing("the referral has no number", "number", "answers")
        return
    people = People(fields, mapped, mapped.source, own_codes)
    patient, sender_side, receiver_side = people.patient(), people.side("from"), people.side("to")
    if receiver_side.institution is None:
        fields.missing("the referral does not name a receiving institution", "to.code", "to.name")
    if patient is not None and receiver_side.institution is not None:
        Referral(fields, mapped, key, direction, patient, sender_side, receiver_side).make(answers)
        fields.unmapped()


def name_of(record: Record) -> str:
    """The sender's own name of a referral, as its resources are keyed; '' for anything else, or when it has none."""
    _, _, sender, _, builder = codes.table(PACKAGE, "layouts")[record.layout]
    if builder.partition(" ")[0] != "referral":
        return ""
    fields = Fields(record, Mapped("", ""))
    source = sender.removeprefix("=")
    if not sender.startswith("="):
        field = fields.column(sender)
        source = field.text if field else ""
    return _key(record.layout, source, fields)[0] if source else ""


def _key(layout: str, source: str, fields: Fields) -> tuple[str, str]:
    """The referral's own key, and the key of the up-referral that it answers ('' = none).

    The key of an up-referral is made of its number alone, so a return report finds it without having seen it.
    """
    number, answered = fields.one("number"), fields.one("answers")
    answers = f"{source}|{UP}|{answered.text}" if answered else ""
    if number:
        return f"{source}|{layout}|{number.text}", answers
    return (f"{source}|{layout}|answer to {answered.text}" if answered else ""), answers
