"""Building a resource while remembering where each element came from; keys, ids and references between resources."""

import uuid
from functools import lru_cache
from typing import Any

from adapters.contract import Item, Mapped, Mode, Resource, Trace

NAMESPACE = uuid.UUID("6f2b7c1e-6a0d-5d0e-9a53-0d7a1a3c5b42")
"""Every id that tiercare derives from a source's own key is a uuid5 in this namespace. It never changes."""


@lru_cache(maxsize=4096)  # every reference to a resource asks for its id again
def id_of(key: str) -> str:
    """The logical id of an owned resource: the same key gives the same id on every run and machine."""
    return str(uuid.uuid5(NAMESPACE, key))


def reference(key: str, display: str = "") -> Resource:
    """A Reference to another item of the same transaction, by its key (Bundle.entry.fullUrl)."""
    ref: Resource = {"reference": f"urn:uuid:{id_of(key)}"}
    if display:
        ref["display"] = display
    return ref


class Made:
    """A resource under construction. Nothing empty gets in: None, '', [] and {} are dropped, with their trace."""

    def __init__(self, mapped: Mapped, type: str, key: str, mode: Mode) -> None:
        self.type, self.key = type, key
        self.resource: Resource = {"resourceType": type}
        self._mapped = mapped
        mapped.items.append(Item(key, mode, self.resource))

    def put(self, element: str, value: Any, field: str = "", line: int | None = None) -> None:
        """Sets a top-level element, once: a second value for the same element is a mistake in the mapping."""
        if value in (None, "", [], {}):
            return
        if element in self.resource:
            raise ValueError(f"{self.type}.{element} is set twice")
        self.resource[element] = value
        self._note(element, field, line)

    def add(self, element: str, value: Any, field: str = "", line: int | None = None) -> None:
        """Appends to a repeating top-level element; a value that is there already is not repeated."""
        if value in (None, "", [], {}):
            return
        values = self.resource.setdefault(element, [])
        if value not in values:
            values.append(value)
            self._note(f"{element}[{len(values) - 1}]", field, line)

    def reference(self, display: str = "") -> Resource:
        return reference(self.key, display)

    def _note(self, element: str, field: str, line: int | None) -> None:
        if field:
            self._mapped.trace.append(Trace(self.key, f"{self.type}.{element}", field, line))
