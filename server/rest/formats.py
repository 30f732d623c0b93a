"""Representations: which formats the server reads and writes, and which one a request asks for
(https://hl7.org/fhir/R4/http.html#mime-type). Another format is a row here with its two functions."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from server.errors import MediaType, NotAcceptable
from server.model import xml_read, xml_write


@dataclass(frozen=True, slots=True)
class Format:
    """`read` and `write` turn a body into and out of the JSON bytes that the server works on."""

    mime: str
    aliases: tuple[str, ...]
    read: Callable[[bytes], bytes]
    write: Callable[[bytes], bytes]


def _as_it_is(body: bytes) -> bytes:
    return body


JSON = Format(
    "application/fhir+json", ("application/json", "text/json", "json", "application/json+fhir"), _as_it_is, _as_it_is
)
XML = Format(
    "application/fhir+xml",
    ("application/xml", "text/xml", "xml", "application/xml+fhir"),
    xml_read.read,
    xml_write.write,
)
FORMATS: tuple[Format, ...] = (JSON, XML)
_BY_NAME = {name: found for found in FORMATS for name in (found.mime, *found.aliases)}
_VERSION = ("4.0", "4.0.1")  # of the media type parameter fhirVersion
_ANY = ("*/*", "application/*", "text/html")  # a browser asks for html; it gets JSON


@functools.lru_cache(256)
def wanted(accept: str, override: str | None) -> Format:
    """The format of the answer: `_format` wins over Accept. Raises NotAcceptable (406)."""
    if override:
        found = _BY_NAME.get(override.replace(" ", "+").split(";")[0].strip().lower())
        if found is None or _of_another_version(override):
            raise NotAcceptable(f"_format={override}: this server writes {_names()}", "_format")
        return found
    if not accept:
        return JSON
    for name in _by_preference(accept):
        if name in _ANY:
            return JSON
        if name in _BY_NAME:
            return _BY_NAME[name]
    raise NotAcceptable(f"Accept: {accept}: this server writes {_names()}", "http.Accept")


def sent(content_type: str) -> Format:
    """The format of a request body. Raises MediaType (415)."""
    name = content_type.split(";")[0].strip().lower()
    if not name:
        raise MediaType(f"a body needs a Content-Type: this server reads {_names()}", "http.Content-Type")
    found = _BY_NAME.get(name)
    if found is None or _of_another_version(content_type):
        raise MediaType(f"Content-Type: {content_type}: this server reads {_names()}", "http.Content-Type")
    return found


def _of_another_version(media_type: str) -> bool:
    """Whether its parameter fhirVersion names a version that is not R4
    (https://hl7.org/fhir/R4/http.html#version-parameter)."""
    if "fhirversion" not in media_type.lower():
        return False
    named = (piece.partition("=") for piece in media_type.lower().split(";")[1:])
    return any(name.strip() == "fhirversion" and value.strip(' "') not in _VERSION for name, _, value in named)


def _by_preference(accept: str) -> Iterable[str]:
    ranked = []
    for place, part in enumerate(accept.split(",")):
        name, *options = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for option in options:
            if option.startswith("q="):
                try:
                    quality = float(option[2:])
                except ValueError:
                    quality = 0.0
        if quality > 0 and not _of_another_version(part):
            ranked.append((-quality, place, name))
    return [name for _, _, name in sorted(ranked)]


def _names() -> str:
    return ", ".join(found.mime for found in FORMATS) + " of FHIR 4.0"
