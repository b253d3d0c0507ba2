"""Finds the spans of speech in sound, by its energy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sandbox.vendors.encodings import Samples

FULL_SCALE = 32768.0


@dataclass(frozen=True, slots=True)
class Span:
    """A span of sound, from its first to its last loud sample, in seconds on the listener's clock."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """The length of the span."""
        return self.end - self.start


class SpanDetector:
    """Finds the spans of speech in sound that arrives in pieces, each with the time of its first sample.

    A window of 10 ms is loud when its level is above the threshold; a span begins and ends with the first and last
    sample above it. Loud windows less than ``gap_seconds`` apart belong to one span.
    """

    def __init__(self, sample_rate: int, *, threshold_dbfs: float = -45.0, gap_seconds: float = 0.25) -> None:
        self._rate = sample_rate
        self._window = round(sample_rate * 0.01)
        self._threshold = FULL_SCALE * 10 ** (threshold_dbfs / 20)
        self._gap = gap_seconds
        self._rest: Samples = np.empty(0, dtype=np.int16)
        self._rest_at = 0.0
        self._spans: list[Span] = []

    @property
    def spans(self) -> tuple[Span, ...]:
        """All spans so far; the last one may still grow."""
        return tuple(self._spans)

    @property
    def last(self) -> Span | None:
        """The latest span; it may still grow."""
        return self._spans[-1] if self._spans else None

    def utterance(self, gap_seconds: float) -> Span | None:
        """The latest span together with those before it that are less than ``gap_seconds`` apart."""
        if not self._spans:
            return None
        start, end = self._spans[-1].start, self._spans[-1].end
        for earlier in reversed(self._spans[:-1]):
            if start - earlier.end >= gap_seconds:
                break
            start = earlier.start
        return Span(start, end)

    def feed(self, at: float, samples: Samples) -> None:
        """Process sound whose first sample was heard at ``at``; pieces come in order."""
        continues = abs(at - self._rest_at - len(self._rest) / self._rate) < 1 / self._rate
        if not continues:
            self.flush()
            self._rest_at = at
        sound = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        whole = len(sound) // self._window * self._window
        if whole:
            self._judge(self._rest_at, sound[:whole].reshape(-1, self._window))
        self._rest = sound[whole:]
        self._rest_at += whole / self._rate

    def flush(self) -> None:
        """Judge an unfinished window: no more sound follows it directly."""
        if len(self._rest):
            self._judge(self._rest_at, self._rest.reshape(1, -1))
            self._rest_at += len(self._rest) / self._rate
            self._rest = self._rest[:0]

    def _judge(self, at: float, windows: Samples) -> None:
        """``windows`` has the shape (windows, samples)."""
        values = windows.astype(np.float32)
        loud = (np.einsum("ij,ij->i", values, values) > self._threshold**2 * windows.shape[1]).nonzero()[0]
        for run in self._runs(loud):
            first, last = int(run[0]), int(run[-1])
            onset = first * self._window + int((np.abs(values[first]) >= self._threshold).argmax())
            quiet_tail = int((np.abs(values[last][::-1]) >= self._threshold).argmax())
            offset = last * self._window + len(values[last]) - quiet_tail
            self._add(Span(at + onset / self._rate, at + offset / self._rate))

    def _runs(self, loud: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """The indices of loud windows, split where a gap is possible; :meth:`_add` decides by the samples."""
        step = self._gap * self._rate / self._window
        if not loud.size:
            return []
        if loud[-1] - loud[0] < step:
            return [loud]
        return np.split(loud, (np.diff(loud) >= step).nonzero()[0] + 1)

    def _add(self, span: Span) -> None:
        if self._spans and self._in_samples(span.start - self._spans[-1].end) < self._in_samples(self._gap):
            self._spans[-1] = Span(self._spans[-1].start, span.end)
        else:
            self._spans.append(span)

    def _in_samples(self, seconds: float) -> int:
        """Seconds as whole samples; rounded, because a sum of many small steps is slightly off."""
        return round(seconds * self._rate)


def spans_of(samples: Samples, sample_rate: int) -> tuple[Span, ...]:
    """The spans of a whole recording, in seconds since its first sample."""
    detector = SpanDetector(sample_rate)
    detector.feed(0.0, samples)
    detector.flush()
    return detector.spans


def trimmed(samples: Samples, sample_rate: int) -> Samples:
    """The recording from its first to its last loud sample; empty when it has none."""
    spans = spans_of(samples, sample_rate)
    if not spans:
        return samples[:0]
    return samples[round(spans[0].start * sample_rate) : round(spans[-1].end * sample_rate)]
