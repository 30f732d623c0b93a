"""Record -> its resources. Pure. The builder of a service stands in tables/services.csv."""

from collections.abc import Callable

from adapters.contract import Mapped
from adapters.kit import codes
from adapters.regional_soap import registries
from adapters.roles.case import Case, open_case
from adapters.roles.fields import Fields
from adapters.roles.people import People, local_system
from adapters.roles.record import Record
from adapters.roles.referral import Referral
from adapters.roles.visit import make_visit

PACKAGE = "adapters.regional_soap"
SOURCE = "hip"  # of a message that does not name its sender

ALONE: dict[str, Callable[[Fields, Mapped, People], None]] = {
    "person": registries.make_person,
    "merge": registries.make_merge,
    "organization": registries.make_organization,
    "staff": registries.make_staff,
}
OF_CASES: dict[str, tuple[str, Callable[[Case], object]]] = {
    "visit": ("visit", make_visit),
    "orders": ("order", registries.make_orders),
    "appointment": ("appointment", registries.make_appointment),
    "document": ("document", registries.make_document),
}


def map_record(record: Record) -> Mapped:
    """The resources of one message. Errors are in `problems`; then nothing of it is to be written."""
    service = record.layout
    title, builder, *_ = codes.table(PACKAGE, "services")[service]
    mapped = Mapped(kind=f"{service} {title}", source=SOURCE)
    fields = Fields(record, mapped)
    sender = fields.one("sender")
    mapped.source = sender.text if sender else SOURCE
    if builder == "referral":
        _referral(fields, mapped)
    elif builder in ALONE:
        ALONE[builder](fields, mapped, People(fields, mapped, mapped.source, False))
        mapped.when = fields.date_time("sent")[0]
    else:
        kind, make = OF_CASES[builder]
        case = open_case(fields, mapped, kind, sender.column if sender else f"={SOURCE}", by_content=True)
        if case is not None:
            make(case)
    if not mapped.failed:
        fields.unmapped()
    return mapped


def _referral(fields: Fields, mapped: Mapped) -> None:
    """The key is made of the sending institution and the referral's number, as in the tables of the regional stores."""
    institution, number = fields.one("from.code") or fields.one("from.name"), fields.one("number")
    if institution is None:
        fields.missing("the referral does not name the sending institution", "from.code", "from.name")
        return
    mapped.source = institution.text
    if number is None:
        fields.missing("the referral has no number", "number")
        return
    people = People(fields, mapped, mapped.source, False)
    patient, sender, receiver = people.patient(), people.side("from"), people.side("to")
    if receiver.institution is None:
        fields.missing("the referral does not name a receiving institution", "to.code", "to.name")
    if patient is not None and receiver.institution is not None:
        key = f"{local_system(mapped.source, 'referral')}|{number.text}"
        Referral(fields, mapped, key, "", patient, sender, receiver).make("")
