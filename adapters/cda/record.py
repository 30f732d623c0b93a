"""What parse hands to map: the document as a tree of plain nodes that know their line and their XPath.

Namespaces are gone (documents in the field bind them wrongly), names are local names; the attribute `xsi:type` keeps
its prefix because CDA has `type` attributes of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

TYPE = "xsi:type"


@dataclass(slots=True, eq=False)
class Node:
    """One element. `path` counts from 1 where a name repeats: `recordTarget/patientRole/id[2]`."""

    name: str
    attributes: dict[str, str]
    text: str
    tail: str
    line: int
    path: str
    children: list["Node"] = field(default_factory=list)

    def get(self, attribute: str) -> str:
        """The attribute without surrounding blanks, '' if it is not there."""
        value = self.attributes.get(attribute)
        return value.strip() if value else ""

    def child(self, name: str) -> "Node | None":
        for node in self.children:
            if node.name == name:
                return node
        return None

    def named(self, *names: str) -> list["Node"]:
        """Children with one of these names, in document order."""
        return [node for node in self.children if node.name in names]

    def find(self, path: str) -> "Node | None":
        """The first node at `a/b/c`, trying every branch."""
        return next(self.all(path), None)

    def all(self, path: str) -> Iterator["Node"]:
        """Every node at `a/b/c` below this one."""
        head, _, rest = path.partition("/")
        for node in self.children:
            if node.name == head:
                if rest:
                    yield from node.all(rest)
                else:
                    yield node

    def walk(self) -> Iterator["Node"]:
        """This node and all below it, in document order."""
        pending = [self]
        while pending:
            node = pending.pop()
            yield node
            if node.children:
                pending.extend(reversed(node.children))

    def words(self) -> str:
        """All text in the element, line ends kept, outer blanks dropped."""
        parts = [self.text]
        for node in self.children:
            parts += [node.words(), node.tail]
        return "".join(parts).strip()


@dataclass(frozen=True, slots=True)
class Document:
    """A well-formed ClinicalDocument. `digest` is the hex SHA-256 of the bytes it was read from."""

    root: Node
    digest: str
