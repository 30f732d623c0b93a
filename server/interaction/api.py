"""The interaction API: what operations, workflows and the REST layer call. One method an interaction; the work is
done in the file of that name (https://hl7.org/fhir/R4/http.html)."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from server.interaction.access import Records
from server.interaction.context import Context
from server.interaction.limits import Limits
from server.interaction.operation import Operation
from server.search.kinds.kind import Setting
from server.store.port import Store


@dataclass(slots=True)
class Api:
    """Everything an interaction needs. `zone` and `base` in `setting` rule how dates and references are read.

    `page_key` signs page links; two processes on one store share it, or links hold for one process only.
    """

    store: Store
    setting: Setting
    limits: Limits = field(default_factory=Limits)
    page_key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    update_as_create: bool = True
    conditional_delete: str = "single"  # not-supported | single | multiple
    operations: Sequence[Operation] = ()
    expunge: bool = False  # whether $expunge may remove versions
    explain: bool = False  # whether a search with _explain=true shows its plan
    started: int = field(default_factory=lambda: time.time_ns() // 1_000_000)  # milliseconds since 1970

    def records(self, context: Context) -> Records:
        return Records(self.store, context, self.setting)
