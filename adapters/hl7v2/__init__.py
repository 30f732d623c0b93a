"""The HL7 v2 adapter (v2.2 to v2.8, pipe-delimited); tables/events.csv has the message types."""

from collections.abc import Sequence
from typing import Any

from adapters.contract import Identity, Mapped, Parsed, Problem, Resource
from adapters.hl7v2 import bundle as _bundle
from adapters.hl7v2 import parse as _parse
from adapters.hl7v2.identity import identify
from adapters.hl7v2.map import map_message
from adapters.hl7v2.message import Message
from adapters.hl7v2.override import DEFAULT, Site, load


class Hl7v2:
    """See adapters.contract.Adapter. `version` changes whenever the same message would give other resources."""

    name = "hl7v2"
    version = "2"
    title = "HL7 v2: ADT, ORM, OMG, OML, OMI, OMP, ORU, OUL, MDM, REF, RRI, SIU, RDE, RDS, RAS, VXU, PPR, BAR, DFT, ACK"

    def __init__(self, sites: Sequence[Site] = ()) -> None:
        self._sites = tuple(sites)

    def recognises(self, content: bytes, name: str) -> bool:
        return _parse.recognises(content)

    def parse(self, content: bytes, name: str) -> list[Parsed]:
        return _parse.parse(content)

    def identify(self, parsed: Parsed) -> Identity:
        return identify(parsed)

    def map(self, record: Any) -> Mapped:
        return map_message(record, self._site(record))

    def configured(self, overrides: Sequence[tuple[str, str]]) -> "Hl7v2":
        """See adapters.contract.Configurable; the form of the files: adapters.hl7v2.override."""
        return Hl7v2([load(text, name) for name, text in overrides])

    def _site(self, record: Message) -> Site:
        if not self._sites:
            return DEFAULT
        application, facility = (record.header.value(field).component(1) for field in (3, 4))
        return next((site for site in self._sites if site.fits(application, facility)), DEFAULT)

    def bundle(self, parsed: Parsed, mapped: Mapped | None, problems: Sequence[Problem], recorded: str) -> Resource:
        return _bundle.bundle(self.name, self.version, parsed, mapped, problems, recorded)


ADAPTER = Hl7v2()
