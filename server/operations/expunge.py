"""$expunge: versions are removed for good, and an AuditEvent certifies which
(docs/decisions/0011-what-expunge-leaves.md).

Guarded: off unless the setting `expunge` says otherwise; a reason and the number of versions that are to go have to be
given. R4 has no such operation; the definition is our own.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from server.errors import Conflict, Forbidden, Invalid, NotFound, Stale, TooCostly, Unprocessable
from server.interaction.accept import accept
from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.ids import new_id
from server.interaction.operation import INSTANCE, TYPE, Call, Operation, Parameter, Result
from server.interaction.plan import current_version, plan_create, plan_removal
from server.interaction.referrers import referrer
from server.keys import Removal, StaleWrite, Version, Write
from server.operations.certificate import certificate

EVERYTHING, PREVIOUS = "everything", "previous-versions"
_KEPT = ("AuditEvent",)  # what says who did what cannot be removed by those it speaks of


@dataclass(slots=True)
class Doomed:
    """What a call would remove: `gone`, newest first within a resource; `deletions` go before, in the same commit."""

    gone: list[Version]
    deletions: list[Write]

    def removals(self) -> list[Removal]:
        numbers: dict[tuple[str, str], list[int]] = {}
        for version in self.gone:
            numbers.setdefault((version.type, version.id), []).append(version.version)
        return [Removal(type, id, versions) for (type, id), versions in numbers.items()]


async def expunge(api: Api, context: Context, call: Call) -> Result:
    """The certificate, stored in the same commit. Raises Forbidden (off, hidden, AuditEvent), Invalid, NotFound, Stale
    (another number of versions than confirmed), TooCostly, Unprocessable (nothing to remove, still referred to)."""
    if not api.expunge:
        raise Forbidden(
            "$expunge is switched off on this server: versions are kept (setting expunge, TIERCARE_EXPUNGE=true)",
            "$expunge",
        )
    if call.type in _KEPT:
        raise Forbidden(f"{call.type} resources cannot be expunged", "$expunge")
    reason, expected = (call.text("reason") or "").strip(), call.number("versions")
    if not reason:
        raise Invalid("the reason is empty: it stands in the certificate", "reason")
    _check_scope(call)
    for attempt in range(api.limits.write_attempts):
        doomed = await (_resource if call.level == INSTANCE else _deleted)(api, context, call)
        if len(doomed.gone) != expected:
            raise Stale(
                f"{expected} versions were confirmed, but {_told(doomed.gone)} would be removed: nothing was",
                "versions",
            )
        body = certificate(doomed.gone, reason, call.type, api.setting.base)
        event = plan_create(api, accept(body, "AuditEvent"), new_id()).write
        assert event is not None
        try:
            made = await api.store.expunge(doomed.removals(), [*doomed.deletions, event])
        except StaleWrite:
            await asyncio.sleep(random.random() * 0.005 * attempt)
            continue
        stored = made[-1]
        location = f"{context.base}/AuditEvent/{stored.id}/_history/{stored.version}"
        return Result(stored.body, headers=[(b"location", location.encode())])
    raise Conflict(f"other writers were faster {api.limits.write_attempts} times: try again")


def _check_scope(call: Call) -> None:
    scope = call.text("scope")
    if call.level == TYPE and scope not in (None, EVERYTHING):
        raise Invalid("of a type only deleted resources are removed, with everything of them", "scope")
    if call.level == INSTANCE and scope not in (EVERYTHING, PREVIOUS):
        raise Invalid(f"the scope is {EVERYTHING} or {PREVIOUS}, not {scope!r}", "scope", code="code-invalid")
    if call.level == INSTANCE and call.number("limit") is not None:
        raise Invalid("a limit is for a type: of one resource all that the scope names is removed", "limit")


async def _resource(api: Api, context: Context, call: Call) -> Doomed:
    """Of one resource: its old versions, or also the current one, after a deletion that stays as the last version."""
    current = await current_version(api, context, call.type, call.id)
    if current is None:
        raise NotFound(f"{call.type}/{call.id} is not known", call.type)
    most = api.limits.expunge_max
    gone, hidden = await api.records(context).past(call.type, call.id, most + 2)  # the current one may stay
    if hidden:
        raise Forbidden(f"{call.type}/{call.id} may not be expunged", call.type)
    wholly = call.text("scope") == EVERYTHING and not current.deleted
    if not wholly:
        gone = [version for version in gone if version.version != current.version]
    if not gone:
        raise Unprocessable(f"{call.type}/{call.id} has no versions that could be removed", "scope")
    if len(gone) > most:
        raise _too_many(current, most)
    if not wholly:
        return Doomed(gone, [])
    if not call.flag("force"):
        await _check_unreferred(api, context, current)
    deletion = plan_removal(api, current).write
    assert deletion is not None
    return Doomed(gone, [deletion])


def _too_many(current: Version, most: int) -> TooCostly:
    where = f"{current.type}/{current.id}"
    return TooCostly(f"{where} has more than {most} versions to remove, the limit of one $expunge (expunge_max)", where)


async def _check_unreferred(api: Api, context: Context, current: Version) -> None:
    there, seen = await referrer(api, context, f"{current.type}/{current.id}", leaving=_KEPT)
    if there:
        name = f"{seen.type}/{seen.id} refers" if seen else "resources that you may not see refer"
        raise Unprocessable(
            f"{name} to {current.type}/{current.id}: remove the reference first, or say force=true",
            f"{current.type}/{current.id}",
            code="conflict",
        )


async def _deleted(api: Api, context: Context, call: Call) -> Doomed:
    """Of a type: deleted resources, those deleted longest ago first, as many as the limits allow."""
    records, most = api.records(context), api.limits.expunge_max
    resources = min(call.number("limit") or most, most)
    doomed = Doomed([], [])
    async for line in records.deletions(call.type):
        current = await records.get(line.type, line.id)
        if current is None or current.stamp != line.stamp:  # it lives again, or may not be seen
            continue
        versions, hidden = await records.past(line.type, line.id, most + 2)
        gone = [] if hidden else [version for version in versions if version.stamp != current.stamp]
        if len(gone) > most and not doomed.gone:
            raise _too_many(current, most)
        if len(doomed.gone) + len(gone) > most:
            break
        doomed.gone += gone
        resources -= bool(gone)
        if not resources:
            break
    if not doomed.gone:
        raise Unprocessable(
            f"there are no deleted {call.type} resources with versions that could be removed", call.type
        )
    return doomed


def _told(gone: Sequence[Version]) -> str:
    resources = {(version.type, version.id) for version in gone}
    return f"{len(gone)} of {len(resources)} resources" if len(resources) > 1 else str(len(gone))


EXPUNGE = Operation(
    id="expunge",
    code="expunge",
    title="Remove versions for good",
    description="Removes old versions of a resource, everything of a resource, or everything of deleted resources of a "
    "type, bodies and index entries; a last version that says 'deleted' stays. Off unless the setting expunge is on. "
    "The answer, an AuditEvent that is stored, certifies each removed version with its SHA-256.",
    run=expunge,
    levels=(TYPE, INSTANCE),
    parameters=(
        Parameter("scope", "code", "previous-versions or everything; needed for one resource"),
        Parameter("versions", "unsignedInt", "how many versions will go: any other number removes nothing", 1),
        Parameter("reason", "string", "why; it stands in the certificate", 1),
        Parameter("force", "boolean", "also when other resources refer to the resource"),
        Parameter("limit", "positiveInt", "of a type: how many deleted resources at most"),
        Parameter("return", "AuditEvent", "the certificate", 1, "1", "out"),
    ),
    affects_state=True,
)
