"""Extracts of hospital systems as CSV, TSV or XLSX. Ties parse, map and bundle together; see README.md."""

from collections.abc import Sequence
from typing import Any

from adapters.contract import Mapped, Parsed, Problem, Resource
from adapters.his_tables import parse
from adapters.his_tables.bundle import NAME, VERSION, bundle
from adapters.his_tables.map import map_record


class HisTables:
    """adapters.contract.Adapter for tables whose columns are known by name. General: it gives way to other adapters."""

    name = NAME
    version = VERSION
    title = "extracts of hospital systems (CSV, TSV, XLSX)"
    general = True

    def recognises(self, content: bytes, name: str) -> bool:
        return parse.recognises(content, name)

    def parse(self, content: bytes, name: str) -> list[Parsed]:
        return parse.parse(content, name)

    def map(self, record: Any) -> Mapped:
        return map_record(record)

    def bundle(self, parsed: Parsed, mapped: Mapped | None, problems: Sequence[Problem], recorded: str) -> Resource:
        return bundle(parsed, mapped, problems, recorded)


ADAPTER = HisTables()
