"""From a received message to its answer: convert, deliver, acknowledge after the server's commit. For the listeners."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import datetime
from weakref import WeakValueDictionary

from adapters.contract import Parsed, Problem
from adapters.delivery import Delivery, Target
from adapters.hl7v2 import ADAPTER
from adapters.hl7v2.ack import acknowledge, answer_code, is_acknowledgment
from adapters.hl7v2.message import Message
from adapters.hl7v2.parse import CONTENT_TYPE
from adapters.hl7v2.parse import parse as parse_messages
from adapters.runner import Conversion, convert, now


class Receiver:
    """Answers HL7 v2 messages on behalf of a FHIR server.

    Messages of one patient are delivered one after another, whatever connections they come by; others in parallel.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def handle(self, content: bytes) -> bytes:
        """The ACK of the content; several messages in it give several ACKs, one after another, in their order.

        b'' when there is nothing to answer (the content is itself an ACK). Raises nothing that is the sender's fault.
        """
        conversions = await asyncio.to_thread(convert, content, "", ADAPTER, now())
        answers = [await self._one(conversion) for conversion in conversions]
        return b"".join(answers)

    async def refuse(self, content: bytes, reason: str, keep: bool) -> bytes:
        """The AE of bytes that are no whole message, for this reason; `keep` stores them as raw message."""
        problem = Problem("error", "structure", reason, line=1)
        parsed = parse_messages(content)[0]
        message = parsed.record
        if keep and content.strip():
            broken = Parsed(content, CONTENT_TYPE, None, [problem])
            recorded = now()
            transaction = ADAPTER.bundle(broken, None, [problem], recorded)
            conversion = Conversion(ADAPTER, broken, None, [problem], transaction, recorded)
            delivery = await asyncio.to_thread(self._target.deliver, conversion)
            if delivery.status == "again":
                return _answer(message, [problem, *delivery.problems], again=True)
        return _answer(message, [problem], again=False)

    async def _one(self, conversion: Conversion) -> bytes:
        message = conversion.parsed.record
        if isinstance(message, Message) and is_acknowledgment(message):
            return b""
        subject = conversion.mapped.subject if conversion.mapped else ""
        turn = self._turns.setdefault(subject, asyncio.Lock()) if subject else asyncio.Lock()
        async with turn:
            delivery: Delivery = await asyncio.to_thread(self._target.deliver, conversion)
        if delivery.status == "again":
            return _answer(message, delivery.problems, again=True)
        return _answer(message, [*conversion.problems, *delivery.problems], again=False)


def _answer(message: Message | None, problems: Sequence[Problem], again: bool) -> bytes:
    at = datetime.now().astimezone().strftime("%Y%m%d%H%M%S%z")
    return acknowledge(message, answer_code(problems, again), problems, at, uuid.uuid4().hex[:20])
