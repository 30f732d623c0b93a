"""From a received HL7 v2 message to its answer: journalled first, then AA or CA; or AA after the servers' commit.

Original mode (MSH-15 and MSH-16 empty): one answer. `ack = stored`: AA when the message is safe in the journal, AE when
it cannot even be read. `ack = committed`: AA when its destinations have it, AE when it is at fault, AR when it was not
delivered and its sender is to send it again.
Enhanced mode (HL7 v2.5, chapter 2.9.3): CA where original mode has AA or AE, CE where it has AR, if MSH-15 asks for it;
then, if MSH-16 asks for it and the connection is still there, AA, AE or AR when the destinations have answered.
"""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import datetime

from adapters.contract import Parsed, Problem
from adapters.engine.engine import COMMIT_SECONDS, INLINE_BYTES, Arrival, Engine, Outcome
from adapters.engine.journal_file import JournalError
from adapters.hl7v2.ack import acknowledge, answer_code, asked, is_acknowledgment, is_enhanced
from adapters.hl7v2.message import Message
from adapters.hl7v2.parse import parse as parse_messages
from adapters.kit.habits import of_source
from adapters.listeners.mllp import Answer

ADAPTER = "hl7v2"


class Receiver:
    """Answers the HL7 v2 messages of one source of the engine. `enhanced` False: always in original mode, for senders
    who fill MSH-15 and MSH-16 and expect AA all the same."""

    def __init__(
        self, engine: Engine, source: str, commit_seconds: float = COMMIT_SECONDS, enhanced: bool = True
    ) -> None:
        self._engine, self._source, self._seconds, self._may = engine, source, commit_seconds, enhanced

    async def handle(self, content: bytes) -> Answer:
        """The ACK of the content; several messages in it give several ACKs, one after another, in their order.

        b'' when there is nothing to answer (the content is itself an ACK). Raises nothing that is the sender's fault.
        """
        parsed = await self._read(content)
        if all(isinstance(one.record, Message) and is_acknowledgment(one.record) for one in parsed):
            return Answer(b"")
        try:
            arrivals = await self._engine.take(self._source, content, adapter=ADAPTER, parsed=parsed)
        except JournalError as error:
            problem = Problem("error", "transient", f"{error}; send it again")
            return Answer(b"".join(self._first(one.record, [problem], again=True) for one in parsed))
        if self._engine.sources[self._source].ack == "stored":
            now = b"".join(self._first(one.parsed.record, one.parsed.problems, again=False) for one in arrivals)
            promised = [one for one in arrivals if self._enhanced(one.parsed.record) and asked(one.parsed.record, 16)]
            return Answer(now, asyncio.ensure_future(self._later(promised)) if promised else None)
        outcomes = await self._engine.outcomes(arrivals, self._seconds)
        pairs = [(one.parsed.record, outcome) for one, outcome in zip(arrivals, outcomes, strict=True)]
        now = b"".join(self._first(record, _problems(outcome), outcome.again) for record, outcome in pairs)
        then = b"".join(_application(record, outcome) for record, outcome in pairs if self._enhanced(record))
        return Answer(now, _known(then) if then else None)

    async def answer(self, content: bytes) -> bytes:
        """One answer where only one is possible (HTTP): what is said at once, else what is known later."""
        now, later = await self.handle(content)
        if now and later is not None:
            asyncio.ensure_future(later).cancel()  # there is one answer: it is not waited for
        return now or (await later if later is not None else b"")

    async def refuse(self, content: bytes, reason: str, keep: bool) -> bytes:
        """The AE of bytes that are no whole message, for this reason; `keep` puts them into the journal."""
        message = (await self._read(content))[0].record
        problem = Problem("error", "structure", reason, line=1)
        if keep and content.strip():
            try:
                arrivals = await self._engine.take(self._source, content, adapter=ADAPTER, broken=reason)
            except JournalError as error:
                return _answer(message, [Problem("error", "transient", str(error))], again=True)
            if self._engine.sources[self._source].ack == "committed":
                (outcome,) = await self._engine.outcomes(arrivals, self._seconds)
                if outcome.again:
                    return _answer(message, [problem, *outcome.delivery.problems], again=True)
        return _answer(message, [problem], again=False)

    async def _read(self, content: bytes) -> list[Parsed]:
        with of_source(self._engine.sources[self._source].habits):
            if len(content) > INLINE_BYTES:
                return await asyncio.to_thread(parse_messages, content)
            return parse_messages(content)

    def _enhanced(self, message: Message | None) -> bool:
        return self._may and is_enhanced(message)

    def _first(self, message: Message | None, problems: Sequence[Problem], again: bool) -> bytes:
        """What is said first: in enhanced mode whether the message is safe here, if that is asked for."""
        if not self._enhanced(message):
            return _answer(message, problems, again)
        code = "CE" if again else "CA"
        return _answer(message, problems, again, code) if asked(message, 15, code) else b""

    async def _later(self, arrivals: Sequence[Arrival]) -> bytes:
        """The application answers of enhanced mode, when their messages have come to an end."""
        outcomes = [(arrival, await self._engine.ending(arrival)) for arrival in arrivals]
        return b"".join(_application(arrival.parsed.record, outcome) for arrival, outcome in outcomes)


def _problems(outcome: Outcome) -> list[Problem]:
    if outcome.again:
        return outcome.delivery.problems
    return [*(outcome.conversion.problems if outcome.conversion else []), *outcome.delivery.problems]


def _application(message: Message | None, outcome: Outcome) -> bytes:
    """The application answer of enhanced mode, if it is asked for: a message of its own."""
    problems = _problems(outcome)
    code = answer_code(problems, outcome.again)
    return _answer(message, problems, outcome.again, code) if asked(message, 16, code) else b""


async def _known(content: bytes) -> bytes:
    return content


def _answer(message: Message | None, problems: Sequence[Problem], again: bool, code: str = "") -> bytes:
    at = datetime.now().astimezone().strftime("%Y%m%d%H%M%S%z")
    return acknowledge(message, code or answer_code(problems, again), problems, at, uuid.uuid4().hex[:20])
