"""Writing from a worker that does not write itself: every commit goes to the writing process and comes back durable.

One connection, many commits under way: the writer makes its batches of all workers' commits together.
"""

import asyncio
import itertools
from collections.abc import Sequence

from server.errors import Unavailable
from server.keys import Adoption, Holding, Reentry, Removal, Version, Write
from server.store.sqlite import frames

_AWAY = "the writing process is being started again: nothing was written, try again"
_LOST = "the writing process went away during the write: it may have happened or not, read before you repeat it"


class Forwarder:
    """What `Writer` is in the writing process. `socket` is a path of the file system."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._line: _Line | None = None
        self._connecting = asyncio.Lock()
        self._closed = False

    async def commit(self, writes: Sequence[Write]) -> list[Version]:
        done = await self._ask(frames.Commit(writes))
        return [_made(write, *made) for write, made in zip(writes, done.made, strict=True)]

    async def reindex(self, entries: Sequence[Reentry]) -> int:
        return (await self._ask(frames.Reindex(entries))).count

    async def adopt(self, adoptions: Sequence[Adoption], holdings: Sequence[Holding]) -> None:
        await self._ask(frames.Adopt(adoptions, holdings))

    async def expunge(self, removals: Sequence[Removal], writes: Sequence[Write]) -> list[Version]:
        done = await self._ask(frames.Expunge(removals, writes))
        return [_made(write, *made) for write, made in zip(writes, done.made, strict=True)]

    async def close(self) -> None:
        """Lets commits under way finish."""
        self._closed = True
        if self._line is not None:
            await self._line.close()

    def release(self) -> None:
        pass  # the file is the writing process's

    async def _ask(self, question: frames.Question) -> frames.Done:
        if self._closed:
            raise Unavailable("the store is closing")
        answer = await (await self._connected()).ask(question)
        if isinstance(answer, frames.Done):
            return answer
        raise frames.error_of(answer)

    async def _connected(self) -> "_Line":
        if self._line is None or self._line.lost:
            async with self._connecting:
                if self._line is None or self._line.lost:
                    try:
                        self._line = _Line(*await asyncio.open_unix_connection(self._socket))
                    except OSError as error:
                        raise Unavailable(_AWAY) from error
        return self._line


def _made(write: Write, number: int, stamp: int) -> Version:
    body = write.draft.at(number, stamp) if write.draft else b""
    return Version(write.type, write.id, number, stamp, write.method, body)


class _Line:
    """One connection to the writing process, until it is lost."""

    def __init__(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        self.lost = False
        self._in, self._out = incoming, outgoing
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[frames.Answer]] = {}
        self._listening = asyncio.create_task(self._listen())

    async def ask(self, question: frames.Question) -> frames.Answer:
        question.number = number = next(self._numbers)
        future: asyncio.Future[frames.Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            frames.write(self._out, question)
            await self._out.drain()
            return await future
        except OSError as error:
            raise Unavailable(_LOST) from error
        finally:
            self._waiting.pop(number, None)

    async def _listen(self) -> None:
        try:
            while True:
                answer = await frames.read_answer(self._in)
                future = self._waiting.get(answer.number)
                if future is not None and not future.done():
                    future.set_result(answer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.lost = True
            self._out.close()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(Unavailable(_LOST))

    async def close(self) -> None:
        await asyncio.gather(*self._waiting.values(), return_exceptions=True)
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
