"""The caller's audio that may have to be sent again after a reconnect, and the mapping of socket time to stream time.

Positions are samples since the first sample of the whole stream; they do not restart with a new socket.
"""

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

_SEGMENTS_KEPT = 256


@dataclass(frozen=True, slots=True)
class Piece:
    """Audio to send now."""

    start: int
    """The position of its first sample."""
    audio: bytes
    """Whole samples."""


class ReplayBuffer:
    """A bounded buffer: first audio that was sent and not acknowledged, then audio that was not sent yet::

        |-- sent, unacknowledged --|-- unsent --|
        ^ a rewind goes here       ^ next       ^ end

    When it is full, the oldest audio is discarded. Audio that was never sent then counts in ``dropped``; audio that was
    sent merely cannot be replayed.
    """

    def __init__(self, *, sample_bytes: int, capacity: int) -> None:
        """``sample_bytes``: bytes per sample; ``capacity``: in samples."""
        self._sample_bytes = sample_bytes
        self.capacity = capacity
        """The most samples to keep."""
        self._audio = bytearray()
        self._start = 0
        self._next = 0
        self._ever_sent = 0
        self.dropped = 0
        """How many samples were discarded before they were sent."""

    def __repr__(self) -> str:
        return f"<ReplayBuffer {self._start}..{self._next}..{self.end}, dropped {self.dropped}>"

    @property
    def next(self) -> int:
        """The position of the next sample to send."""
        return self._next

    @property
    def end(self) -> int:
        """The position after the last whole sample."""
        return self._start + len(self._audio) // self._sample_bytes

    @property
    def unsent(self) -> int:
        """How many samples wait to be sent."""
        return self.end - self._next

    def append(self, audio: bytes) -> None:
        """Append audio; half a sample at its end waits for its other half."""
        self._audio += audio
        excess = self.end - self._start - self.capacity
        if excess > 0:
            self._forget(excess)

    def take(self, limit: int) -> Piece | None:
        """Take at most ``limit`` unsent samples, which now count as sent; None when there are none."""
        samples = min(limit, self.unsent)
        if samples <= 0:
            return None
        start, offset = self._next, (self._next - self._start) * self._sample_bytes
        self._next += samples
        self._ever_sent = max(self._ever_sent, self._next)
        return Piece(start, bytes(self._audio[offset : offset + samples * self._sample_bytes]))

    def acknowledge(self, position: int) -> None:
        """Discard the audio before ``position``, whose transcript is final; unsent audio stays."""
        done = min(position, self._next) - self._start
        if done > 0:
            self._forget(done)

    def rewind(self) -> None:
        """Start again with the oldest kept sample, for a new socket."""
        self._next = self._start

    def _forget(self, samples: int) -> None:
        del self._audio[: samples * self._sample_bytes]
        end = self._start + samples
        self.dropped += max(0, end - max(self._start, self._ever_sent))
        self._start = end
        self._next = max(self._next, self._start)


class Timeline:
    """Translates the seconds of one socket, which start at 0, into positions of the stream.

    The two diverge where audio was dropped, or where the client inserted silence.
    """

    def __init__(self, *, sample_rate: int) -> None:
        """``sample_rate`` in hertz."""
        self._sample_rate = sample_rate
        self._segments: deque[tuple[int, int, bool]] = deque(maxlen=_SEGMENTS_KEPT)
        self._socket_end = 0
        self._stream_end = 0

    def sent(self, start: int, samples: int) -> None:
        """Note that audio of the stream, from position ``start``, was sent."""
        if not self._segments or not self._segments[-1][2] or start != self._stream_end:
            self._segments.append((self._socket_end, start, True))
        self._socket_end += samples
        self._stream_end = start + samples

    def filled(self, samples: int) -> None:
        """Note that inserted silence was sent."""
        if not self._segments or self._segments[-1][2]:
            self._segments.append((self._socket_end, self._stream_end, False))
        self._socket_end += samples

    @property
    def sent_seconds(self) -> float:
        """How much was sent on the socket, with inserted silence."""
        return self._socket_end / self._sample_rate

    def position(self, socket_seconds: float) -> int:
        """The stream's position at a time of the socket; never beyond what was sent."""
        moment = round(socket_seconds * self._sample_rate)
        index = bisect_right(self._segments, moment, key=lambda segment: segment[0]) - 1
        if index < 0:
            return self._segments[0][1] if self._segments else 0
        socket_start, stream_start, moves = self._segments[index]
        if not moves:
            return stream_start
        limit = self._stream_end
        if index + 1 < len(self._segments):
            limit = stream_start + self._segments[index + 1][0] - socket_start
        return min(stream_start + moment - socket_start, limit)

    def seconds(self, socket_seconds: float) -> float:
        """:meth:`position` in seconds."""
        return self.position(socket_seconds) / self._sample_rate
