"""The V3 services of 互联互通 and the referral service, as SOAP or bare XML. Ties the parts together; see README.md."""

from collections.abc import Sequence
from typing import Any

from adapters.contract import Mapped, Parsed, Problem, Resource
from adapters.regional_soap import parse
from adapters.regional_soap.bundle import NAME, VERSION, bundle
from adapters.regional_soap.map import map_record


class RegionalSoap:
    """adapters.contract.Adapter for the interactions of tables/services.csv."""

    name = NAME
    version = VERSION
    title = "V3 services of regional platforms (SOAP, XML)"

    def recognises(self, content: bytes, name: str) -> bool:
        return parse.recognises(content, name)

    def parse(self, content: bytes, name: str) -> list[Parsed]:
        return parse.parse(content, name)

    def map(self, record: Any) -> Mapped:
        return map_record(record)

    def bundle(self, parsed: Parsed, mapped: Mapped | None, problems: Sequence[Problem], recorded: str) -> Resource:
        return bundle(parsed, mapped, problems, recorded)


ADAPTER = RegionalSoap()
