"""The interaction API: what operations, workflows and the REST layer call. One method an interaction; the work is
done in the file of that name (https://hl7.org/fhir/R4/http.html)."""

import secrets
from dataclasses import dataclass, field

from server.interaction.access import Records
from server.interaction.context import Context
from server.interaction.limits import Limits
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

    def records(self, context: Context) -> Records:
        return Records(self.store, context, self.setting)
