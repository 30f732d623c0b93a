"""Content codings: gzip out and in (https://www.rfc-editor.org/rfc/rfc9110#section-8.4)."""

import asyncio
import functools
import zlib

from server.errors import Invalid, MediaType, TooLarge

_LEVEL = 4
_SMALL_BYTES = 16 * 1024  # up to here small tables do: 16 microseconds instead of 65 for 2 kB, to the same size
_THREAD_BYTES = 64 * 1024  # a longer body is compressed beside the event loop: it takes a millisecond and more
_GZIP = ("gzip", "x-gzip")
_GZIP_FORMAT = 16  # added to a window's bits, it asks zlib for gzip's header and checksum


@functools.lru_cache(256)
def takes_gzip(accept_encoding: str) -> bool:
    """Whether a client accepts gzip; `*` stands for codings that it does not name."""
    wanted: dict[str, bool] = {}
    for part in accept_encoding.lower().split(","):
        name, *options = (piece.strip() for piece in part.split(";"))
        refused = any(option.startswith("q=") and not option[2:].strip("0.") for option in options)
        wanted[name] = not refused
    return next((wanted[name] for name in (*_GZIP, "*") if name in wanted), False)


async def deflate(body: bytes) -> bytes:
    return _gzip(body) if len(body) < _THREAD_BYTES else await asyncio.to_thread(_gzip, body)


def _gzip(body: bytes) -> bytes:
    window, memory = (12, 5) if len(body) <= _SMALL_BYTES else (zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL)
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_FORMAT + window, memory)
    return stream.compress(body) + stream.flush()


async def inflate(body: bytes, coding: str, limit: int) -> bytes:
    """The body without its Content-Encoding, at most `limit` bytes. Raises MediaType, TooLarge, Invalid."""
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in _GZIP:
        raise MediaType(f"Content-Encoding: {coding}: this server reads gzip", "http.Content-Encoding")
    return await asyncio.to_thread(_gunzip, body, limit) if body else body


def _gunzip(body: bytes, limit: int) -> bytes:
    """Stops at the limit, so a small body that grows without end costs no more than a large one."""
    stream = zlib.decompressobj(_GZIP_FORMAT + zlib.MAX_WBITS)
    try:
        found = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise Invalid("the body is not gzip, but its Content-Encoding says so", "http.body") from error
    if len(found) > limit:
        raise TooLarge(f"the inflated body has more than {limit} bytes, the limit", "http.body")
    if not stream.eof:
        raise Invalid("the gzip body ends too early", "http.body")
    if stream.unused_data:
        raise Invalid("the gzip body is followed by more: one gzip member is read", "http.body")
    return found
