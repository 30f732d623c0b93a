"""MLLP frames in a stream of bytes: <VT> message <FS><CR>, however the bytes are cut. No time, no connection."""

from typing import Literal, NamedTuple

VT, FS, CR = b"\x0b", b"\x1c", b"\r"


class Piece(NamedTuple):
    """What the framer found: a whole frame, one that has no end, or one that is too long (its beginning)."""

    kind: Literal["frame", "broken", "too-long"]
    content: bytes


class Framer:
    """Bytes in, frames out. Knows no time and no connection."""

    def __init__(self, frame_bytes: int) -> None:
        self._max = frame_bytes
        self._buffer = bytearray()
        self._searched = 0  # bytes of the buffer without a VT or FS
        self.inside = False

    @property
    def pending(self) -> bytes:
        """Bytes that are no whole frame yet, without white space around frames."""
        return bytes(self._buffer) if self.inside else bytes(self._buffer).strip()

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Piece]:
        self._buffer += data
        pieces = []
        while (piece := self._next()) is not None:
            if piece.content or piece.kind == "too-long":
                pieces.append(piece)
            if piece.kind == "too-long":
                break
        return pieces

    def _next(self) -> Piece | None:
        if not self.inside:
            start = self._buffer.find(VT)
            if start < 0:
                if not self._buffer.strip():
                    self._buffer.clear()
                return self._overflow()
            del self._buffer[: start + 1]
            self.inside, self._searched = True, 0
        end, again = self._buffer.find(FS, self._searched), self._buffer.find(VT, self._searched)
        self._searched = len(self._buffer)
        if again >= 0 and (end < 0 or again < end):
            return self._take("broken", again)
        if end >= 0:
            self.inside = False
            return self._take("frame", end) if end <= self._max else self._overflow()
        return self._overflow()

    def _take(self, kind: Literal["frame", "broken"], end: int) -> Piece:
        content = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return Piece(kind, content)

    def _overflow(self) -> Piece | None:
        return Piece("too-long", bytes(self._buffer)) if len(self._buffer) > self._max else None
