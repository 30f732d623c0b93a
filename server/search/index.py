"""A resource's index entries: every search parameter of its type, extracted in one walk.

The paths of all parameters of a type are merged into one tree of member names, so a common prefix is walked once, and
the tree becomes Python source, compiled on first use (a millisecond a type, 20 microseconds saved a resource). A
parameter that cannot be indexed yet is listed with its reason in `left_out`.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from server.fhirpath.paths import Path, Unsupported, compile_paths
from server.keys import LINK, SPAN, TERM, TEXT, WORD, Entry
from server.model import tables
from server.search import composite, inner, pinyin, words
from server.search.kinds import KINDS
from server.search.kinds.kind import Extract, Setting, Value


class _Leaf(NamedTuple):
    """What to do with the values at the end of a path."""

    param: int  # place in _Type.params
    extract: Extract
    value_set: str
    target: str  # only references to this type


class _Branch:
    """A member of the resource tree: values found there, and what lies below."""

    def __init__(self, key: str, where: tuple[str, str] | None) -> None:
        self.key, self.where = key, where
        self.leaves: list[_Leaf] = []
        self.next: list[_Branch] = []

    def below(self, key: str, where: tuple[str, str] | None) -> "_Branch":
        for branch in self.next:
            if branch.key == key and branch.where == where:
                return branch
        branch = _Branch(key, where)
        self.next.append(branch)
        return branch


_APART = frozenset({"_id", "_lastUpdated", "_text", "_content"})  # stores know the first two, words.py the others
Run = Callable[[dict[str, Any], Setting], tuple[list[Value], ...]]


class _Type(NamedTuple):
    params: list[tuple[str, str]]  # (shape, Type.code), those of _COMPUTED first
    run: Run  # the values of the others, in this order
    missing: dict[str, str]
    composed: bool  # it has composites


def index(resource: dict[str, Any], setting: Setting) -> tuple[Entry, ...]:
    """All entries of a valid resource, each once, ranks set (keys.Entry)."""
    type = resource["resourceType"]
    compiled = _compiled(type)
    entries: list[Entry] = []
    computed = [compute(resource) for _, _, compute in _COMPUTED.get(type, ())]
    for place, values in enumerate(itertools.chain(computed, compiled.run(resource, setting))):
        if not values:
            continue
        shape, param = compiled.params[place]
        if len(values) == 1:
            entries.append(_entry(Entry, (shape, param, *values[0], 0)))
            continue
        distinct = dict.fromkeys(values)
        if len(distinct) == 1 or shape == LINK:
            entries += [_entry(Entry, (shape, param, *value, 0)) for value in distinct]
        else:
            entries += _ranked(shape, param, distinct)
    if setting.text != "off":
        entries += [Entry(WORD, f"{type}._text", word) for word in words.narrative(resource)]
    if setting.text == "content":
        entries += [Entry(WORD, f"{type}._content", word) for word in words.content(resource)]
    if compiled.composed:
        entries += composite.entries(resource, setting)
    if type == "Bundle":
        entries += inner.entries(resource, lambda first: index(first, setting))
    return tuple(entries)


_entry = tuple.__new__  # what Entry(…) does, without its keyword arguments: half the time of making one


def left_out(type: str) -> dict[str, str]:
    """Parameters of a type that are not indexed: code -> why."""
    return _compiled(type).missing


def _ranked(shape: str, param: str, values: Iterable[Value]) -> list[Entry]:
    """Several values: the smallest gets rank 1, the largest 2, those between 3 (a span's place is its low end).

    Spans in a unit are never sorted by, because each stands there without one too: they get rank 3.
    """
    values = list(values)
    in_units = [value for value in values if shape == SPAN and value[0]]
    ordered = sorted((v for v in values if not (shape == SPAN and v[0])), key=lambda value: (value[2], value[0]))
    last = len(ordered) - 1
    ranks = [0] if last == 0 else [1, *[3] * (last - 1), 2]
    found = [Entry(shape, param, *value, rank=rank) for value, rank in zip(ordered, ranks, strict=False)]
    return found + [Entry(shape, param, *value, rank=3) for value in in_units]


@functools.cache
def _compiled(type: str) -> _Type:
    root, missing = _Branch("", None), dict[str, str]()
    params: list[tuple[str, str]] = []
    computed = {code for code, _, _ in _COMPUTED.get(type, ())}
    for parameter in tables.search_parameters(type).values():
        if parameter.code in _APART or parameter.code in computed:
            continue
        if type == "Bundle" and parameter.code in inner.FIRST:
            continue
        why_not = _add(root, parameter, type, params)
        if why_not:
            missing[parameter.code] = why_not
    composed = any(parameter.kind == "composite" for parameter in tables.search_parameters(type).values())
    first = [(shape, f"{type}.{code}") for code, shape, _ in _COMPUTED.get(type, ())]
    return _Type(first + params, _generate(root, len(params)), missing, composed)


def _add(root: _Branch, parameter: tables.Parameter, type: str, params: list[tuple[str, str]]) -> str:
    """Grows the tree by a parameter's paths; why not, if that cannot be."""
    if parameter.kind == "composite":
        return composite.why_not(type, parameter.code)
    kind = KINDS[parameter.kind]
    if not parameter.expression:
        return f"{parameter.code} is not supported yet"
    try:
        paths = [path for path in compile_paths(parameter.expression, type) if path.type in kind.types]
    except Unsupported:
        paths = []
    if not paths:
        return f"the expression '{parameter.expression}' is not supported"
    name = f"{type}.{parameter.code}"
    _grow(root, paths, kind.types, len(params))
    params.append((kind.shape, name))
    for modifier, facet in kind.facets.items():
        if any(path.type in facet.types for path in paths):
            _grow(root, paths, facet.types, len(params))
            params.append((facet.shape, f"{name}:{modifier}"))
    return ""


def _grow(root: _Branch, paths: Sequence[Path], types: Mapping[str, Extract], param: int) -> None:
    for path in paths:
        extract = types.get(path.type)
        if extract is None:
            continue
        branch = root
        for step in path.steps:
            branch = branch.below(step.key, step.where)
        branch.leaves.append(_Leaf(param, extract, path.value_set, path.target))


def _generate(root: _Branch, size: int) -> Run:
    """The tree as one Python function: nested look-ups and loops, values collected in one list a parameter."""
    names: dict[str, Any] = {"points_at": _points_at}
    lines = [
        "def run(v0, setting):",
        *(f" p{i} = []" for i in range(size)),
        *_source(root, 0, names),
        f" return ({''.join(f'p{i}, ' for i in range(size))})",
    ]
    exec(compile("\n".join(lines), "<search index>", "exec"), names)
    run: Run = names["run"]
    return run


def _source(branch: _Branch, depth: int, names: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    pad = " " * (2 * depth + 1)
    for child in branch.next:
        item = f"v{depth + 1}"
        lines += [
            f"{pad}m = v{depth}.get({child.key!r})",
            f"{pad}if m is not None:",
            f"{pad} for {item} in m if m.__class__ is list else (m,):",
            f"{pad}  if {item} is None: continue",
        ]
        if child.where:
            lines.append(f"{pad}  if {item}.get({child.where[0]!r}) != {child.where[1]!r}: continue")
        for leaf in child.leaves:
            name = f"f{id(leaf.extract)}"
            names[name] = leaf.extract
            call = f"{name}({item}, {leaf.value_set!r}, setting, p{leaf.param}.append)"
            guard = f"if points_at({item}, {leaf.target!r}): " if leaf.target else ""
            lines.append(f"{pad}  {guard}{call}")
        lines += _source(child, depth + 1, names)
    return lines


def _points_at(reference: Any, type: str) -> bool:
    """`resolve() is T` without resolving: by the reference's text or its `type`."""
    text = reference.get("reference") or ""
    return text.startswith(f"{type}/") or f"/{type}/" in text or reference.get("type") == type


def _deceased(patient: dict[str, Any]) -> list[Value]:
    """`Patient.deceased.exists() and Patient.deceased != false`, the one R4 expression that is not a path."""
    return [("true" if patient.get("deceasedDateTime") or patient.get("deceasedBoolean") else "false", "", 0, 0)]


_PINYIN = ("pinyin", TEXT, pinyin.values)
_COMPUTED: dict[str, tuple[tuple[str, str, Callable[[dict[str, Any]], list[Value]]], ...]] = {
    "Patient": (("deceased", TERM, _deceased), _PINYIN),
    "Person": (_PINYIN,),
    "Practitioner": (_PINYIN,),
    "RelatedPerson": (_PINYIN,),
}
"""Parameters that are computed from the whole resource: type -> (code, shape, function)."""
