"""Delimiters and escape sequences of one message: what MSH-1 and MSH-2 say."""

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Delimiters:
    """MSH-1 and MSH-2. '' = the sender does not use this delimiter (MSH-2 may be shorter than four characters)."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @classmethod
    def of(cls, header: str) -> "Delimiters":
        """Those of a segment that begins with MSH, FHS or BHS and at least a field separator."""
        field = header[3]
        encoding = header[4:].split(field, 1)[0][:5]
        return cls(field, *(encoding[i : i + 1] for i in range(5)))

    @property
    def encoding(self) -> str:
        """MSH-2."""
        return self.component + self.repetition + self.escape + self.subcomponent + self.truncation


class Escapes:
    r"""The escape sequences of one message: \F\ \S\ \T\ \R\ \E\ \P\ \.br\ \.sp\ \H\ \N\ and \X..\ in its charset.

    What is not known (\Cxxyy\, \Z..\, a lone escape character) stays as it was written.
    """

    def __init__(self, delimiters: Delimiters, charset: str) -> None:
        self._escape, self._charset = delimiters.escape, charset
        self._plain = {
            "F": delimiters.field,
            "S": delimiters.component,
            "T": delimiters.subcomponent or "&",
            "R": delimiters.repetition,
            "E": delimiters.escape,
            "P": delimiters.truncation or "#",
            "H": "",
            "N": "",
        }
        mark = re.escape(delimiters.escape)
        self._pattern = re.compile(f"{mark}([^{mark}]*){mark}") if mark else None
        in_use = {
            "F",
            "S",
            "R",
            "E",
            *("T" if delimiters.subcomponent else ""),
            *("P" if delimiters.truncation else ""),
        }
        self._codes = {value: code for code, value in self._plain.items() if code in in_use}
        self._special = re.compile("[" + re.escape("".join(self._codes)) + "\r\n]")

    def decode(self, text: str) -> str:
        if not self._escape or self._escape not in text or self._pattern is None:
            return text
        out, at = [], 0
        while (match := self._pattern.search(text, at)) is not None:
            meaning = self._meaning(match[1])
            out.append(text[at : match.start()])
            if meaning is None:  # not a sequence: the second escape character may begin one
                out.append(text[match.start() : match.end() - 1])
                at = match.end() - 1
            else:
                out.append(meaning)
                at = match.end()
        return "".join(out) + text[at:]

    def encode(self, text: str) -> str:
        """Text that decodes to itself; line ends become \\.br\\, for a segment cannot hold them."""
        if not self._escape:
            return re.sub(r"[\r\n]+", " ", text)
        text = text.replace("\r\n", "\n")
        return self._special.sub(lambda m: f"{self._escape}{self._codes.get(m[0], '.br')}{self._escape}", text)

    def _meaning(self, sequence: str) -> str | None:
        plain = self._plain.get(sequence)
        if plain is not None:
            return plain
        if sequence in (".br", ".ce") or re.fullmatch(r"\.sp\d*", sequence):
            return "\n" * int(sequence[3:] or 1) if sequence.startswith(".sp") else "\n"
        if re.fullmatch(r"\.(fi|nf|in[+-]?\d+|ti[+-]?\d+|sk\d*)", sequence):
            return " " if sequence.startswith(".sk") else ""
        if re.fullmatch(r"X([0-9A-Fa-f]{2})+", sequence):
            try:
                return bytes.fromhex(sequence[1:]).decode(self._charset)
            except UnicodeDecodeError:
                return None
        return None


@lru_cache(maxsize=256)
def escapes_of(delimiters: Delimiters, charset: str) -> Escapes:
    """The escapes of messages with these delimiters: senders keep to theirs."""
    return Escapes(delimiters, charset)
