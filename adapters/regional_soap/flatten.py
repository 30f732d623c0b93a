"""A V3 message -> cells named by their path, the same for both datatype dialects.

ISO 21090 style writes `id/item@extension`, `name/item/part@value`, `code/displayName@value`; classic style writes
`id@extension`, `name` with text, `code@displayName`. Both become `…/id[root]`, `…/name`, `…/code@code` and
`…/code@display`: `item`, `any` and `part` are no steps of a path. Address parts are `…/addr[STA]` and so on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from lxml import etree

from adapters.regional_soap.envelope import elements, line_of, local, text_of
from adapters.roles.record import Cell

DEPTH = 60
_TRANSPARENT = ("item", "any", "part")
_SILENT = frozenset(
    {
        "classCode", "determinerCode", "typeCode", "moodCode", "codeSystem", "codeSystemName", "codeSystemVersion",
        "type", "use", "contextControlCode", "contextConductionInd", "root", "ITSVersion", "nil", "schemaLocation",
        "operator", "unit", "displayName", "qualifier", "assigningAuthorityName",
    }
)  # fmt: skip
_PREFIX = ("controlActProcess/subject/", "controlActProcess/")


@dataclass(slots=True)
class Flat:
    """Cells by path; `systems`: the code system of a code's path; `groups`: repeating parts."""

    cells: dict[str, Cell] = field(default_factory=dict)
    systems: dict[str, str] = field(default_factory=dict)
    groups: dict[str, list["Flat"]] = field(default_factory=dict)
    line: int = 1

    def put(self, path: str, text: str, line: int) -> str:
        """Adds a cell; a path that is there already gets a number: `…/asOtherIDs/id[…]#2`."""
        name, count = path, 1
        while name in self.cells:
            count += 1
            name = f"{path}#{count}"
        self.cells[name] = Cell(text, line)
        return name


def flatten(root: etree._Element, is_group: Callable[[str], bool]) -> Flat:
    """`is_group` tells by a path that the element repeats with a meaning of its own."""
    flat = Flat(line=line_of(root))
    for child in elements(root):
        _walk(child, local(child), flat, is_group, 0)
    return flat


def _walk(node: etree._Element, path: str, flat: Flat, is_group: Callable[[str], bool], depth: int) -> None:
    if depth > DEPTH:
        return
    short = next((path.removeprefix(prefix) for prefix in _PREFIX if path.startswith(prefix)), path)
    if is_group(short):
        inner = Flat(line=line_of(node))
        flat.groups.setdefault(short, []).append(inner)
        for child in elements(node):
            _walk(child, local(child), inner, lambda _: False, depth + 1)
        return
    _leaf(node, short, flat)
    parts = _parts(node)
    if parts:
        _parts_of(parts, short, flat)
        return
    for child in elements(node):
        name = local(child)
        if name == "displayName":
            continue
        step = path if name in _TRANSPARENT else f"{path}/{name}"
        _walk(child, step, flat, is_group, depth + 1)


def _leaf(node: etree._Element, path: str, flat: Flat) -> None:
    """The element's own values: its attributes, its text."""
    line = line_of(node)
    for name, value in node.attrib.items():
        attribute, value = etree.QName(name).localname, str(value)
        if not value.strip():
            continue
        if attribute == "extension":
            root = node.get("root", "")
            flat.put(f"{path}[{root}]" if root else path, value, line)
        elif attribute == "value":
            flat.put(path, value + (f" {unit}" if (unit := node.get("unit")) else ""), line)
        elif attribute == "code":
            said = flat.put(f"{path}@code", value, line)
            flat.systems[said] = node.get("codeSystem", "")
        elif attribute not in _SILENT:
            flat.put(f"{path}@{attribute}", value, line)
    shown = node.get("displayName", "") or next(
        (child.get("value", "") or text_of(child) for child in elements(node) if local(child) == "displayName"), ""
    )
    if shown.strip():
        flat.put(f"{path}@display", shown, line)
    if text_of(node):
        flat.put(path, text_of(node), line)


def _parts(node: etree._Element) -> list[etree._Element]:
    return [child for child in elements(node) if local(child) == "part"]


def _parts_of(parts: list[etree._Element], path: str, flat: Flat) -> None:
    """Names are one text, address parts one cell each."""
    values = [(part.get("type", ""), (part.get("value") or text_of(part)).strip(), line_of(part)) for part in parts]
    if path.endswith("addr"):
        for type, value, line in values:
            if value:
                flat.put(f"{path}[{type}]" if type else path, value, line)
        return
    joined = "".join(value for _, value, _ in values)
    if joined:
        flat.put(path, joined, values[0][2])
