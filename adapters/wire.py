"""A resource as JSON bytes. Decimals (decimal.Decimal) keep the digits they were written with."""

import msgspec

from adapters.contract import Resource

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def to_json(resource: Resource | list[Resource], indent: int = 0) -> bytes:
    """UTF-8 JSON; on one line, or indented. Raises TypeError for a value that JSON has no word for."""
    plain = _ENCODER.encode(resource)
    return msgspec.json.format(plain, indent=indent) if indent else plain
