"""What this process knows of the SearchParameter resources in its store, and when it last looked."""

from dataclasses import dataclass, field

from server.keys import Version


@dataclass(slots=True)
class Known:
    """`looked`: time.monotonic() of the last look, 0 for never. owners: (type, code) -> id of the SearchParameter.

    `signature` says whether anything changed; `pending`: SearchParameters whose reindex is not done, by id.
    """

    looked: float = 0.0
    signature: object = None
    owners: dict[tuple[str, str], str] = field(default_factory=dict)
    pending: dict[str, Version] = field(default_factory=dict)
