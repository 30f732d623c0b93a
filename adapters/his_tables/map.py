"""Record -> its resources. Pure. What a row tells of follows from the roles of its columns."""

from adapters.contract import Mapped
from adapters.roles.case import open_case
from adapters.roles.fields import Fields
from adapters.roles.people import People
from adapters.roles.readings import make_readings
from adapters.roles.record import Record
from adapters.roles.visit import make_visit

SOURCE = "his"  # of an extract that does not name its institution


def map_record(record: Record) -> Mapped:
    """A visit; a reading when the row names an item and its result; the patient alone when it tells of nothing else."""
    roles = {column.role for column in record.columns.values()}
    title = "检验检查结果" if "reading.item" in roles else "就诊记录" if _tells_of_visit(roles, record) else "患者"
    mapped = Mapped(kind=f"his_tables {title}", source=SOURCE)
    fields = Fields(record, mapped)
    sender = fields.one("org.code")
    own = f"={SOURCE}" if sender is None else sender.column
    if title == "患者":
        mapped.source = sender.text if sender else SOURCE
        People(fields, mapped, mapped.source, sender is None).patient()
        fields.unmapped()
        return mapped
    kind = "reading" if "reading.item" in roles else "visit"
    case = open_case(fields, mapped, kind, own, by_content=True)
    if case is None:
        return mapped
    if kind == "reading":
        make_readings(case)
    else:
        make_visit(case, "IMP" if fields.filled("visit.start", "visit.end", "visit.disposition") else "AMB")
    fields.unmapped()
    return mapped


def _tells_of_visit(roles: set[str], record: Record) -> bool:
    return bool(record.groups) or any(role.startswith(("visit.", "diagnosis.", "procedure.")) for role in roles)
