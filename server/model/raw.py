"""Bodies as bytes: members are cut out and joined as raw spans, so decimals, unknown extensions and key order stay
as they were written (design rule 2). Nothing here builds a model."""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from server.keys import Draft
from server.model import tables

_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODE = msgspec.json.Encoder().encode
_OUTSIDE_STRINGS = re.compile(rb'("(?:[^"\\]|\\.)*")|\s+', re.DOTALL)
_REFERENCE = re.compile(rb'("reference"\s*:\s*)"([^"\\]*(?:\\.[^"\\]*)*)"')
_SET_BY_SERVER = ("versionId", "lastUpdated")


def members(raw: bytes | msgspec.Raw) -> dict[str, bytes]:
    """Top-level members of a JSON object as raw spans, in their order. Raises msgspec.DecodeError."""
    return {key: bytes(value) for key, value in _DECODER.decode(raw).items()}


def joined(found: Mapping[str, bytes]) -> bytes:
    """The JSON object of these members: the way back from `members`."""
    return b"{" + b",".join(_ENCODE(key) + b":" + value for key, value in found.items()) + b"}"


def pretty(raw: bytes) -> bytes:
    """JSON indented by two; numbers and strings as written."""
    return msgspec.json.format(raw, indent=2)


@dataclass(frozen=True, slots=True)
class Body:
    """An accepted resource: its members as raw spans."""

    members: dict[str, bytes]

    def draft(self, id: str) -> Draft:
        """The bytes to store but for version and stamp: `id` set, `meta` completed, all else as written.

        `id` and `meta` keep their place; where they are missing they follow `resourceType`.
        """
        given, own_id = self.members, b'"id":' + _ENCODE(id)
        head: list[bytes] = []
        tail: list[bytes] = [b"".join([*_rest_of_meta(given.get("meta")), b"}"])]
        parts = head
        for key, value in given.items():
            if key == "meta":
                parts = tail
            elif key == "id":
                parts.append(own_id)
            else:
                parts.append(_name(key) + value)
                if key == "resourceType":
                    if "id" not in given:
                        parts.append(own_id)
                    if "meta" not in given:
                        parts = tail
        return Draft(b'{%b,"meta":{' % b",".join(head) if head else b'{"meta":{', b",".join(tail) + b"}")


def _rest_of_meta(meta: bytes | None) -> list[bytes]:
    """The members of meta that are not the server's, each with a comma in front."""
    if meta is None:
        return []
    return [b"," + _name(key) + value for key, value in members(meta).items() if key not in _SET_BY_SERVER]


@functools.lru_cache(4096)
def _name(key: str) -> bytes:
    """A member's name as it stands before its value."""
    return _ENCODE(key) + b":"


def same_values(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two parsed resources hold equal values, apart from id and what the server sets in meta. Resources of the
    same content always do; equal values may be written in different ways."""
    return _values(one) == _values(other)


def _values(resource: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    rest = resource.copy()
    rest.pop("id", None)
    meta = dict(rest.pop("meta", None) or {})
    for name in _SET_BY_SERVER:
        meta.pop(name, None)
    return rest, meta


def same_content(new: Draft, stored: Draft) -> bool:
    """Whether two drafts say the same: byte for byte, white space outside strings apart."""
    if new == stored:
        return True
    return compact(new.head) == compact(stored.head) and compact(new.tail) == compact(stored.tail)


def compact(raw: bytes) -> bytes:
    """JSON without white space between its tokens; numbers and strings as written."""
    return _OUTSIDE_STRINGS.sub(lambda found: found[1] or b"", raw)


def references(raw: bytes) -> list[str]:
    """The values of all `reference` members, wherever they stand."""
    return [_string(found[2]) for found in _REFERENCE.finditer(raw)]


def replace_links(raw: bytes, reference: Callable[[str], str | None], uri: Callable[[str], str | None]) -> bytes:
    """Rewrites `reference` members, uri members and links in the narrative for which there is another; all other bytes
    stay. A `"reference":` inside a string has a backslash before its quotes and cannot match.
    """
    replaced = _REFERENCE.sub(lambda found: _member(found, reference), raw)
    if b"urn:" in replaced:
        replaced = _uri_members().sub(lambda found: _member(found, uri), replaced)
        replaced = _HREF.sub(lambda found: _href(found, uri), replaced)
    return replaced


def _member(found: re.Match[bytes], resolve: Callable[[str], str | None]) -> bytes:
    target = resolve(_string(found[2]))
    return found[0] if target is None else found[1] + _ENCODE(target)


def _href(found: re.Match[bytes], resolve: Callable[[str], str | None]) -> bytes:
    target = resolve(found[2].decode())
    return found[0] if target is None else found[1] + target.encode()


def _string(raw: bytes) -> str:
    return raw.decode() if b"\\" not in raw else msgspec.json.decode(b'"' + raw + b'"', type=str)


_HREF = re.compile(rb"""((?:href|src)\s*=\s*(?:\\"|'))(urn:(?:uuid|oid):[0-9a-zA-Z.-]+)""")
_URIS = ("uri", "url", "oid", "uuid")


@functools.cache
def _uri_members() -> re.Pattern[bytes]:
    """Members that hold a uri, url, oid or uuid in some type of R4 (canonicals are not links to an entry)."""
    names = {
        name
        for node in tables.nodes()
        for element in tables.node(node)
        for name, type in element.json_names.items()
        if type in _URIS
    }
    return re.compile(rb'("(?:%b)"\s*:\s*)"(urn:(?:uuid|oid):[^"\\]*)"' % b"|".join(sorted(n.encode() for n in names)))
