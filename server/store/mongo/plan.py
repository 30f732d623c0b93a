"""What a commit does to the database, decided from what was read: preconditions, operations, versions. No I/O."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pymongo import DeleteMany, InsertOne, ReplaceOne, UpdateOne

from server.errors import Conflict
from server.keys import Adoption, Claimed, Entry, Holding, Removal, StaleWrite, Version, Write
from server.store.mongo import index

Document = dict[str, Any]
_SEARCHED = ("k", "r", "o", "s")


@dataclass(frozen=True, slots=True)
class Operation:
    """A write of one collection; `make` takes the keyword `namespace` when one command spans collections."""

    collection: str
    make: Callable[..., Any]


@dataclass(slots=True)
class State:
    """What a commit found: current documents by `_id` (v, u, c), holders of the claims it wants (Type/id), and of
    the versions that it removes those that are there (Type/id/version)."""

    current: dict[str, Document] = field(default_factory=dict)
    holders: dict[str, str] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Plan:
    """The operations, how many existing documents they must meet (None: does not matter), and their versions."""

    operations: list[Operation]
    updates: int | None
    versions: list[Version]


def check(writes: Sequence[Write], state: State) -> dict[str, str]:
    """The claims that change hands: claim -> new holder. Raises the first StaleWrite or Claimed, in the order given."""
    holders, moves = dict(state.holders), {}
    for write in writes:
        rid = f"{write.type}/{write.id}"
        version = state.current[rid]["v"] if rid in state.current else 0
        if version != write.expect:
            raise StaleWrite(write.type, write.id, version)
        if write.draft is None:
            holders = {claim: holder for claim, holder in holders.items() if holder != rid}
        elif write.claim:
            holder = holders.get(write.claim, rid)
            if holder not in (rid, write.claim_from):
                raise Claimed(write.claim, holder)
            holders[write.claim] = moves[write.claim] = rid
    return moves


def plan(writes: Sequence[Write], state: State, stamp: Callable[[int], int]) -> Plan:
    """Stamps are taken in the order of the writes; the operations stand in the order of ids, so that two commits
    lock in the same order. Raises StaleWrite or Claimed."""
    moves = check(writes, state)
    versions = [_version(write, state, stamp) for write in writes]
    operations: list[Operation] = []
    updates = 0
    for write, version in sorted(zip(writes, versions, strict=True), key=lambda pair: (pair[0].type, pair[0].id)):
        rid = f"{write.type}/{write.id}"
        if rid in state.current:
            updates += 1
            operations.append(_update(rid, write, version))
        else:
            operations.append(Operation("res", partial(InsertOne, _resource(rid, write, version))))
        operations.append(Operation("hist", partial(InsertOne, _stored(rid, version))))
    for claim, rid in sorted(moves.items()):
        if claim not in state.holders:
            operations.append(Operation("claims", partial(InsertOne, {"_id": claim, "rid": rid})))
        elif state.holders[claim] != rid:
            updates += 1
            operations.append(Operation("claims", partial(UpdateOne, {"_id": claim}, {"$set": {"rid": rid}})))
    # after the moves: what moved away from a deleted resource is not its own any more
    deleted = sorted(f"{write.type}/{write.id}" for write in writes if write.draft is None)
    if deleted:
        operations.append(Operation("claims", partial(DeleteMany, {"rid": {"$in": deleted}})))
    return Plan(operations, updates, versions)


def plan_expunge(
    removals: Sequence[Removal], writes: Sequence[Write], state: State, stamp: Callable[[int], int]
) -> Plan:
    """The writes, then the removals. Raises StaleWrite for a version that is not there or would be current, too."""
    written = {f"{write.type}/{write.id}" for write in writes}
    gone: list[str] = []
    for type, id, versions in removals:
        rid = f"{type}/{id}"
        current = int(state.current[rid]["v"]) if rid in state.current else 0
        names = [f"{rid}/{version}" for version in versions]
        if not state.stored.issuperset(names) or (current in versions and rid not in written):
            raise StaleWrite(type, id, current)
        gone += names
    made = plan(writes, state, stamp)
    if gone:
        made.operations.append(Operation("hist", partial(DeleteMany, {"_id": {"$in": gone}})))
    return made


def _version(write: Write, state: State, stamp: Callable[[int], int]) -> Version:
    before = state.current.get(f"{write.type}/{write.id}", {"v": 0, "u": 0})
    number, at = before["v"] + 1, stamp(before["u"])
    body = write.draft.at(number, at) if write.draft is not None else b""
    return Version(write.type, write.id, number, at, write.method, body)


def _facts(version: Version, after: Sequence[Entry]) -> Document:
    """The fields of `res` that a version gives; of a deletion only those of a tombstone."""
    facts: Document = {"v": version.version, "u": version.stamp, "m": version.method, "b": version.body}
    if version.deleted:
        return {**facts, "x": True}
    return {"t": version.type, **facts, **index.fields(version.type, after)}


def _resource(rid: str, write: Write, version: Version) -> Document:
    return {"_id": rid, "c": version.stamp, **_facts(version, write.after)}


def _update(rid: str, write: Write, version: Version) -> Operation:
    """Sets everything: MongoDB writes and indexes only what differs."""
    facts = _facts(version, write.after)
    gone = {name: "" for name in ("t", "x", *_SEARCHED) if name not in facts}
    known = {"_id": rid, "v": write.expect}
    return Operation("res", partial(UpdateOne, known, {"$set": facts, "$unset": gone} if gone else {"$set": facts}))


def _stored(rid: str, version: Version) -> Document:
    type, _, number, stamp, method, body = version
    return {"_id": f"{rid}/{number}", "rid": rid, "t": type, "v": number, "u": stamp, "m": method, "b": body}


def plan_adoption(adoptions: Sequence[Adoption], holdings: Sequence[Holding], state: State, top: int) -> Plan:
    """`top` is the latest stamp in the database. Only the last version of each resource becomes its document.

    Raises StaleWrite for a number that is not above the one that is here, Conflict for a stamp that is not.
    """
    operations: list[Operation] = []
    current, last = dict(state.current), dict[str, Adoption]()
    for adoption in adoptions:
        version = adoption.version
        rid = f"{version.type}/{version.id}"
        known = current.get(rid, {"v": 0, "c": version.stamp})
        if version.version <= known["v"]:
            raise StaleWrite(version.type, version.id, int(known["v"]))
        if version.stamp <= top:
            raise Conflict(f"{rid} has a stamp that is not later than what is here")
        top = version.stamp
        current[rid] = {"v": version.version, "c": known["c"], "x": version.deleted}
        last[rid] = adoption
        operations.append(Operation("hist", partial(InsertOne, _stored(rid, version))))
        if version.deleted:
            operations.append(Operation("claims", partial(DeleteMany, {"rid": rid})))
    for rid, (version, _, after) in sorted(last.items()):
        facts = _facts(version, after)
        whole = {"_id": rid, "c": current[rid]["c"], **facts}
        if rid in state.current:
            operations.append(Operation("res", partial(ReplaceOne, {"_id": rid}, whole)))
        else:
            operations.append(Operation("res", partial(InsertOne, whole)))
    for claim, holder in holdings:
        if holder in current and not current[holder].get("x"):
            change = {"$set": {"rid": holder}}
            operations.append(Operation("claims", partial(UpdateOne, {"_id": claim}, change, upsert=True)))
    return Plan(operations, None, [adoption.version for adoption in adoptions])


def reentry(type: str, id: str, version: int, fields: Document) -> Any:
    """New index fields for a living resource that is still at `version`."""
    gone = {name: "" for name in _SEARCHED if name not in fields}
    change = {**({"$set": fields} if fields else {}), **({"$unset": gone} if gone else {})}
    return UpdateOne({"_id": f"{type}/{id}", "v": version, "t": type}, change)
