"""What a worker and the writing process say to each other over a unix socket: messages as msgpack, each behind its
length. Both ends are this program in the same version, started by one command."""

import asyncio
from collections.abc import Sequence

import msgspec

from server import errors
from server.errors import Issue, TiercareError
from server.keys import Adoption, Claimed, Holding, Reentry, Removal, StaleWrite, Write

_LENGTH = 4  # bytes in front of a message


class _Message(msgspec.Struct, tag_field="what", array_like=True):
    pass


class Commit(_Message, tag="commit"):
    writes: Sequence[Write]
    number: int = 0  # the question's, in this connection


class Reindex(_Message, tag="reindex"):
    entries: Sequence[Reentry]
    number: int = 0


class Adopt(_Message, tag="adopt"):
    adoptions: Sequence[Adoption]
    holdings: Sequence[Holding]
    number: int = 0


class Expunge(_Message, tag="expunge"):
    removals: Sequence[Removal]
    writes: Sequence[Write]
    number: int = 0


class Done(_Message, tag="done"):
    """`made`: version number and stamp of each write; the bodies follow from them and the drafts."""

    number: int
    made: list[tuple[int, int]] = []
    count: int = 0


class Stale(_Message, tag="stale"):
    number: int
    type: str
    id: str
    current: int


class Held(_Message, tag="held"):
    number: int
    claim: str
    holder: str


class Failed(_Message, tag="failed"):
    """An error of the tree (errors.py) by its name; '' for a mistake of the program, which the writer has logged."""

    number: int
    name: str
    issues: list[Issue]


Question = Commit | Reindex | Adopt | Expunge
Answer = Done | Stale | Held | Failed
_encoder = msgspec.msgpack.Encoder()
_questions: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
_answers: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def write(stream: asyncio.StreamWriter, message: Question | Answer) -> None:
    body = _encoder.encode(message)
    stream.write(len(body).to_bytes(_LENGTH, "big") + body)


async def read_question(stream: asyncio.StreamReader) -> Question:
    """Raises asyncio.IncompleteReadError or OSError when the other side is gone."""
    return _questions.decode(await _frame(stream))


async def read_answer(stream: asyncio.StreamReader) -> Answer:
    return _answers.decode(await _frame(stream))


async def _frame(stream: asyncio.StreamReader) -> bytes:
    return await stream.readexactly(int.from_bytes(await stream.readexactly(_LENGTH), "big"))


def failure(number: int, error: BaseException) -> Stale | Held | Failed:
    """The answer that carries an error over."""
    match error:
        case StaleWrite():
            return Stale(number, error.type, error.id, error.current)
        case Claimed():
            return Held(number, error.claim, error.holder)
        case TiercareError():
            return Failed(number, type(error).__name__, error.issues)
    return Failed(number, "", [])


def error_of(answer: Stale | Held | Failed) -> Exception:
    match answer:
        case Stale():
            return StaleWrite(answer.type, answer.id, answer.current)
        case Held():
            return Claimed(answer.claim, answer.holder)
    found = getattr(errors, answer.name, None)
    if isinstance(found, type) and issubclass(found, TiercareError):
        return found(answer.issues)
    return RuntimeError("the writing process made a mistake; it has logged it")
