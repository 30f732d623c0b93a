"""Measurements of a health house or a device -> Device and Observations, in rows or in a list of readings."""

from adapters.kit.resource import Made
from adapters.roles.case import Case
from adapters.roles.fields import source
from adapters.roles.observing import observations
from adapters.roles.people import local_system

GROUPS = ("readings", "items", "results", "data", "list")


def make_readings(case: Case) -> None:
    """https://hl7.org/fhir/R4/device.html; the device is known by its serial number within the source."""
    device = _device(case)
    observations(case, case.at, case.fields, "", None, device)
    for index, row in enumerate(case.fields.children(*GROUPS)):
        observations(case, case.at, row, "" if row.one("reading.item") else f"{index}|", None, device)


def _device(case: Case) -> Made | None:
    fields = case.fields
    number, name, model = fields.one("device.number"), fields.one("device.name"), fields.one("device.model")
    maker = fields.one("device.maker")
    if number is None:
        return None
    system = local_system(case.mapped.source, "device")
    made = Made(case.mapped, "Device", f"{system}|{number.text}", "shared")
    made.add("identifier", {"system": system, "value": number.text}, *source(number))
    made.put("serialNumber", number.text, *source(number))
    if name:
        made.add("deviceName", {"name": name.text, "type": "user-friendly-name"}, *source(name))
    made.put("modelNumber", model.text if model else None, *source(model))
    made.put("manufacturer", maker.text if maker else None, *source(maker))
    return made
