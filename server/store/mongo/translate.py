"""A Select -> aggregation stages. Every filter is exact: two conditions on an array share one `$elemMatch` or none.

Forms that stay out (README.md says why): compiled regular expressions as values, and ranges with two ends
directly on the arrays `k` and `r`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from server.errors import Invalid, TooCostly
from server.keys import (
    LINK,
    PART,
    SPAN,
    STAMP_BITS,
    TERM,
    TEXT,
    All,
    Backlinked,
    Begins,
    Cursor,
    Ids,
    Link,
    Linked,
    Not,
    Present,
    Select,
    Sort,
    Span,
    Stamped,
    Term,
    Test,
    Text,
    Together,
    Word,
)
from server.keys import Any as Either
from server.store.mongo import index
from server.store.mongo.limits import CONTAINS

Filter = dict[str, Any]
Stage = dict[str, Any]

EVERYTHING: Filter = {}
NOTHING: Filter = {"_id": {"$in": []}}
_OPS = {"<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}
_SIDE = {"low": "l", "high": "h"}
_KIND = {TERM: index.SCOPED, TEXT: index.NORMAL, LINK: index.TARGET}
# from which end a bound on one side also bounds the other (low <= high): it keeps both index bounds tight
_IMPLIED = {("low", ">"): "high", ("low", ">="): "high", ("high", "<"): "low", ("high", "<="): "low"}


# ------------------------------------------------------------------------------------------------ filters
def condition(test: Test, type: str) -> Filter:
    """The test as a filter on living resources of `type`."""
    match test:
        case All(tests):
            return _all([condition(t, type) for t in tests])
        case Either(tests):
            return _any([condition(t, type) for t in tests])
        case Not(inner):
            denied = condition(inner, type)
            return {"$nor": [denied]} if denied else NOTHING
        case Ids(ids):
            return {"_id": {"$in": [f"{type}/{id}" for id in ids]}}
        case Stamped(low, high):
            ends = {"$gte": low, "$lt": high}
            return _all([{"u": {op: end}} for op, end in ends.items() if end is not None])
        case Term():
            return _term(test)
        case Text():
            return _text(test)
        case Word(param, key, begins):
            word = index.word(param, key)
            return {"k": {"$elemMatch": _prefix(word)}} if begins else {"k": word}
        case Link(param, target):
            return {"k": index.link(param, target)}
        case Span():
            return _any([_span(test, bound) for bound in test.bounds])
        case Present(param, shape):
            if shape == SPAN:
                return {"r": {"$elemMatch": {"p": _prefix(index.every(param, index.UNIT))}}}
            return {"k": {"$elemMatch": _prefix(index.every(param, _KIND[shape]))}}
        case Begins(param, prefix):
            return {"k": {"$elemMatch": _prefix(index.code(param, prefix))}}
        case Together(tests):
            return _together(tests, type)
        case Linked() | Backlinked():
            raise TypeError("joins.py resolves what follows links before a filter is made")
        case _:  # pragma: no cover
            assert_never(test)


def _all(parts: Sequence[Filter]) -> Filter:
    parts = [part for part in parts if part]
    if len(parts) < 2:
        return parts[0] if parts else EVERYTHING
    return {"$and": parts}


def _any(parts: Sequence[Filter]) -> Filter:
    """Equalities on tokens become one `$in`: point bounds keep the order of the index."""
    if not all(parts):
        return EVERYTHING
    tokens = dict.fromkeys(token for part in parts for token in _tokens(part))
    if len(tokens) > 1:
        parts = [{"k": {"$in": list(tokens)}}, *(part for part in parts if not _tokens(part))]
    if len(parts) < 2:
        return parts[0] if parts else NOTHING
    leading = [_tokens({"k": part.get("k", {})}) for part in parts]
    if all(leading):  # so that the alternatives can lead together, each of them has more to ask
        return {"k": {"$in": list(dict.fromkeys(token for some in leading for token in some))}, "$or": parts}
    return {"$or": parts}


def _tokens(part: Filter) -> list[str]:
    """The tokens of a filter that asks for one of some and for nothing else."""
    asked = part["k"] if part.keys() == {"k"} else {}
    tokens: list[str] = [asked] if isinstance(asked, str) else asked.get("$in", [])
    return tokens


def _together(tests: Sequence[Test], type: str) -> Filter:
    """All in one occurrence. What one of them asks of `k` or `r` leads, as these have an index and `o` has none.

    `p` comes first: an `$elemMatch` that begins with an operator is another form.
    """
    parts = [condition(test, type) for test in tests]
    leading = min((part for part in parts if part.keys() <= {"k", "r"}), key=lambda p: not _tokens(p), default={})
    return {**leading, "o": {"$elemMatch": {"p": _place(tests), "$and": parts}}}


def _place(tests: Sequence[Test]) -> str:
    """Of the parts that the tests are about: the same for all."""
    for test in tests:
        place = _place(test.tests) if isinstance(test, Either) else getattr(test, "param", "").partition(PART)[0]
        if place:
            return place
    return ""


def _prefix(prefix: str) -> Filter:
    return {"$gte": prefix, "$lt": index.past(prefix)}


def _term(test: Term) -> Filter:
    if test.key is not None and test.scope is not None:
        return {"k": index.scoped(test.param, test.scope, test.key)}
    if test.key is not None:
        return {"k": index.code(test.param, test.key)}
    prefix = index.every(test.param, index.SCOPED) if test.scope is None else index.scoped(test.param, test.scope)
    return {"k": {"$elemMatch": _prefix(prefix)}}


def _text(test: Text) -> Filter:
    if test.how == "exact":
        return {"k": index.written(test.param, test.value)}
    if test.how == "equal":
        return {"k": index.normal(test.param, test.value)}
    if test.how == "prefix" or not test.value:
        return {"k": {"$elemMatch": _prefix(index.normal(test.param, test.value))}}
    if len(test.value) > CONTAINS:
        raise TooCostly(f"a text to look for in or at the end of others has at most {CONTAINS} characters", test.param)
    start = literal(index.every(test.param, index.NORMAL))
    end = "(?!.)" if test.how == "suffix" else ""  # `$` would also stand before a last line break
    return {"k": {"$regex": f"^{start}.*{literal(test.value)}{end}", "$options": "s"}}


def literal(text: str) -> str:
    """Text as a regular expression that means exactly it. A backslash before punctuation only: MongoDB still reads
    an index prefix from that, and no other escape is the same in all engines."""
    return "".join(_literal_character(character) for character in text)


def _literal_character(character: str) -> str:
    if character == "\0":
        return "\\x00"
    return f"\\{character}" if "!" <= character <= "~" and not character.isalnum() else character


def _span(test: Span, bound: tuple[tuple[str, str, int], ...]) -> Filter:
    """One conjunction of bounds, all on the same range."""
    ends: dict[str, dict[str, int]] = {}
    for side, op, value in bound:
        for which in (side, _IMPLIED.get((side, op))):
            if which is not None:
                end = ends.setdefault(_SIDE[which], {})
                known = end.setdefault(_OPS[op], value)
                end[_OPS[op]] = min(known, value) if op.startswith("<") else max(known, value)
    return {"r": {"$elemMatch": {"p": index.unit(test.param, test.key), **ends}}}


def filter_of(type: str, test: Test) -> Filter:
    """The whole filter: the likely most selective equality first, then the type, then the rest."""
    parts = [part for part in (condition(t, type) for t in _conjuncts(test)) if part]
    leading = min((part for part in parts if _lead(part) is not None), key=lambda p: _lead(p) or 0, default=None)
    rest = [part for part in parts if part is not leading]
    return {**(leading or {}), "t": type, **({"$and": rest} if rest else {})}


def _lead(part: Filter) -> int | None:
    """How well a filter leads (0 best), None: not at all."""
    if "_id" in part:
        return 0
    if isinstance(part.get("k"), str):
        return 1
    return 2 if "$in" in part.get("k", ()) else None


def _conjuncts(test: Test) -> Iterator[Test]:
    if isinstance(test, All):
        for inner in test.tests:
            yield from _conjuncts(inner)
    else:
        yield test


# ------------------------------------------------------------------------------------------- order and pages
@dataclass(frozen=True, slots=True)
class Key:
    """One sort key as a field. optional: a resource may have no value."""

    path: str
    descending: bool
    of: type[str] | type[int]
    optional: bool = True

    @property
    def direction(self) -> int:
        return -1 if self.descending else 1


def keys_of(select: Select) -> list[Key]:
    return [_key(select.type, sort) for sort in select.sorts]


def _key(type: str, sort: Sort) -> Key:
    if not sort.shape:
        if sort.param not in ("_id", "_lastUpdated"):
            raise Invalid(f"cannot sort by {sort.param}", "_sort")
        return Key("_id", sort.descending, str, False) if sort.param == "_id" else Key("u", sort.descending, int, False)
    field = index.SORT_FIELD.get((sort.shape, "z" if sort.descending else "a"))
    if field is None:
        raise Invalid(f"cannot sort by {sort.param}: a {sort.shape} has no order", "_sort")
    return Key(index.sort_path(type, sort.param, field), sort.descending, int if sort.shape == SPAN else str)


def phases(select: Select) -> Iterator[list[Stage]]:
    """Aggregations that give the page one after the other, each without its `$limit`; mostly there is one.

    MongoDB sorts missing values first going up, and FHIR wants them last: so an ascending first key makes two
    phases, those with a value (an index can give them in order) and then those without, by the keys that are left.
    An ascending later key gets a flag in front of it.
    """
    keys = keys_of(select)
    return _phases(filter_of(select.type, select.test), keys, _cursor(select, keys), EVERYTHING)


def _phases(where: Filter, keys: Sequence[Key], after: Cursor | None, so_far: Filter) -> Iterator[list[Stage]]:
    if not keys or keys[0].descending or not keys[0].optional:
        yield _stages(where, keys, _all([so_far, _past(keys, after)]))
        return
    first, rest = keys[0], keys[1:]
    if after is None or after[0] is not None:
        least: Filter = {first.path: {"$gte": "" if first.of is str else -(2**63)}}
        yield _stages(where, keys, _all([so_far, least, _past(keys, after, first_present=True)]))
    after = after[1:] if after is not None and after[0] is None else None
    yield from _phases(where, rest, after, _all([so_far, {first.path: None}]))


def _stages(where: Filter, keys: Sequence[Key], more: Filter) -> list[Stage]:
    flags = {
        f"missing{n}": {"$eq": [{"$type": f"${key.path}"}, "missing"]}
        for n, key in enumerate(keys)
        if n and key.optional and not key.descending
    }
    order: dict[str, int] = {}
    for n, key in enumerate(keys):
        order |= {f"missing{n}": 1} if f"missing{n}" in flags else {}
        order[key.path] = key.direction
    match = {**where, "$and": [*where.get("$and", ()), more]} if more else where
    return [{"$match": match}, *([{"$addFields": flags}] if flags else []), {"$sort": {**order, "c": -1}}]


def _past(keys: Sequence[Key], after: Cursor | None, first_present: bool = False) -> Filter:
    """Rows past the cursor: equal on the first keys and past it on the next, or equal on all and older."""
    if after is None:
        return EVERYTHING
    equal = [{key.path: value} for key, value in zip(keys, after, strict=False)]
    either: list[Filter] = []
    for n, key in enumerate(keys):
        if after[n] is None:
            continue  # nothing comes after a missing value
        beyond: Filter = {key.path: {"$lt" if key.descending else "$gt": after[n]}}
        if key.optional and not (first_present and n == 0):
            beyond = _any([beyond, {key.path: None}])
        either.append(_all([*equal[:n], beyond]))
    either.append(_all([*equal, {"c": {"$lt": after[-1]}}]))
    return _any(either)


def _cursor(select: Select, keys: Sequence[Key]) -> Cursor | None:
    """The cursor with `_id` as it is stored; Invalid when it cannot be one of this store for these sorts."""
    if select.after is None:
        return None
    values, place = select.after[:-1], select.after[-1] if select.after else None
    fits = len(values) == len(keys) and all(
        (value is None and key.optional) or type(value) is key.of for value, key in zip(values, keys, strict=False)
    )
    # a place is a stamp here, far above the row numbers of other stores
    if not fits or type(place) is not int or not 1 << (STAMP_BITS + 32) < place < 2**63:
        raise Invalid("the page link does not belong to this search", "_cursor")
    return (*(f"{select.type}/{v}" if k.path == "_id" else v for v, k in zip(values, keys, strict=True)), place)


def cursor_at(select: Select, document: dict[str, Any]) -> Cursor:
    """The cursor of a page that ends with this document."""
    values = [_value(document, key.path) for key in keys_of(select)]
    prefix = f"{select.type}/"
    return (
        *(v.removeprefix(prefix) if k.path == "_id" else v for v, k in zip(values, keys_of(select), strict=True)),
        int(document["c"]),
    )


def _value(document: dict[str, Any], path: str) -> Any:
    found: Any = document
    for name in path.split("."):
        found = found.get(name) if found is not None else None
    return int(found) if isinstance(found, int) else found
