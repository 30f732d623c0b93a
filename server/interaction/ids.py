"""Logical ids: what the server gives, and what it takes (https://hl7.org/fhir/R4/datatypes.html#id)."""

import os
import re
import time

from server.errors import Invalid

_RANDOM_BYTES, _POOL_BYTES = 10, 4000  # one call to the system gives the randomness of 400 ids
_pool = bytearray()
_VALID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)


def new_id() -> str:
    """32 hexadecimal digits that sort by time of creation (48 bits of milliseconds, 80 random bits)."""
    if len(_pool) < _RANDOM_BYTES:
        _pool.extend(os.urandom(_POOL_BYTES))
    random = bytes(_pool[-_RANDOM_BYTES:])
    del _pool[-_RANDOM_BYTES:]
    return ((time.time_ns() // 1_000_000).to_bytes(6, "big") + random).hex()


def check_id(id: str, at: str) -> str:
    """Raises Invalid when `id` is not one; `at` is the expression of the place where it stands (`Patient.id`)."""
    if not _VALID.fullmatch(id):
        raise Invalid(f"'{id}' is not an id: 1 to 64 letters, digits, '-' and '.'", at)
    return id
