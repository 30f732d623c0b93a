"""The group tree of a message: which segment belongs to which group, by a table per message structure.

The table says what a group holds, not in which order a version sends it. A segment goes to the innermost open group
that has room for it, else it opens the group that it begins, from the innermost open group outwards. So a repeating
group hangs on its right parent (OBX and NTE on their OBR, SPM on its order) in v2.2 as in v2.8. What a structure has
no place for opens the group it begins anywhere (structure ANY), or hangs on the nearest open group.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from adapters.hl7v2.message import Message, Segment

_TOKEN = re.compile(r"(?P<group>[A-Z_]+)\(|(?P<segment>[A-Z][A-Z0-9]{2})(?P<marks>[*!]*)|(?P<stop>;)|(?P<end>\))")


@dataclass(slots=True, eq=False)
class Shape:
    """What a group holds. `begins`: segment names that open it, each with the subgroup they open it through."""

    name: str
    segments: dict[str, bool] = field(default_factory=dict)  # name -> whether it repeats
    groups: list["Shape"] = field(default_factory=list)
    begins: dict[str, "Shape | None"] = field(default_factory=dict)
    begins_at: dict[str, int] = field(default_factory=dict)  # a segment that opens it -> subgroups standing before it
    begun: bool = False  # a segment that must be there has been named: no later one opens the group


@dataclass(slots=True)
class Group:
    """One occurrence of a group: its segments and subgroups in the order of the message."""

    shape: Shape
    segments: list[Segment] = field(default_factory=list)
    groups: list["Group"] = field(default_factory=list)
    _notes: dict[int, list[Segment]] | None = None

    @property
    def name(self) -> str:
        return self.shape.name

    def first(self, name: str) -> Segment | None:
        for segment in self.segments:
            if segment.name == name:
                return segment
        return None

    def all(self, name: str) -> list[Segment]:
        return [segment for segment in self.segments if segment.name == name]

    def sub(self, name: str) -> list["Group"]:
        return [group for group in self.groups if group.shape.name == name]

    def notes(self, segment: Segment) -> list[Segment]:
        """The NTE segments that say something about a segment of this group: those behind it, before the next one."""
        if self._notes is None:
            self._notes, owner = {}, 0
            for other in self.segments:
                if other.name == "NTE":
                    self._notes.setdefault(owner, []).append(other)
                elif other.name not in ("PRT", "ROL", "CTD"):
                    owner = id(other)
        return self._notes.get(id(segment), [])

    def walk(self) -> Iterator["Group"]:
        yield self
        for group in self.groups:
            yield from group.walk()


def tree(message: Message, structure: str) -> tuple[Group, list[Segment]]:
    """The root group of a message, and the segments that its structure has no place for (Z segments left out).

    Those hang on the group that was open when they came: the nearest one.
    """
    table = shapes()
    root = Group(table[structure])
    anywhere = table["ANY"].groups
    stack, strangers = [root], []
    for segment in message.segments:
        if _placed(segment, stack):
            continue
        if not segment.name.startswith("Z"):
            strangers.append(segment)
        shape = next((shape for shape in anywhere if segment.name in shape.begins), None)
        if shape is not None:
            del stack[1:]
            _opened(segment, stack, shape)
        else:
            stack[-1].segments.append(segment)
    return root, strangers


def _placed(segment: Segment, stack: list[Group]) -> bool:
    """Puts a segment into the innermost group that takes it; closes the groups inside that one."""
    name = segment.name
    for depth in range(len(stack) - 1, -1, -1):
        group = stack[depth]
        repeats = group.shape.segments.get(name)
        if repeats or (repeats is False and _has_room(group, name)):
            del stack[depth + 1 :]
            group.segments.append(segment)
            return True
        for shape in group.shape.groups:
            if name in shape.begins:
                del stack[depth + 1 :]
                _opened(segment, stack, shape)
                return True
    return False


def _has_room(group: Group, name: str) -> bool:
    """For a segment that stands once. One that begins the group comes before the subgroups that the table has behind
    it: ORC after OBX is the next order's, OBR after TQ1 is not."""
    if group.first(name) is not None:
        return False
    place = group.shape.begins_at.get(name)
    return place is None or all(group.shape.groups.index(inner.shape) < place for inner in group.groups)


def _opened(segment: Segment, stack: list[Group], shape: Shape | None) -> None:
    while shape is not None:
        made = Group(shape)
        stack[-1].groups.append(made)
        stack.append(made)
        shape = shape.begins[segment.name]
    stack[-1].segments.append(segment)


# -------------------------------------------------------------------------------------------- the table
@cache
def shapes() -> dict[str, Shape]:
    """The structures of tables/structures.txt. Raises ValueError for a line that cannot be read."""
    text = (files("adapters.hl7v2") / "tables" / "structures.txt").read_text("utf-8")
    macros: dict[str, str] = {}
    found: dict[str, Shape] = {}
    for line in text.splitlines():
        name, colon, grammar = (part.strip() for part in line.partition(":"))
        if not name or name.startswith("#"):
            continue
        if not colon:
            raise ValueError(f"structures.txt: {line!r} has no colon")
        if name.startswith("$"):
            macros[name[1:]] = grammar
        else:
            found[name] = _read(name, _expanded(grammar, macros))
    return found


def _expanded(grammar: str, macros: dict[str, str]) -> str:
    while "$" in grammar:
        grammar = re.sub(r"\$([A-Z_]+)", lambda found: macros[found[1]], grammar)
    return grammar


def _read(name: str, grammar: str) -> Shape:
    root = Shape(name, begun=True)  # nothing opens the message but the message
    stack = [root]
    at = 0
    while at < len(grammar):
        if grammar[at].isspace():
            at += 1
            continue
        token = _TOKEN.match(grammar, at)
        if token is None:
            raise ValueError(f"structures.txt: {name}: cannot read {grammar[at : at + 20]!r}")
        at = token.end()
        if token["group"]:
            shape = Shape(token["group"])
            stack[-1].groups.append(shape)
            stack.append(shape)
        elif token["stop"]:
            stack[-1].begun = True
        elif token["end"]:
            inner = stack.pop()
            if not stack:
                raise ValueError(f"structures.txt: {name}: a bracket too many")
            _begins(stack[-1], inner)
        else:
            outer = stack[-1]
            outer.segments[token["segment"]] = "*" in token["marks"]
            if not outer.begun:
                outer.begins.setdefault(token["segment"], None)
                outer.begins_at[token["segment"]] = len(outer.groups)
                outer.begun = "!" in token["marks"]
    if len(stack) != 1:
        raise ValueError(f"structures.txt: {name}: a group is not closed")
    return root


def _begins(outer: Shape, inner: Shape) -> None:
    """A group that may stand first lets its own beginnings open the outer one."""
    if not outer.begun:
        for segment in inner.begins:
            outer.begins.setdefault(segment, inner)
