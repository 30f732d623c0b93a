"""What a write came to."""

from typing import NamedTuple

from server.keys import Version


class Written(NamedTuple):
    """`version` is what is there now. created: it was not there before. changed: this write made the version."""

    version: Version
    created: bool
    changed: bool
