"""Reads the Dockerfile and the gateway's configuration, as far as tests look at them."""

import json
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Instruction(NamedTuple):
    """`words` are the JSON array's when one is given, else the text split at white space. `stage` counts from 0."""

    name: str
    words: list[str]
    stage: int


def instructions(path: Path = ROOT / "Dockerfile") -> list[Instruction]:
    """Every instruction in order, continued lines joined, comments left out."""
    kept = [line for line in path.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n", " ", "\n".join(kept))
    found, stage = [], -1
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, _, rest = line.partition(" ")
        stage += name == "FROM"
        found.append(Instruction(name, _words(rest.strip()), stage))
    return found


def _words(text: str) -> list[str]:
    return [str(word) for word in json.loads(text)] if text.startswith("[") else text.split()


class Copy(NamedTuple):
    """A COPY from the checkout: paths in it, and where they go."""

    sources: list[str]
    target: str
    stage: int


def copies(read: list[Instruction]) -> list[Copy]:
    plain = [one for one in read if one.name == "COPY" and not one.words[0].startswith("--from")]
    return [Copy(one.words[:-1], one.words[-1], one.stage) for one in plain]


def last(read: list[Instruction], name: str) -> list[str]:
    """The words of the instruction that counts: the last one of its name in the last stage."""
    final = max(one.stage for one in read)
    return [one for one in read if one.name == name and one.stage == final][-1].words


# ------------------------------------------------------------------------------------------------- nginx.conf
class Directive(NamedTuple):
    """`block` is None for a simple directive (`listen 8080;`)."""

    name: str
    arguments: list[str]
    block: list["Directive"] | None


_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<mark>[{};])|(?P<word>[^\s{};"']+)"""
)


def nginx(text: str) -> list[Directive]:
    """The directives of a configuration. Raises ValueError naming the line where it is no configuration."""
    tokens, at = [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"line {text.count(chr(10), 0, at) + 1}: a quote without end")
        if found["mark"] or found["word"] or found["quoted"]:
            line = text.count("\n", 0, found.start()) + 1
            tokens.append((found["mark"] or "", found["word"] or (found["quoted"] or "")[1:-1], line))
        at = found.end()
    read, rest = _block(tokens, 0, 0)
    assert rest == len(tokens)
    return read


def _block(tokens: list[tuple[str, str, int]], at: int, depth: int) -> tuple[list[Directive], int]:
    directives: list[Directive] = []
    words: list[str] = []
    while at < len(tokens):
        mark, word, line = tokens[at]
        at += 1
        if not mark:
            words.append(word)
            continue
        if mark == "}":
            if words or not depth:
                raise ValueError(f"line {line}: '}}' comes " + ("before ';'" if words else "without '{'"))
            return directives, at
        if not words:
            raise ValueError(f"line {line}: '{mark}' without a directive")
        inner = None
        if mark == "{":
            inner, at = _block(tokens, at, depth + 1)
        directives.append(Directive(words[0], words[1:], inner))
        words = []
    if words or depth:
        raise ValueError(f"line {tokens[-1][2]}: the end comes before " + ("';'" if words else "'}'"))
    return directives, at
