"""From bytes to text. The bytes decide, the declared charset is a hint: in the field it is often absent or wrong."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decoded:
    text: str
    charset: str  # utf-8 | gb18030 | iso-8859-1
    warning: str = ""  # why a person should look, '' when all agrees


def decode(content: bytes, declared: str = "") -> Decoded:
    """UTF-8 (a BOM is dropped) if the bytes are UTF-8, else GB18030 (covers GB2312, GBK), else ISO 8859-1 with a warning.

    A declared charset that the bytes contradict gives a warning that names both. Decode first, split after: in GBK
    the bytes of | ^ ~ and backslash are second bytes of ideographs.
    """
    raise NotImplementedError
