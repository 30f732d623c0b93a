"""Logical ids: what the server gives, and what it takes (https://hl7.org/fhir/R4/datatypes.html#id)."""

import base64
import os
import re
import time

from server.errors import Invalid

_VALID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)


def new_id() -> str:
    """26 characters that sort by time of creation (48 bits of milliseconds, 80 random): neighbours in an index."""
    raw = (time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10)
    return base64.b32hexencode(raw)[:26].decode().lower()


def check_id(id: str, at: str) -> str:
    """Raises Invalid when `id` is not one; `at` is the expression of the place where it stands (`Patient.id`)."""
    if not _VALID.fullmatch(id):
        raise Invalid(f"'{id}' is not an id: 1 to 64 letters, digits, '-' and '.'", at)
    return id
