"""The report of a simulated call, as measured at the caller's end of the line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from wave import open as open_wave

import numpy as np

from sandbox.caller.earpiece import Piece
from sandbox.caller.media_format import MediaFormat
from sandbox.caller.span_detector import Span
from sandbox.vendors.encodings import Samples


@dataclass(frozen=True, slots=True)
class Utterance:
    """A sound the caller made. Times are seconds since ``ready``, of its first and last loud sample."""

    step: int
    """The number of its step in the score, from 1."""
    kind: str
    """``says``, ``interrupts``, ``backchannels`` or ``coughs``."""
    text: str
    """Empty for a cough."""
    started_at: float
    ended_at: float
    agent_stopped_at: float | None
    """When the agent, speaking as it began, fell silent for 0.25 s or more; None: the agent was not speaking."""
    answered_at: float | None
    """When the agent began to speak after it and before the next utterance; None for a backchannel or a cough."""

    @property
    def agent_stopped_after(self) -> float | None:
        """Seconds from the utterance's first sample until the caller heard the agent fall silent."""
        return None if self.agent_stopped_at is None else self.agent_stopped_at - self.started_at

    @property
    def answered_after(self) -> float | None:
        """Seconds from the utterance's last sample to the agent's first."""
        return None if self.answered_at is None else self.answered_at - self.ended_at


@dataclass(frozen=True, slots=True)
class StepTimes:
    """When a step of the score began and ended, in seconds since ``ready``."""

    step: int
    kind: str
    started_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class Cleared:
    """The agent's side asked to discard what was not played."""

    at: float
    """Seconds since ``ready``."""
    played_samples: int
    """Agent samples played since ``ready``."""


@dataclass(frozen=True, slots=True)
class Lateness:
    """How much later than planned the caller's frames left, in seconds."""

    p50: float
    p99: float
    maximum: float


@dataclass(frozen=True, slots=True)
class CallReport:
    """A call as the caller heard it. Times are seconds since ``ready`` unless stated otherwise."""

    score: str
    call_id: str
    format: MediaFormat
    ready_at: float
    """The event loop's clock (CLOCK_MONOTONIC) at ``ready``; add it to any other time to get that clock's time."""
    ended_at: float
    ended_by: str
    """``agent`` or ``caller``."""
    end_reason: str | None
    """The reason the service gave; None: it gave none, the socket just closed."""
    close_code: int | None
    completed: bool
    """False when the agent ended the call before the score had said and done everything."""
    steps: tuple[StepTimes, ...]
    utterances: tuple[Utterance, ...]
    said: tuple[Piece, ...]
    """The caller's sound without the line's noise."""
    heard: tuple[Piece, ...]
    """The agent's sound as it was played to the caller, including silence, without cleared sound."""
    agent_spans: tuple[Span, ...]
    """The spans in which the agent spoke audibly; pauses shorter than 0.25 s belong to a span."""
    arrivals: tuple[float, ...]
    """When the first audio after a silence arrived."""
    received_samples: int
    played_samples: int
    clears: tuple[Cleared, ...]
    events: tuple[dict[str, Any], ...]
    """Journal rows, in the order of their arrival."""
    lateness: Lateness

    @property
    def caller_spans(self) -> tuple[Span, ...]:
        """The spans in which the caller was audible."""
        return tuple(Span(utterance.started_at, utterance.ended_at) for utterance in self.utterances)

    @property
    def responses(self) -> tuple[float, ...]:
        """For each utterance that was answered: seconds from its last sample to the agent's first audible one."""
        waits = (utterance.answered_after for utterance in self.utterances)
        return tuple(wait for wait in waits if wait is not None)

    def write_wav(self, path: Path) -> None:
        """Write the call as stereo: the caller left, what they heard right, t = 0 at ``ready``."""
        length = max(round(self.ended_at * self.format.sample_rate), self._end_of(self.said), self._end_of(self.heard))
        stereo = np.zeros((length, 2), dtype=np.int16)
        self._lay(stereo[:, 0], self.said)
        self._lay(stereo[:, 1], self.heard)
        with open_wave(str(path), "wb") as wav:
            wav.setnchannels(2)
            wav.setsampwidth(2)
            wav.setframerate(self.format.sample_rate)
            wav.writeframes(stereo.astype("<i2", copy=False).tobytes())

    def _end_of(self, pieces: Sequence[Piece]) -> int:
        return max((self._sample(piece.at) + len(piece.samples) for piece in pieces), default=0)

    def _sample(self, at: float) -> int:
        return max(round(at * self.format.sample_rate), 0)

    def _lay(self, channel: Samples, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            first = self._sample(piece.at)
            channel[first : first + len(piece.samples)] = piece.samples


def utterance_heard(step: int, kind: str, text: str, span: Span, agent: Sequence[Span], until: float) -> Utterance:
    """An utterance and the agent's reaction to it; ``until`` is when the caller's next utterance began."""
    stopped = next((other.end for other in agent if other.start <= span.start < other.end), None)
    answers = (other.start for other in agent if span.end <= other.start < until)
    answered = next(answers, None) if kind in ("says", "interrupts") else None
    return Utterance(step, kind, text, span.start, span.end, stopped, answered)


def lateness_of(seconds: Sequence[float]) -> Lateness:
    """The distribution of the delays of the frames sent."""
    if not seconds:
        return Lateness(0.0, 0.0, 0.0)
    p50, p99, maximum = np.percentile(np.asarray(seconds), (50, 99, 100))
    return Lateness(float(p50), float(p99), float(maximum))
