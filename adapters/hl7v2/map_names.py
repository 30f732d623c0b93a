"""XPN, XAD, XTN: names, addresses, phones -> HumanName, Address, ContactPoint."""

import re

from adapters.contract import Resource
from adapters.hl7v2.map_context import Context, filled
from adapters.hl7v2.message import Value
from adapters.kit import people

_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")


def names(context: Context, value: Value, first: int = 1) -> list[Resource]:
    """HumanNames of an XPN (first=1) or of the name part of an XCN (first=2).

    A bare Chinese name in one component is split; pinyin beside it becomes a second name.
    """
    family, given, middle, suffix, prefix, degree = value.all_said(first, first + 5)
    row = context.row("name_use", value.component(7 if first == 1 else 10))
    pinyin = ""
    if suffix and suffix.isascii() and _HAN.search(family):
        pinyin, suffix = suffix, ""
    elif given and family.isascii() and _HAN.search(given):
        pinyin, family, given = family, given, ""
    name = people.name("^".join((family, given, middle)) if given or middle else family)
    if name is None:
        return []
    if row and row[0]:
        name["use"] = row[0]
    if prefix:
        name["prefix"] = [prefix]
    ends = [part for part in (suffix, degree, value.said(14) if first == 1 else "") if part]
    if ends:
        name["suffix"] = ends
    if first == 1 and len(value.components()) > 11:
        period = context.period(value, value, (12, 13))
        if period:
            name["period"] = period
    result = [name]
    if pinyin:
        result.append({"text": pinyin})
    return result


def name(context: Context, value: Value) -> Resource | None:
    """The first HumanName of an XPN."""
    found = names(context, value)
    return found[0] if found else None


def address(context: Context, value: Value) -> Resource | None:
    """Address of an XAD (or a plain text); None when it says nothing (`无`, `同上`)."""
    parts = dict(enumerate(value.all_said(1, 9), 1))
    street = value.said(1, 2) if "&" in value.text else ""
    if street and parts[1]:
        parts[1] = f"{parts[1]} {street}"
    kind_of = parts.pop(7)
    if not any(parts.values()):
        return None
    use, kind = context.row("address_use", kind_of) or ("", "")
    lines = [parts[n] for n in (1, 2, 8) if parts[n]]
    whole = [parts[n] for n in (6, 4, 3, 9, 1, 2, 8) if parts[n]]
    chinese = bool(_HAN.search("".join(whole)))
    text = "".join(whole) if chinese else ", ".join(parts[n] for n in (1, 2, 8, 3, 9, 4, 5, 6) if parts[n])
    made = {
        "use": use,
        "type": kind,
        "text": text,
        "line": lines,
        "city": parts[3],
        "district": parts[9],
        "state": parts[4],
        "postalCode": parts[5],
        "country": parts[6],
        "period": context.period(value, value, (13, 14)) if len(value.components()) > 12 else None,
    }
    return filled(made)


def telecom(context: Context, value: Value, use: str = "") -> Resource | None:
    """ContactPoint of an XTN. The number stands in 12, 1, 5-8 or (Chinese systems) 9; an e-mail in 4.

    `use` fills in where XTN-2 says nothing.
    """
    if len(value.components()) == 1:
        country, area, local, extension, email, other = [""] * 6
    else:
        country, area, local, extension, email, other = (value.said(n) for n in (5, 6, 7, 8, 4, 9))
    number = value.said(12) or value.said(1) or (_joined(country, area, local, extension) if local else "")
    number = number or other or country
    by_use, by_kind = (context.row("telecom", value.component(n)) or ("", "") for n in (2, 3))
    if email or "@" in number:
        point: Resource | None = {"system": "email", "value": email or number}
    else:
        point = people.phone(number)
    if point is None:
        return None
    if not email and (by_kind[0] or by_use[0]) and "@" not in number:
        point["system"] = by_kind[0] or by_use[0]
    final = by_use[1] or by_kind[1] or point.get("use") or use
    if final and not (final == "mobile" and point["system"] == "email"):
        point["use"] = final
    return point


def work_phone(context: Context, value: Value) -> Resource | None:
    return telecom(context, value, "work")


def home_phone(context: Context, value: Value) -> Resource | None:
    return telecom(context, value, "home")


def _joined(country: str, area: str, local: str, extension: str) -> str:
    number = " ".join(part for part in (country and f"+{country.lstrip('+')}", area, local) if part)
    return f"{number} ext. {extension}" if extension else number
