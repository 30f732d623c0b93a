"""A narrative `div` inside FHIR XML -> the text that JSON keeps of it: the bytes as they stand where possible
(https://hl7.org/fhir/R4/xml.html, https://hl7.org/fhir/R4/narrative.html)."""

_IN_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_IN_ATTRIBUTES = {**_IN_TEXT, **str.maketrans({'"': "&quot;", "\t": "&#9;", "\n": "&#10;"})}
_XML = "http://www.w3.org/XML/1998/namespace"


class Div:
    """Fed with the events from the start of the div on. Elements with a prefix, or a namespace that is declared further
    out, cannot be cut out: then the text is written anew, with XHTML as the default namespace."""

    def __init__(self, body: bytes, start: int, *, declares_itself: bool) -> None:
        """`start` is the byte of its `<`; declares_itself: it names XHTML as the default namespace."""
        self.depth = 0
        self._body, self._from, self._to = body, start, start
        self._whole = declares_itself
        self._spaces: list[str] = [""]
        self._parts: list[str] = []
        self._open = False  # a start tag that may still become an empty-element tag

    def start(self, tag: str, attributes: list[str]) -> None:
        space, local, prefix = split(tag)
        self._whole = self._whole and not prefix
        self._close()
        self._parts.append(f"<{local}")
        if space != self._spaces[-1]:
            self._parts.append(f' xmlns="{space.translate(_IN_ATTRIBUTES)}"')
        self._spaces.append(space)
        for place in range(0, len(attributes), 2):
            of, name, prefix = split(attributes[place])
            if of == _XML:
                name = f"xml:{name}"
            elif of:
                self._whole = False  # no attribute of XHTML: the validator refuses it by its name
                name = f"{prefix}:{name}"
                self._parts.append(f' xmlns:{prefix}="{of.translate(_IN_ATTRIBUTES)}"')
            self._parts.append(f' {name}="{attributes[place + 1].translate(_IN_ATTRIBUTES)}"')
        self._open = True
        self.depth += 1

    def end(self, tag: str, at: int) -> bool:
        """Whether this was the end of the div itself; `at` is the byte where the end tag begins."""
        empty = self._open
        if empty:
            self._parts.append("/>")
            self._open = False
        else:
            self._parts.append(f"</{split(tag)[1]}>")
        self._spaces.pop()
        self.depth -= 1
        if self.depth:
            return False
        if empty and self._body.endswith(b"/>", 0, at):  # the end of an empty-element tag is reported behind it
            self._to = at
        else:
            self._to = self._body.index(b">", at) + 1
        return True

    def say(self, text: str) -> None:
        self._close()
        self._parts.append(text.translate(_IN_TEXT))

    def comment(self, text: str) -> None:
        self._close()
        self._parts.append(f"<!--{text}-->")

    def text(self) -> str:
        return self._body[self._from : self._to].decode() if self._whole else "".join(self._parts)

    def _close(self) -> None:
        if self._open:
            self._parts.append(">")
            self._open = False


def split(name: str) -> tuple[str, str, str]:
    """Namespace, local name and prefix of a name as expat says it."""
    space, local, prefix = (["", *name.split(" "), ""] if " " not in name else [*name.split(" "), ""])[:3]
    return space, local, prefix
