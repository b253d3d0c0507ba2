"""What the caller really hears of the agent: a playout buffer that plays in real time and can be cleared."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sandbox.vendors.encodings import Samples


@dataclass(frozen=True, slots=True)
class Piece:
    """Contiguous sound."""

    at: float
    """The time of the first sample, in seconds on the clock of the side that heard or made it."""
    samples: Samples


class Earpiece:
    """Plays what it receives, in order and in real time; silence when it has nothing.

    Every method takes ``now`` in seconds of one monotonic clock. The buffer is not bounded, because the agent's side
    sends at most its playout lead ahead of real time.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._queue: deque[Samples | str] = deque()
        self._fresh: list[Piece] = []
        self._due_marks: list[str] = []
        self._run_start = 0.0
        self._run_samples = 0
        self.played_samples = 0
        """Samples played since the beginning, discarded ones not included."""
        self.received_samples = 0

    @property
    def queued_samples(self) -> int:
        """Samples that wait to be played."""
        return sum(len(item) for item in self._queue if not isinstance(item, str))

    def receive(self, samples: Samples, now: float) -> bool:
        """Queue sound. True when it follows a silence, that is, when nothing was queued as it arrived."""
        self.advance(now)
        ran_dry = self._run_end() < now - 1 / self._rate or not self.received_samples
        follows_silence = ran_dry and not self._queue
        if follows_silence:
            self._run_start, self._run_samples = now, 0
        self.received_samples += len(samples)
        self._queue.append(samples)
        return follows_silence

    def mark(self, name: str) -> None:
        """Queue a mark, which is due when the sound before it has been played."""
        self._queue.append(name)

    def clear(self, now: float) -> int:
        """Discard sound and marks not played yet. Returns :attr:`played_samples`."""
        self.advance(now)
        self._queue.clear()
        return self.played_samples

    def take_heard(self, now: float) -> list[Piece]:
        """Take the sound played since the last call of this method."""
        self.advance(now)
        fresh, self._fresh = self._fresh, []
        return fresh

    def take_due_marks(self) -> list[str]:
        """Take the names of the marks that have become due since the last call of this method."""
        due, self._due_marks = self._due_marks, []
        return due

    def advance(self, now: float) -> None:
        """Play up to ``now``."""
        due = int((now - self._run_start) * self._rate) - self._run_samples
        while self._queue:
            head = self._queue[0]
            if isinstance(head, str):
                self._due_marks.append(head)
                self._queue.popleft()
            elif due < len(head):
                self._queue[0] = head[max(due, 0) :]
                self._play(head[: max(due, 0)])
                break
            else:
                self._queue.popleft()
                self._play(head)
                due -= len(head)

    def _run_end(self) -> float:
        return self._run_start + self._run_samples / self._rate

    def _play(self, samples: Samples) -> None:
        if len(samples):
            self._fresh.append(Piece(self._run_end(), samples))
            self._run_samples += len(samples)
            self.played_samples += len(samples)


def joined(pieces: Sequence[Piece], sample_rate: int) -> tuple[Piece, ...]:
    """The same sound, with adjacent pieces joined."""
    if len(pieces) < 2:
        return tuple(pieces)
    runs: list[tuple[float, list[Samples]]] = []
    end = float("-inf")
    for piece in pieces:
        if abs(piece.at - end) < 0.5 / sample_rate:
            runs[-1][1].append(piece.samples)
        else:
            runs.append((piece.at, [piece.samples]))
        end = piece.at + len(piece.samples) / sample_rate
    return tuple(Piece(at, np.concatenate(parts)) for at, parts in runs)
