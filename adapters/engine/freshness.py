"""An older message never overwrites a newer one: what of a transaction is held back, and how its references go on.

A message that comes late (a dead letter replayed, a backlog sent again) still writes what nobody wrote after it. An
owned resource that a later message has written is left out and referred to by its id; a refreshed one is looked for.
"""

import hashlib
import uuid
from dataclasses import replace
from typing import Any

from adapters.contract import Item, Resource
from adapters.delivery import Written
from adapters.engine.records import seconds
from adapters.kit.resource import id_of
from adapters.runner import Conversion
from adapters.wire import to_json


def times(conversion: Conversion, arrived: float) -> list[tuple[Item, bytes, float, float]]:
    """(item, resource, first and last second that its message may be from) of all that the message is the authority
    on. A time after the arrival is a wrong clock: it counts as the arrival, or nothing could follow it for ever."""
    mapped = conversion.mapped
    span = seconds(mapped.when) if mapped is not None and not conversion.failed else None
    if mapped is None or span is None:
        return []
    first, last = min(span[0], arrived), min(span[1], arrived) if span[0] > arrived else span[1]
    return [
        (item, uuid.UUID(id_of(item.key)).bytes, first, last)
        for item in mapped.items
        if item.mode in ("owned", "refreshed")
    ]


def digest(conversion: Conversion) -> bytes:
    """What tells a conversion from another one of the same message: all of its transaction but the time of it."""
    entries = [_timeless(entry) for entry in conversion.transaction["entry"]]
    return hashlib.sha256(to_json({"entry": entries})).digest()


def withhold(conversion: Conversion, stale: list[Item]) -> Conversion:
    """The conversion without what the stale items would overwrite."""
    if not stale:
        return conversion
    full_urls = {f"urn:uuid:{id_of(item.key)}": item for item in stale}
    links = {
        url: f"{item.resource['resourceType']}/{id_of(item.key)}"
        for url, item in full_urls.items()
        if item.mode == "owned"
    }
    entries = []
    for entry in conversion.transaction["entry"]:
        item = full_urls.get(entry["fullUrl"])
        if item is None:
            kept = _linked(_aimed(entry, links), links)
            if kept is not None:
                entries.append(kept)
        elif item.mode == "refreshed":
            type, _, criteria = entry["request"]["url"].partition("?")
            request = {"method": "POST", "url": type, "ifNoneExist": criteria}
            entries.append({**_linked(entry, links), "request": request})
    return replace(conversion, transaction={**conversion.transaction, "entry": entries})


def left_alone(stale: list[Item], base: str) -> list[Written]:
    """What was left out of the transaction, as it stands on the server: unchanged."""
    return [
        Written(type, f"{base}/{type}/{id_of(item.key)}", "unchanged")
        for item in stale
        if item.mode == "owned" and (type := item.resource["resourceType"])
    ]


def _aimed(entry: Resource, links: dict[str, str]) -> Resource | None:
    """A Provenance no longer speaks of what is left out; without a target there is none."""
    resource = entry["resource"]
    if resource["resourceType"] != "Provenance":
        return entry
    targets = [target for target in resource["target"] if target["reference"] not in links]
    return {**entry, "resource": {**resource, "target": targets}} if targets else None


def _linked(value: Any, links: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _linked(part, links) for key, part in value.items()}
    if isinstance(value, list):
        return [_linked(part, links) for part in value]
    return links.get(value, value) if isinstance(value, str) else value


def _timeless(entry: Resource) -> Resource:
    resource = entry["resource"]
    if resource["resourceType"] != "Provenance":
        return entry
    return {**entry, "resource": {name: part for name, part in resource.items() if name != "recorded"}}
