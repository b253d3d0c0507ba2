"""A leg in memory, whose far end plays like a telephone: with a delay, a jitter buffer, and sample by sample."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.calls.live.session import CallOrchestrator
from media.formats import AudioFormat

TELEPHONE = AudioFormat("pcm_s16le", 8000)


@dataclass
class Stretch:
    """Sound that is played without a break."""

    begins: float
    """When its first sample is played, on the loop's clock."""
    audio: bytearray = field(default_factory=bytearray)


class JitterBuffer:
    """What has arrived is played ``buffer_seconds`` later, in real time, until it is thrown away."""

    def __init__(self, audio_format: AudioFormat, buffer_seconds: float) -> None:
        self._format = audio_format
        self._buffer_seconds = buffer_seconds
        self.stretches: list[Stretch] = []

    def receive(self, audio: bytes, now: float) -> None:
        if not self.stretches or self._played_of(self.stretches[-1], now) >= len(self.stretches[-1].audio):
            self.stretches.append(Stretch(now + self._buffer_seconds))
        self.stretches[-1].audio += audio

    def clear(self, now: float) -> None:
        if self.stretches:
            last = self.stretches[-1]
            del last.audio[self._played_of(last, now) :]

    def ends_at(self, now: float) -> float:
        """When everything that has arrived will have been played."""
        if not self.stretches:
            return now
        last = self.stretches[-1]
        return max(now, last.begins + self._format.seconds(bytes(last.audio)))

    def played(self, now: float) -> bytes:
        return b"".join(bytes(stretch.audio[: self._played_of(stretch, now)]) for stretch in self.stretches)

    def _played_of(self, stretch: Stretch, now: float) -> int:
        """In bytes."""
        samples = int((now - stretch.begins) * self._format.sample_rate + 1e-6)
        return min(len(stretch.audio), max(0, samples) * self._format.sample_bytes)


@dataclass(frozen=True)
class Sent:
    """Something that the call gave to the leg."""

    at: float
    """On the loop's clock."""
    what: str
    """``audio``, ``clear``, ``mark`` or ``end``."""
    value: Any = None


class OneWay:
    """One direction of a line: everything arrives after the same delay, in order."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._last_due = 0.0
        self._loop = asyncio.get_running_loop()

    def carry(self, act: Callable[[], None]) -> None:
        self._last_due = max(self._loop.time() + self._delay, self._last_due + 1e-9)
        self._loop.call_at(self._last_due, act)


class FarEnd:
    """A leg, the line behind it and the telephone at its end; it keeps what was sent and what was really heard."""

    output_latency_seconds = 0.0

    def __init__(
        self,
        *,
        audio_format: AudioFormat = TELEPHONE,
        delay: float = 0.02,
        buffer: float = 0.0,
        answers_clear: bool = True,
        echoes_marks: bool = True,
        wants_events: bool = False,
        can_send_digits: bool = False,
    ) -> None:
        """``delay`` in seconds, each way."""
        self.audio_format = audio_format
        self.wants_events = wants_events
        self.can_send_digits = can_send_digits
        self.sent: list[Sent] = []
        self.rows: list[Mapping[str, Any]] = []
        self.ended: str | None = None
        self.caller: CallOrchestrator | None = None
        self.fails_with: Exception | None = None
        """Raised by hang_up."""
        self._there, self._back = OneWay(delay), OneWay(delay)
        self._answers_clear = answers_clear
        self.echoes_marks = echoes_marks
        self._buffer = JitterBuffer(audio_format, buffer)
        self._clears = 0
        self._loop = asyncio.get_running_loop()

    @property
    def heard(self) -> bytes:
        """All that was played so far."""
        return self._buffer.played(self._loop.time())

    @property
    def heard_samples(self) -> int:
        return self.audio_format.samples(self.heard)

    @property
    def stretches(self) -> list[Stretch]:
        """Of sound without a break."""
        return [stretch for stretch in self._buffer.stretches if stretch.audio]

    @property
    def first_heard_at(self) -> list[float]:
        """When each stretch of sound began, on the loop's clock."""
        return [stretch.begins for stretch in self.stretches]

    def sends_of(self, what: str) -> list[Sent]:
        return [sent for sent in self.sent if sent.what == what]

    # The leg, as the call sees it.

    async def answer(self, call_id: str) -> None:
        self._note("answer", call_id)

    def send_audio(self, audio: bytes) -> None:
        self._note("audio", audio)
        self._there.carry(lambda: self._buffer.receive(audio, self._loop.time()))

    def send_clear(self) -> None:
        self._note("clear")
        self._there.carry(self._clear)

    def send_mark(self, name: str) -> None:
        self._note("mark", name)
        if self.echoes_marks:
            self._there.carry(lambda: self._mark(name))

    def send_event(self, row: Mapping[str, Any]) -> None:
        self.rows.append(row)

    def send_digits(self, digits: str) -> None:
        self._note("digits", digits)

    async def hang_up(self, reason: str) -> None:
        if self.fails_with is not None:
            raise self.fails_with
        self._note("end", reason)
        self.ended = reason

    # The telephone.

    def _clear(self) -> None:
        now = self._loop.time()
        self._clears += 1
        self._buffer.clear(now)
        if self._answers_clear:
            played = self.audio_format.samples(self._buffer.played(now))
            self._back.carry(lambda: self._call.cleared(played))

    def _mark(self, name: str) -> None:
        clears = self._clears

        def echo() -> None:
            if self._clears == clears:
                self._back.carry(lambda: self._call.mark_played(name))

        self._loop.call_at(self._buffer.ends_at(self._loop.time()), echo)

    @property
    def _call(self) -> CallOrchestrator:
        assert self.caller is not None
        return self.caller

    def _note(self, what: str, value: Any = None) -> None:
        self.sent.append(Sent(self._loop.time(), what, value))
