"""The writing process's end of the unix socket: takes the commits of the other workers and answers when they are
durable. They queue with its own, so a batch holds the commits of all."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from server.errors import TiercareError
from server.keys import Claimed, StaleWrite, Version
from server.store.sqlite import frames
from server.store.sqlite.writer import Writer

_log = logging.getLogger(__name__)


class Relay:
    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.StreamWriter] = set()
        self._works: set[asyncio.Task[None]] = set()

    async def open(self, socket: str) -> None:
        """`socket`: a path in a folder that only this user may enter; what a killed process left there goes."""
        Path(socket).unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._line, socket)

    async def close(self) -> None:
        """Finishes the commits under way, answers them, then hangs up."""
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*self._works, return_exceptions=True)
        for line in self._lines:
            line.close()

    async def _line(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        self._lines.add(outgoing)
        try:
            while True:
                question = await frames.read_question(incoming)
                work = asyncio.create_task(self._answer(question, outgoing))
                self._works.add(work)
                work.add_done_callback(self._works.discard)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the worker has ended; what it asked for is still carried out
        finally:
            self._lines.discard(outgoing)
            outgoing.close()

    async def _answer(self, question: frames.Question, outgoing: asyncio.StreamWriter) -> None:
        answer: frames.Answer
        try:
            answer = await self._done(question)
        except (StaleWrite, Claimed, TiercareError) as refused:
            answer = frames.failure(question.number, refused)
        except Exception as error:
            _log.exception("a forwarded write failed")
            answer = frames.failure(question.number, error)
        try:
            frames.write(outgoing, answer)
            await outgoing.drain()
        except OSError:
            pass

    async def _done(self, question: frames.Question) -> frames.Done:
        match question:
            case frames.Commit():
                return _made(question.number, await self._writer.commit(question.writes))
            case frames.Reindex():
                return frames.Done(question.number, count=await self._writer.reindex(question.entries))
            case frames.Adopt():
                await self._writer.adopt(question.adoptions, question.holdings)
                return frames.Done(question.number)
            case frames.Expunge():
                return _made(question.number, await self._writer.expunge(question.removals, question.writes))


def _made(number: int, versions: Sequence[Version]) -> frames.Done:
    return frames.Done(number, made=[(version.version, version.stamp) for version in versions])
