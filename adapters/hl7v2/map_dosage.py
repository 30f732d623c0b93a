"""How a drug is taken: RXO, RXE, RXD, RXA with TQ1 and RXR -> Dosage."""

from adapters.contract import Resource
from adapters.hl7v2.map_context import Context, filled
from adapters.hl7v2.map_datatypes import coded, decimal, quantity
from adapters.hl7v2.message import Segment, Value
from adapters.hl7v2.structure import Group
from adapters.kit.resource import Made

# The same matter stands in other fields of RXO (the doctor's order), RXE (the pharmacy's), RXD and RXA.
FIELDS = {
    "RXO": {"code": 1, "low": 2, "high": 3, "unit": 4, "form": 5, "pharmacy": 6, "text": 7, "strength": 18},
    "RXE": {"code": 2, "low": 3, "high": 4, "unit": 5, "form": 6, "text": 7, "pharmacy": 21, "strength": 25},
    "RXD": {"code": 2, "low": 12, "form": 6, "text": 15, "strength": 16},
    "RXG": {"code": 4, "low": 5, "high": 6, "unit": 7, "form": 8, "text": 13, "strength": 17},
    "RXA": {"code": 5, "low": 6, "unit": 7, "form": 8},
}


def dosage(context: Context, made: Made, segment: Segment, group: Group, inner: Group) -> None:
    """Dosage: text, timing of TQ1 or the old quantity/timing, dose, route and site of RXR."""
    content, sources = _dose(context, segment)
    when_, used = _timing(context, segment, group, inner)
    content |= when_
    route = inner.first("RXR")
    if route is not None:
        for field, element in ((1, "route"), (2, "site"), (4, "method")):
            value = route.value(field)
            concept = coded(context, value)
            if concept:
                content[element] = concept
                sources.append(value)
    if content:
        made.add("dosageInstruction", content)
        at = f"dosageInstruction[{len(made.resource['dosageInstruction']) - 1}]"
        context.traced(made, at, *sources, *used)


def _dose(context: Context, segment: Segment) -> tuple[Resource, list[Value]]:
    fields = FIELDS[segment.name]
    content: Resource = {}
    sources: list[Value] = []
    words = [(text["text"], value) for value in segment.values(fields["text"]) if (text := _said(context, value))]
    if words:
        content["text"] = "\n".join(text for text, _ in words)
        sources += [value for _, value in words]
    low, high, unit = (segment.value(fields[name]) if name in fields else None for name in ("low", "high", "unit"))
    least = decimal(low.component(1)) if low is not None else None
    most = decimal(high.component(1)) if high is not None else None
    nothing = Value(segment, 0, 0, "")
    if least is not None and low is not None:
        sources += [low, *([unit] if unit is not None else [])]
        dose = quantity(context, least, unit or nothing)
        if most is not None and most > least and high is not None:
            sources.append(high)
            content["doseAndRate"] = [{"doseRange": {"low": dose, "high": quantity(context, most, unit or nothing)}}]
        else:
            content["doseAndRate"] = [{"doseQuantity": dose}]
    if segment.name == "RXE" and (rate := decimal(segment.value(23).component(1))) is not None:
        speed = quantity(context, rate, segment.value(24))
        content.setdefault("doseAndRate", [{}])[0]["rateQuantity"] = speed
        sources += [segment.value(23), segment.value(24)]
    return content, sources


def _said(context: Context, value: Value) -> Resource | None:
    concept = coded(context, value)
    return {"text": concept["text"]} if concept else None


def _timing(context: Context, segment: Segment, group: Group, inner: Group) -> tuple[Resource, list[Value]]:
    """How often and from when to when: TQ1, else RXE-1 or ORC-7."""
    timing = next((sub.first("TQ1") for sub in (*inner.sub("TIMING"), *group.sub("TIMING"))), None)
    common = group.first("ORC")
    if timing is not None:
        every, start, end, how = timing.value(3), timing.value(7), timing.value(8), timing.value(11)
        period = context.period(start, end)
        sources = [every, *([start, end] if period else [])]
        extra = _said(context, how)
        sources += [how] if extra else []
    else:
        old = segment.value(1) if segment.name == "RXE" else None
        if old is None or not old.text:
            old = common.value(7) if common is not None else None
        if old is None or not old.text:
            return {}, []
        every, sources, extra = old.part(2), [old], None
        period = context.period(old, old, (4, 5))
    code = coded(context, every) if every.text else None
    repeat = {"boundsPeriod": period} if period else {}
    made = filled({"timing": filled({"repeat": repeat, "code": code})})
    if extra:
        made["patientInstruction"] = extra["text"]
    if every.said(1).upper().startswith("PRN"):
        made["asNeededBoolean"] = True
    return made, sources if made else []


def given_dose(context: Context, made: Made, segment: Segment, inner: Group) -> None:
    fields = FIELDS[segment.name]
    size, unit = segment.value(fields["low"]), segment.value(fields["unit"])
    number = decimal(size.component(1))
    content: Resource = {"dose": quantity(context, number, unit)} if number is not None else {}
    sources = [size, unit] if content else []
    route = inner.first("RXR")
    for field, element in ((1, "route"), (2, "site"), (4, "method")):
        value = route.value(field) if route is not None else None
        concept = coded(context, value) if value is not None else None
        if concept and value is not None:
            content[element] = concept
            sources.append(value)
    if "dose" in content:  # rule mad-1: a dosage has a dose or a rate
        made.put("dosage", content)
        context.traced(made, "dosage", *sources)
