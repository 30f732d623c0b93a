"""Record -> the resources of a referral. Pure. What a column means stands in tables/<layout>.csv, a table a layout."""

from adapters.contract import Mapped
from adapters.kit import codes
from adapters.regional_json.fields import PACKAGE, Fields
from adapters.regional_json.people import People
from adapters.regional_json.record import Record
from adapters.regional_json.referral import Referral

UP = "DR_Referrals"  # the layout whose number a return report answers


def map_record(record: Record) -> Mapped:
    """The resources of one referral. Errors are in `problems`; then nothing of it is to be written."""
    title, direction, sender, _ = codes.table(PACKAGE, "layouts")[record.layout]
    mapped = Mapped(kind=f"{record.layout} {title}", source=sender.removeprefix("="))
    fields = Fields(record, mapped)
    own_codes = sender.startswith("=")
    if not own_codes:
        field = fields.column(sender)
        if field is None:
            fields.missing(f"the sending institution is not named: {sender} is empty", "sender", "from.code")
            return mapped
        mapped.source = field.text
    key, answers = _key(record.layout, mapped.source, fields)
    if not key:
        fields.missing("the referral has no number", "number", "answers")
        return mapped
    people = People(fields, mapped, mapped.source, own_codes)
    patient, sender_side, receiver_side = people.patient(), people.side("from"), people.side("to")
    if receiver_side.institution is None:
        fields.missing("the referral does not name a receiving institution", "to.code", "to.name")
    if patient is not None and receiver_side.institution is not None:
        Referral(fields, mapped, key, direction, patient, sender_side, receiver_side).make(answers)
        fields.unmapped()
    return mapped


def name_of(record: Record) -> str:
    """The sender's own name of the referral, '' when it cannot be told: the same key that its resources have."""
    _, _, sender, _ = codes.table(PACKAGE, "layouts")[record.layout]
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
