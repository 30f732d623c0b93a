"""Logical ids: what the server gives, and what it takes (https://hl7.org/fhir/R4/datatypes.html#id)."""

import re
import secrets
import time

from server.errors import Invalid

_VALID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id() -> str:
    """26 characters that sort by time of creation (48 bits of milliseconds, 80 random): neighbours in an index."""
    number = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def check_id(id: str, type: str) -> str:
    """Raises Invalid when `id` is not one."""
    if not _VALID.fullmatch(id):
        raise Invalid(f"'{id}' is not an id: 1 to 64 letters, digits, '-' and '.'", f"{type}.id")
    return id
