"""What a commit does to the database, decided from what was read: preconditions, operations, versions. No I/O."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pymongo import DeleteMany, InsertOne, UpdateOne

from server.keys import Claimed, StaleWrite, Version, Write
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
    """What a commit found: current documents by `_id` (v, u, c), holders of the claims it wants (Type/id)."""

    current: dict[str, Document] = field(default_factory=dict)
    holders: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Plan:
    """The operations, how many existing documents they must meet, and the versions they make."""

    operations: list[Operation]
    updates: int
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


def _version(write: Write, state: State, stamp: Callable[[int], int]) -> Version:
    before = state.current.get(f"{write.type}/{write.id}", {"v": 0, "u": 0})
    number, at = before["v"] + 1, stamp(before["u"])
    body = write.draft.at(number, at) if write.draft is not None else b""
    return Version(write.type, write.id, number, at, write.method, body)


def _facts(write: Write, version: Version) -> Document:
    """The fields of `res` that a write gives; of a deletion only those of a tombstone."""
    facts: Document = {"v": version.version, "u": version.stamp, "m": version.method, "b": version.body}
    if write.draft is None:
        return {**facts, "x": True}
    return {"t": write.type, **facts, **index.fields(write.type, write.after)}


def _resource(rid: str, write: Write, version: Version) -> Document:
    return {"_id": rid, "c": version.stamp, **_facts(write, version)}


def _update(rid: str, write: Write, version: Version) -> Operation:
    """Sets everything: MongoDB writes and indexes only what differs."""
    facts = _facts(write, version)
    gone = {name: "" for name in ("t", "x", *_SEARCHED) if name not in facts}
    known = {"_id": rid, "v": write.expect}
    return Operation("res", partial(UpdateOne, known, {"$set": facts, "$unset": gone} if gone else {"$set": facts}))


def _stored(rid: str, version: Version) -> Document:
    type, _, number, stamp, method, body = version
    return {"_id": f"{rid}/{number}", "rid": rid, "t": type, "v": number, "u": stamp, "m": method, "b": body}


def reentry(type: str, id: str, version: int, fields: Document) -> Any:
    """New index fields for a living resource that is still at `version`."""
    gone = {name: "" for name in _SEARCHED if name not in fields}
    change = {**({"$set": fields} if fields else {}), **({"$unset": gone} if gone else {})}
    return UpdateOne({"_id": f"{type}/{id}", "v": version, "t": type}, change)
