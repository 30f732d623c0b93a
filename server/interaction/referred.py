"""What resources refer to, looked up in the store: shared by the operations that give whole records and documents.

A reference counts when it names a resource of this server, `Type/id` or under our own base URL, with a version or
without. Fragments (`#x`), logical references (identifier only) and other servers' addresses name nothing here.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from server.interaction.access import Records
from server.keys import Ids, Select, Version
from server.model import tables
from server.model.raw import references
from server.search.kinds.kind import Setting
from server.search.kinds.reference import target

DEPTH = 8  # steps that references between supporting resources are followed
_AT_ONCE = 500  # ids of one select
_VERSION = re.compile(r"/_history/([1-9]\d{0,17})$", re.ASCII)


class Named(NamedTuple):
    """A resource as a reference names it; version 0: the current one."""

    type: str
    id: str
    version: int = 0


def named(reference: str, setting: Setting) -> Named | None:
    """None for what names no resource of this server."""
    type, _, id = target(reference, setting.base).partition("/")
    if type not in tables.resource_types() or not id or "/" in id or "?" in id:
        return None
    versioned = _VERSION.search(reference)
    return Named(type, id, int(versioned[1]) if versioned else 0)


def named_by(versions: Iterable[Version], setting: Setting) -> set[Named]:
    """What these refer to, their contained resources included. The members of a Group are not what it needs to be
    understood, and they are other people: Patients are left out there."""
    return {
        found
        for version in versions
        for reference in references(version.body)
        if (found := named(reference, setting)) and not (version.type == "Group" and found.type == "Patient")
    }


async def fetched(records: Records, wanted: Iterable[Named]) -> dict[Named, Version]:
    """Those of them that are there and that the caller may see."""
    found: dict[Named, Version] = {}
    current: dict[str, list[str]] = {}
    for one in sorted(set(wanted)):
        if one.version:
            version = await records.get(*one)
            if version is not None and not version.deleted:
                found[one] = version
        else:
            current.setdefault(one.type, []).append(one.id)
    for type, ids in current.items():
        for start in range(0, len(ids), _AT_ONCE):
            some = tuple(ids[start : start + _AT_ONCE])
            page = await records.select(Select(type, Ids(some), limit=len(some)))
            found |= {Named(type, version.id): version for version in page.versions}
    return found


async def supporting(records: Records, setting: Setting, roots: Iterable[Named]) -> dict[Named, Version]:
    """The roots, and what is needed to read them: from each found resource on to practitioners, organisations,
    locations, medications and so on, but never to another record of a patient (a type of R4's Patient compartment)."""
    wanted = set(roots)
    seen: set[Named] = set()
    everything: dict[Named, Version] = {}
    records_of_patients = tables.compartment("Patient")
    for _ in range(DEPTH):
        found = await fetched(records, wanted)
        seen |= wanted
        everything |= found
        wanted = {one for one in named_by(found.values(), setting) if one.type not in records_of_patients} - seen
        if not wanted:
            break
    return everything
