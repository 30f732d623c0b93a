"""$document: a Composition and all that it says, as one document Bundle
(https://hl7.org/fhir/R4/composition-operation-document.html, https://hl7.org/fhir/R4/documents.html).

What the Composition refers to by its own elements must be in a document: when one of these is not to be had, there is
no document, and the outcome names each. In it are also what extensions and relatesTo of the Composition refer to, as
far as it is here; what all these refer to; and from there on practitioners, organisations, medications and so on, but
no further records of a patient. Resources are put in as they are stored; a version that a reference names is that one.
"""

import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import uuid4

import orjson

from server.errors import Invalid, Issue, NotSupported, TooCostly, Unprocessable
from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.create import create
from server.interaction.operation import INSTANCE, TYPE, Call, Operation, Parameter, Result
from server.interaction.read import read, vread
from server.interaction.referred import Named, fetched, named, named_by, supporting
from server.keys import Version, instant, stamp_of
from server.model import bundle

_REQUIRED = frozenset(
    {
        "subject", "encounter", "author", "attester.party", "custodian", "event.detail", "section.author",
        "section.focus", "section.entry",
    }
)  # fmt: skip
_SECTIONS = re.compile(r"^(?:section\.)+")


class _Link(NamedTuple):
    """A reference of the Composition. `expression`: where it stands; required: the document needs what it names."""

    expression: str
    reference: str
    required: bool


async def document(api: Api, context: Context, call: Call) -> Result:
    """A document Bundle; with `persist` it is stored, and Location says where.

    Raises NotFound and Gone for the Composition, Unprocessable naming each reference that cannot be followed,
    TooCostly for more resources than a Bundle may have, NotSupported for `graph` and other servers' Compositions.
    """
    if call.text("graph") is not None:
        raise NotSupported("documents by a GraphDefinition are not supported", "graph")
    for name, _ in call.asked:
        raise Invalid(f"a document is always whole: it takes no '{name}'", name)
    composition = await _composition(api, context, call)
    content = await _content(api, context, composition)
    now = instant(stamp_of(time.time_ns() // 1_000_000))
    made = bundle.document(f"urn:uuid:{uuid4()}", now, content, context.base)
    if not call.flag("persist"):
        return Result(made)
    stored = (await create(api, context, "Bundle", made)).version
    location = f"{context.base}/Bundle/{stored.id}/_history/{stored.version}"
    return Result(stored.body, 201, [(b"location", location.encode()), (b"etag", b'W/"%d"' % stored.version)])


async def _composition(api: Api, context: Context, call: Call) -> Version:
    asked = call.text("id")
    if call.level == INSTANCE:
        if asked is not None:
            raise Invalid("the address says which Composition is meant: there is no 'id' beside it", "id")
        if call.version:
            return await vread(api, context, "Composition", call.id, call.version)
        return await read(api, context, "Composition", call.id)
    if not asked:
        raise Invalid("'id' says which Composition is meant: its id or its address", "id", code="required")
    address = asked if "/" in asked or ":" in asked else f"Composition/{asked}"
    own = named(address.removeprefix(f"{context.base}/"), api.setting)
    if own is None or own.type != "Composition":
        raise NotSupported(f"'{asked}' is not a Composition of this server, and others are not asked", "id")
    if own.version:
        return await vread(api, context, own.type, own.id, str(own.version))
    return await read(api, context, own.type, own.id)


async def _content(api: Api, context: Context, composition: Version) -> list[Version]:
    """The Composition, what it refers to in the order in which it does, then what these need; each once."""
    records, setting = api.records(context), api.setting
    links = list(_links(orjson.loads(composition.body), "Composition", ""))
    names = {link: named(link.reference, setting) for link in links}
    _check_size(api, len(set(names.values())))
    direct = await fetched(records, (name for name in names.values() if name is not None))
    missing = [link for link, name in names.items() if link.required and (name is None or name not in direct)]
    if missing:
        raise Unprocessable([_issue(link, names[link]) for link in missing])
    own = dict.fromkeys([composition, *(direct[name] for name in names.values() if name in direct)])
    others = await supporting(records, setting, named_by(own, setting) - set(direct))
    content = {(one.type, one.id, one.version): one for one in (*own, *others.values())}
    _check_size(api, len(content))
    return list(content.values())


def _links(element: Any, expression: str, path: str) -> Iterator[_Link]:
    """The references below an element, in their order, sections of any depth among them; fragments are not links."""
    if isinstance(element, list):
        for number, one in enumerate(element):
            yield from _links(one, f"{expression}[{number}]", path)
    elif isinstance(element, dict):
        reference = element.get("reference")
        if isinstance(reference, str) and not reference.startswith("#"):
            yield _Link(expression, reference, _SECTIONS.sub("section.", path) in _REQUIRED)
        for name, value in element.items():
            if name != "contained":
                yield from _links(value, f"{expression}.{name}", f"{path}.{name}".lstrip("."))


def _issue(link: _Link, name: Named | None) -> Issue:
    if name is None:
        return Issue("not-supported", f"'{link.reference}' is nothing this server can put in", link.expression)
    return Issue("not-found", f"'{link.reference}' is not there, and the document needs it", link.expression)


def _check_size(api: Api, size: int) -> None:
    most = api.limits.bundle_entries_max
    if size > most:
        raise TooCostly(f"the document would have {size} resources, {most} is the limit of a Bundle", "Composition")


DOCUMENT = Operation(
    id="Composition-document",
    code="document",
    title="The document of a Composition",
    description="A Bundle of type document: the Composition, all it refers to, and what that needs to be understood.",
    run=document,
    levels=(TYPE, INSTANCE),
    versions=True,
    types=("Composition",),
    parameters=(
        Parameter("id", "uri", "of the type level: id or address of the Composition"),
        Parameter("persist", "boolean", "store the document as a Bundle; Location says where"),
        Parameter("graph", "uri", "a GraphDefinition: not supported"),
        Parameter("return", "Bundle", "the document", 1, "1", "out"),
    ),
    base="http://hl7.org/fhir/OperationDefinition/Composition-document",
)
