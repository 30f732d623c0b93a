"""Bundles joined from stored bytes: a resource is put in as it lies, never parsed
(https://hl7.org/fhir/R4/bundle.html)."""

from collections.abc import Sequence

import orjson

from server.keys import Version, instant

_text = orjson.dumps


def searchset(
    hits: Sequence[Version], included: Sequence[Version], total: int | None, links: dict[str, str], base: str
) -> bytes:
    """Bundle.type searchset: hits (mode match), then what was included (mode include)."""
    entries = [
        b'{"fullUrl":%b,"resource":%b,"search":{"mode":"%b"}}' % (_text(f"{base}/{v.type}/{v.id}"), v.body, mode)
        for versions, mode in ((hits, b"match"), (included, b"include"))
        for v in versions
    ]
    return _bundle(b"searchset", total, links, entries)


def history(
    versions: Sequence[Version],
    total: int | None,
    links: dict[str, str],
    base: str,
    created: frozenset[int] = frozenset(),
) -> bytes:
    """Bundle.type history; a deletion has no resource. `created`: stamps of versions that are answered 201."""
    entries = []
    for v in versions:
        url = f"{v.type}/{v.id}"
        status = "204 No Content" if v.deleted else "201 Created" if v.stamp in created else "200 OK"
        resource = b"" if v.deleted else b'"resource":%b,' % v.body
        request = b'{"method":%b,"url":%b}' % (_text(v.method), _text(v.type if v.method == "POST" else url))
        response = b'{"status":%b,"etag":%b,"lastModified":%b}' % (
            _text(status),
            _text(f'W/"{v.version}"'),
            _text(instant(v.stamp)),
        )
        entries.append(
            b'{"fullUrl":%b,%b"request":%b,"response":%b}' % (_text(f"{base}/{url}"), resource, request, response)
        )
    return _bundle(b"history", total, links, entries)


def document(identifier: str, at: str, versions: Sequence[Version], base: str) -> bytes:
    """Bundle.type document, assembled at an instant: the Composition comes first (https://hl7.org/fhir/R4/documents.html).

    References of the form `Type/id` are resolved against the fullUrls, which all begin with `base`.
    """
    head = b'{"resourceType":"Bundle","identifier":{"system":"urn:ietf:rfc:3986","value":%b}' % _text(identifier)
    entries = [b'{"fullUrl":%b,"resource":%b}' % (_text(f"{base}/{v.type}/{v.id}"), v.body) for v in versions]
    return b'%b,"type":"document","timestamp":"%b","entry":[%b]}' % (head, at.encode(), b",".join(entries))


def responses(type: str, entries: Sequence[bytes]) -> bytes:
    """Bundle.type transaction-response or batch-response."""
    return _bundle(type.encode(), None, {}, entries)


def response_entry(
    status: str,
    version: Version | None = None,
    *,
    resource: bytes = b"",
    outcome: bytes = b"",
    full_url: str = "",
) -> bytes:
    """One answer in a batch-response or transaction-response."""
    parts = [b'"status":' + _text(status)]
    if version is not None:
        parts.append(b'"location":' + _text(f"{version.type}/{version.id}/_history/{version.version}"))
        parts.append(b'"etag":' + _text(f'W/"{version.version}"'))
        parts.append(b'"lastModified":' + _text(instant(version.stamp)))
    if outcome:
        parts.append(b'"outcome":' + outcome)
    head = b'"fullUrl":%b,' % _text(full_url) if full_url else b""
    body = b'"resource":%b,' % resource if resource else b""
    return b"{" + head + body + b'"response":{' + b",".join(parts) + b"}}"


def _bundle(type: bytes, total: int | None, links: dict[str, str], entries: Sequence[bytes]) -> bytes:
    parts = [b'{"resourceType":"Bundle","type":"' + type + b'"']
    if total is not None:
        parts.append(b'"total":%d' % total)
    if links:
        joined = b",".join(
            b'{"relation":%b,"url":%b}' % (_text(relation), _text(url)) for relation, url in links.items() if url
        )
        parts.append(b'"link":[' + joined + b"]")
    if entries:  # an empty array is not FHIR
        parts.append(b'"entry":[' + b",".join(entries) + b"]")
    return b",".join(parts) + b"}"
