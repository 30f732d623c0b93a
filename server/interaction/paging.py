"""Page links: the keyset of the next page, signed together with the search it belongs to, and no state kept."""

import base64
import binascii
import hashlib
import hmac
from typing import Any

import orjson

from server.errors import Invalid
from server.keys import Cursor
from server.search.query import CURSOR

_MAC_BYTES = 12


def seal(key: bytes, scope: str, cursor: Cursor | int) -> str:
    """A cursor as a link carries it; valid for this `scope` (the search without its cursor) only."""
    payload = orjson.dumps(cursor)
    return base64.urlsafe_b64encode(_mac(key, scope, payload) + payload).rstrip(b"=").decode()


def unseal(key: bytes, scope: str, sealed: str) -> Any:
    """Raises Invalid for a link that this server did not make for this search."""
    try:
        raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    except (binascii.Error, ValueError) as error:
        raise Invalid("the page link is damaged: start the search anew", CURSOR) from error
    mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(key, scope, payload)):
        raise Invalid("the page link does not belong to this search: start it anew", CURSOR)
    return orjson.loads(payload)


def _mac(key: bytes, scope: str, payload: bytes) -> bytes:
    return hmac.new(key, scope.encode() + b"\0" + payload, hashlib.sha256).digest()[:_MAC_BYTES]
