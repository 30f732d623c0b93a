"""Regional referral tables and forms, as JSON or CSV. Ties parse, map and bundle together; see README.md."""

from collections.abc import Sequence
from typing import Any

from adapters.contract import Identity, Mapped, Parsed, Problem, Resource
from adapters.regional_json import parse
from adapters.regional_json.bundle import NAME, VERSION, bundle
from adapters.regional_json.map import map_record, name_of
from adapters.roles.record import Record


class RegionalJson:
    """adapters.contract.Adapter for the layouts of tables/layouts.csv."""

    name = NAME
    version = VERSION
    title = "regional referral tables and forms (JSON, CSV)"

    def recognises(self, content: bytes, name: str) -> bool:
        return parse.recognises(content, name)

    def parse(self, content: bytes, name: str) -> list[Parsed]:
        return parse.parse(content, name)

    def identify(self, parsed: Parsed) -> Identity:
        return Identity(name_of(parsed.record) if isinstance(parsed.record, Record) else "", parsed.raw)

    def map(self, record: Any) -> Mapped:
        return map_record(record)

    def bundle(self, parsed: Parsed, mapped: Mapped | None, problems: Sequence[Problem], recorded: str) -> Resource:
        return bundle(parsed, mapped, problems, recorded)


ADAPTER = RegionalJson()
