"""CDA documents (WS/T 500-2016, WS/T 483, the 2011-12 regional edition, C-CDA) -> FHIR: the adapter's face."""

from collections.abc import Sequence
from typing import Any

from adapters.cda import bundle as _bundle
from adapters.cda import map as _map
from adapters.cda import parse as _parse
from adapters.cda.identity import identify
from adapters.contract import Identity, Mapped, Parsed, Problem, Resource


class CdaAdapter:
    """See adapters.contract.Adapter. `version` changes whenever the same document would give other resources."""

    name = "cda"
    version = "2.0"
    title = "CDA R2 共享文档 (WS/T 500, WS/T 483, 2011-12 区域版, C-CDA)"

    def recognises(self, content: bytes, name: str) -> bool:
        return _parse.recognises(content, name)

    def parse(self, content: bytes, name: str) -> list[Parsed]:
        return _parse.parse(content, name)

    def identify(self, parsed: Parsed) -> Identity:
        return identify(parsed)

    def map(self, record: Any) -> Mapped:
        return _map.map_document(record)

    def bundle(self, parsed: Parsed, mapped: Mapped | None, problems: Sequence[Problem], recorded: str) -> Resource:
        return _bundle.bundle(self.name, self.version, parsed, mapped, problems, recorded)


ADAPTER = CdaAdapter()
