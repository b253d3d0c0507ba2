"""The caller's audio that a recogniser may have to hear again, and where its seconds lie in the stream.

Positions are samples since the first sample of the whole stream; they never restart when a socket does.
"""

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

_SEGMENTS_KEPT = 256


@dataclass(frozen=True, slots=True)
class Piece:
    """Audio to be sent now."""

    start: int
    """Position of its first sample."""
    audio: bytes
    """Whole samples."""


class ReplayBuffer:
    """A bounded run of audio: first what was sent and not acknowledged, then what was not sent yet.

    When it is full the oldest audio goes. Audio that goes before it was ever sent is counted in ``dropped``; audio
    that was sent once only cannot be sent again.
    """

    def __init__(self, *, sample_bytes: int, capacity: int) -> None:
        """``sample_bytes`` of one sample, ``capacity`` in samples."""
        self._sample_bytes = sample_bytes
        self.capacity = capacity
        """Samples that are kept at most."""
        self._audio = bytearray()
        self._start = 0
        self._next = 0
        self._ever_sent = 0
        self.dropped = 0
        """Samples that were given up and never sent."""

    def __repr__(self) -> str:
        return f"<ReplayBuffer {self._start}..{self._next}..{self.end}, dropped {self.dropped}>"

    @property
    def next(self) -> int:
        """Position of the first sample that is to be sent."""
        return self._next

    @property
    def end(self) -> int:
        """Position after the last whole sample that was appended."""
        return self._start + len(self._audio) // self._sample_bytes

    @property
    def unsent(self) -> int:
        """Samples that wait to be sent."""
        return self.end - self._next

    def append(self, audio: bytes) -> None:
        """Keep the audio; half a sample at its end waits for its other half."""
        self._audio += audio
        excess = self.end - self._start - self.capacity
        if excess > 0:
            self._forget(excess)

    def take(self, limit: int) -> Piece | None:
        """The next unsent audio, at most ``limit`` samples, now counted as sent; None when there is none."""
        samples = min(limit, self.unsent)
        if samples <= 0:
            return None
        start, offset = self._next, (self._next - self._start) * self._sample_bytes
        self._next += samples
        self._ever_sent = max(self._ever_sent, self._next)
        return Piece(start, bytes(self._audio[offset : offset + samples * self._sample_bytes]))

    def acknowledge(self, position: int) -> None:
        """Everything before ``position`` is transcribed for good; what was not sent yet stays."""
        done = min(position, self._next) - self._start
        if done > 0:
            self._forget(done)

    def rewind(self) -> None:
        """A new socket knows nothing: the oldest kept sample is the next to be sent."""
        self._next = self._start

    def _forget(self, samples: int) -> None:
        del self._audio[: samples * self._sample_bytes]
        end = self._start + samples
        self.dropped += max(0, end - max(self._start, self._ever_sent))
        self._start = end
        self._next = max(self._next, self._start)


class Timeline:
    """Translates the seconds of one socket, which start at 0, into seconds of the stream.

    The two run apart where audio was dropped or where silence was put in that the caller never sent.
    """

    def __init__(self, *, sample_rate: int) -> None:
        """``sample_rate`` in hertz."""
        self._sample_rate = sample_rate
        self._segments: deque[tuple[int, int, bool]] = deque(maxlen=_SEGMENTS_KEPT)
        self._socket_end = 0
        self._stream_end = 0

    def sent(self, start: int, samples: int) -> None:
        """Audio of the stream, from position ``start``, went out."""
        if not self._segments or not self._segments[-1][2] or start != self._stream_end:
            self._segments.append((self._socket_end, start, True))
        self._socket_end += samples
        self._stream_end = start + samples

    def filled(self, samples: int) -> None:
        """Silence that is not of the stream went out."""
        if not self._segments or self._segments[-1][2]:
            self._segments.append((self._socket_end, self._stream_end, False))
        self._socket_end += samples

    def position(self, socket_seconds: float) -> int:
        """The stream's position at a moment of the socket; never beyond what was sent."""
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
