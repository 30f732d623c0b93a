"""Every collection of the MongoDB store: its fields and indexes, declared once as mongomotor documents.

The declarations are abstract: `bind` makes one set of classes for each open store, so that two stores in one process
never share a connection through a class. Field names are one letter because MongoDB stores them with each document.

    res      one document a resource, the current version; a deleted one stays as a tombstone without t, k, r, o and s
    hist     the accepted bytes of every version, also of the current one; the change sequence
    claims   unique keys and who holds them; the only place where uniqueness is decided
    writers  leased writer numbers (writers.py)
    layout   one document: which layout this database has
"""

from typing import Any, ClassVar

from mongomotor import Document
from mongomotor.fields import (
    BinaryField,
    BooleanField,
    DictField,
    IntField,
    ListField,
    LongField,
    StringField,
)

VERSION = 2  # of the layout; a server never serves a database with another one


class Resource(Document):  # type: ignore[misc]
    """`_id` is Type/id. One array path an index (MongoDB's rule): k and r never share one."""

    _id = StringField(primary_key=True)
    t = StringField()  # type; absent on a tombstone, so no search has to say "not deleted"
    v = LongField()  # version number
    u = LongField()  # stamp of this version: lastUpdated
    c = LongField()  # stamp of the first version, kept for life: the store's own order
    m = StringField()  # method that made this version
    x = BooleanField()  # true: deleted
    k = ListField(StringField())  # tokens (index.py)
    r = ListField(DictField())  # ranges {p, l, h}
    o = ListField(DictField())  # occurrences {p, k, r}, whose tokens and ranges stand in k and r too
    s = DictField()  # smallest and largest value of each parameter, for sorting
    b = BinaryField()  # the body as it was accepted

    meta: ClassVar[dict[str, Any]] = {
        "abstract": True,
        "strict": False,
        "indexes": [
            {"fields": ["k", "-c"], "name": "k_c"},
            {"fields": ["t", "-c"], "name": "t_c"},
            {"fields": ["t", "-u"], "name": "t_u"},  # _sort=-_lastUpdated, _lastUpdated=gt…
            # high first: "from today on" is the common question
            {"fields": [("r.p", 1), ("r.h", 1), ("r.l", 1)], "name": "r_p_h_l"},
        ],
    }


class Stored(Document):  # type: ignore[misc]
    """`_id` is Type/id/version, which is what makes (resource, version) unique."""

    _id = StringField(primary_key=True)
    rid = StringField()  # Type/id
    t = StringField()
    v = LongField()
    u = LongField()
    m = StringField()
    b = BinaryField()

    meta: ClassVar[dict[str, Any]] = {
        "abstract": True,
        "strict": False,
        "indexes": [
            {"fields": ["rid", "-v"], "name": "rid_v"},
            {"fields": ["u"], "name": "u", "unique": True},
            {"fields": ["t", "u"], "name": "t_u"},
        ],
    }


class Claim(Document):  # type: ignore[misc]
    """`_id` is the claim."""

    _id = StringField(primary_key=True)
    rid = StringField()  # Type/id of the holder

    meta: ClassVar[dict[str, Any]] = {
        "abstract": True,
        "strict": False,
        "indexes": [{"fields": ["rid"], "name": "rid"}],
    }


class Writer(Document):  # type: ignore[misc]
    """`_id` is the writer number."""

    _id = IntField(primary_key=True)
    owner = StringField()
    until = LongField()  # milliseconds since the epoch, by the server's clock
    floor = LongField()  # this writer makes nothing visible at or below this stamp any more

    meta: ClassVar[dict[str, Any]] = {"abstract": True, "strict": False, "indexes": []}


class Layout(Document):  # type: ignore[misc]
    """`_id` is 'layout'."""

    _id = StringField(primary_key=True)
    version = IntField()

    meta: ClassVar[dict[str, Any]] = {"abstract": True, "strict": False, "indexes": []}


DECLARED: dict[str, Any] = {"res": Resource, "hist": Stored, "claims": Claim, "writers": Writer, "layout": Layout}


def bind(alias: str) -> dict[str, Any]:
    """Document classes of one connection, by collection name."""
    return {
        name: type(declared.__name__, (declared,), {"meta": {"collection": name, "db_alias": alias}})
        for name, declared in DECLARED.items()
    }
