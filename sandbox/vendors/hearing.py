"""Scripted speech recognition: the energy shows when there is speech, the script says which words it is.

All times are audio time: seconds since the first sample, regardless of the clock.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sandbox.vendors.encodings import SAMPLE_BYTES, Encoding, decode
from sandbox.vendors.stage import Utterance

WINDOW_SECONDS = 0.01
LEAST_SILENCE_SECONDS = 0.2
"""No turn ends after less silence than this; a shorter one is a gap between words."""
UNFINISHED_SILENCE_SECONDS = 1.0
"""This much silence ends a turn even in the middle of an utterance."""

_LOUD_POWER = 400.0**2
"""In squared samples, of 32767²: about -38 dBFS."""
_ONSET_WINDOWS = 3
_SECONDS_PER_CHARACTER = 0.06
_RECOGNISED_AFTER_SECONDS = 0.25
"""A word is recognised this long after it began, or when it ends, if that is sooner."""
_NEARLY_OVER = 0.85
_NEARLY_OVER_SECONDS = 0.3
_LIKELY_OVER = 0.25
_CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)


class SpeechDetector:
    """Decides for every 10 ms whether there is speech: from three loud windows in a row until a quiet one."""

    def __init__(self, encoding: Encoding, sample_rate: int) -> None:
        self._encoding = encoding
        self._window = max(1, round(sample_rate * WINDOW_SECONDS))
        self._seconds = self._window / sample_rate
        self._share = np.full(self._window, 1 / self._window)
        self._rest = b""
        self._windows = 0
        self._loud_in_a_row = 0

    def feed(self, audio: bytes) -> Iterator[tuple[float, bool]]:
        """Yield for each window that the audio completes: its end in seconds, and whether it is speech."""
        audio = self._rest + audio
        size = self._window * SAMPLE_BYTES[self._encoding]
        count = len(audio) // size
        self._rest = audio[count * size :]
        windows = decode(audio[: count * size], self._encoding).reshape(count, self._window).astype(np.float64)
        for power in (windows * windows).dot(self._share).tolist():
            self._windows += 1
            self._loud_in_a_row = self._loud_in_a_row + 1 if power > _LOUD_POWER else 0
            yield self._windows * self._seconds, self._loud_in_a_row >= _ONSET_WINDOWS

    @property
    def seconds(self) -> float:
        """Seconds of audio so far."""
        return self._windows * self._seconds


@dataclass(frozen=True, slots=True)
class Heard:
    """A recognised word; times are seconds since the first sample."""

    text: str
    start: float
    end: float
    confidence: float
    language: str


@dataclass(slots=True)
class _Segment:
    """A part of an utterance without a pause; without words it is a noise."""

    utterance: Utterance
    words: list[tuple[str, float, float]]
    """The words not recognised yet; times are seconds since the segment began."""
    seconds: float
    pauses: bool
    """Whether the utterance continues after a pause."""
    sure_after: float | None = None
    """See :class:`sandbox.vendors.stage.Utterance`."""
    began: float = 0.0

    def over(self, last_loud: float) -> bool:
        """Whether a silence after that sound ends it; any silence does when its length is unknown."""
        if self.utterance.duration is None:
            return True
        return last_loud - self.began >= self.seconds * _NEARLY_OVER - _NEARLY_OVER_SECONDS

    def likely_over(self, last_loud: float) -> bool:
        """Whether enough was said for this to be its end."""
        return self.over(last_loud) and last_loud - self.began >= self.seconds * _LIKELY_OVER


class Recogniser:
    """Recognises the words of one stream."""

    def __init__(
        self,
        next_utterance: Callable[[], Utterance | None],
        reported: Callable[[list[Utterance]], None] = lambda _said: None,
    ) -> None:
        """``reported`` is called with the utterances of each turn that has ended."""
        self._next_utterance = next_utterance
        self._reported = reported
        self._segment: _Segment | None = None
        self._waiting: list[_Segment] = []
        """The segments of the utterance that the caller has not spoken yet."""
        self._said: list[Utterance] = []
        """The utterances with words in this turn."""
        self._last_loud = 0.0
        self._now = 0.0
        self.words: list[Heard] = []
        """The words of the turn so far."""
        self.silence = float("inf")
        """Seconds since the last speech; infinite when there was none."""

    def step(self, now: float, speech: bool) -> bool:
        """Process the next 10 ms; True when speech begins."""
        began = speech and self.silence >= LEAST_SILENCE_SECONDS
        self.silence = 0.0 if speech else round(self.silence + now - self._now, 6)
        self._now = now
        if speech:
            self._speak(began)
            self._last_loud = now
        return began

    @property
    def more_to_come(self) -> bool:
        """Whether the caller has not said all of the utterance."""
        return self._segment is not None and bool(self._segment.words)

    @property
    def unfinished(self) -> bool:
        """Whether a silence now is a pause inside an utterance."""
        segment = self._segment
        if segment is None:
            return False
        return segment.pauses or (bool(segment.words) and not segment.over(self._last_loud))

    @property
    def sure_after(self) -> float | None:
        """The silence after which the script says that the model is sure of an end; None when it does not say."""
        return None if self._segment is None else self._segment.sure_after

    @property
    def eager(self) -> bool:
        """Whether an eager end of turn is allowed: as the script says, or when enough was said."""
        if self._segment is None:
            return False
        wanted = self._segment.utterance.eager
        return self._segment.likely_over(self._last_loud) if wanted is None else wanted

    @property
    def never_eager(self) -> bool:
        """Whether the script forbids an eager end of turn."""
        return self._segment is not None and self._segment.utterance.eager is False

    def settle(self) -> None:
        """Recognise everything said before this silence; drop the rest of an utterance that was broken off."""
        if self._segment is not None and self._segment.over(self._last_loud):
            self._hear(self._segment, float("inf"))

    def end_turn(self) -> None:
        """Begin the next turn without words; segments not spoken yet may still be spoken in it."""
        self.words = []
        segment, self._segment = self._segment, None
        said, self._said = self._said, []
        self._reported(said)
        if segment is not None and segment.words:
            until = segment.words[0][1]
            rest = [(text, start - until, end - until) for text, start, end in segment.words]
            seconds = segment.seconds - until
            self._waiting.insert(0, _Segment(segment.utterance, rest, seconds, segment.pauses, segment.sure_after))

    def _speak(self, began: bool) -> None:
        segment = self._segment
        if began and segment is not None and segment.pauses and segment.over(self._last_loud):
            self._hear(segment, float("inf"))
        if segment is None or (began and not segment.words and segment.over(self._now)):
            segment = self._begin_segment()
        elif began and not self.words and self._now - self._last_loud > UNFINISHED_SILENCE_SECONDS:
            segment.began = self._now  # what seemed to be its beginning was a noise
        self._hear(segment, self._now - segment.began)

    def _begin_segment(self) -> _Segment:
        if not self._waiting:
            self._waiting = _segments(self._next_utterance() or Utterance(""))
        self._segment = self._waiting.pop(0)
        self._segment.began = self._now - _ONSET_WINDOWS * WINDOW_SECONDS
        utterance = self._segment.utterance
        if self._segment.words and not any(said is utterance for said in self._said):
            self._said.append(utterance)
        return self._segment

    def _hear(self, segment: _Segment, elapsed: float) -> None:
        utterance = segment.utterance
        language = utterance.language or language_of(utterance.text)
        while segment.words and elapsed >= _recognised_at(segment.words[0]):
            text, start, end = segment.words.pop(0)
            start, end = segment.began + start, segment.began + end
            if elapsed == float("inf"):  # settling: no word is later than the last sound
                start, end = min(start, self._last_loud), min(end, self._last_loud)
            self.words.append(Heard(text, start, end, utterance.confidence, language))


def _recognised_at(word: tuple[str, float, float]) -> float:
    _, start, end = word
    return min(end, start + _RECOGNISED_AFTER_SECONDS)


def _segments(utterance: Utterance) -> list[_Segment]:
    """Split the utterance at its pauses; a word's length is proportional to its letters."""
    words = utterance.text.split()
    total = utterance.duration or len(utterance.text) * _SECONDS_PER_CHARACTER
    per_character = total / max(1, sum(len(word) + 1 for word in words))
    bounds = [0, *(at for at in utterance.pauses_at if 0 < at < len(words)), len(words)]
    parts = [words[start:end] for start, end in pairwise(bounds)] or [[]]
    segments = []
    for index, part in enumerate(parts):
        timed, at = [], 0.0
        for word in part:
            length = (len(word) + 1) * per_character
            timed.append((word, at, at + length))
            at += length
        sure_after = utterance.sure_after[index] if index < len(utterance.sure_after) else None
        segments.append(_Segment(utterance, timed, at, index < len(parts) - 1, sure_after))
    return segments


def language_of(text: str) -> str:
    """``ru`` or ``en``, judged by the letters."""
    return "ru" if _CYRILLIC.search(text) else "en"
