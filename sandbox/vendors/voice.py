"""Speech synthesis: text becomes sound, with the time of every word.

eSpeak NG speaks if ``espeakng_loader`` is installed (the ``sandbox`` extra). Otherwise every word is a voiced tone as
long as the word, which is enough for an energy detector.
"""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
import soxr

from sandbox.vendors.encodings import Samples
from sandbox.vendors.espeak import Mark, load_espeak

LEAD_SECONDS = 0.02
"""Silence kept before the first sound."""
TAIL_SECONDS = 0.08
"""Silence kept after the last sound."""

_AUDIBLE = 100
"""The smallest sample, of 32767, that counts as sound."""
_SECONDS_PER_CHARACTER = 0.07
_WORD_GAP_SECONDS = 0.05
_TONE_RATE = 16000
_TONE_HERTZ = 140
_WORD = re.compile(r"\S+")
_MAKING = threading.Lock()


class SpokenWord(NamedTuple):
    """A word as written, and its start and end in seconds since the first sample."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Speech:
    """Mono 16-bit little-endian sound, with one entry for each whitespace-separated word of the text."""

    pcm: bytes
    words: tuple[SpokenWord, ...]


class Rendered(NamedTuple):
    """An engine's output: samples at its own rate, and marks where words begin."""

    samples: Samples
    sample_rate: int
    marks: list[Mark]


Engine = Callable[[str, str, float], Rendered]
"""Takes text, language code and speed (1.0 is normal)."""


class Voice:
    """Speaks with an engine; threads may share it.

    Recent texts are cached and sound the same again. Others may differ by some milliseconds each time, because eSpeak's
    pitch flutter carries over from text to text.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._synthesize = lru_cache(maxsize=64)(self._render)

    def synthesize(self, text: str, language: str, sample_rate: int, speed: float = 1.0) -> Speech:
        """Speak the text; ``sample_rate`` in hertz, ``speed`` as a factor. Text without words gives no sound."""
        return self._synthesize(text, language, sample_rate, speed)

    def _render(self, text: str, language: str, sample_rate: int, speed: float) -> Speech:
        if not text.strip():
            return Speech(b"", ())
        with self._lock:
            rendered = self._engine(text, language, speed)
        samples, cut = _trimmed(rendered.samples, rendered.sample_rate)
        marks = [Mark(mark.position, mark.at - cut) for mark in rendered.marks]
        words = _timed_words(text, samples, rendered.sample_rate, marks)
        resampled: Samples = soxr.resample(samples, rendered.sample_rate, sample_rate) if samples.size else samples
        return Speech(resampled.astype("<i2").tobytes(), words)


def synthesize(text: str, language: str, sample_rate: int, speed: float = 1.0) -> Speech:
    """Speak with the best available engine; see :meth:`Voice.synthesize`."""
    return default_voice().synthesize(text, language, sample_rate, speed)


def default_voice() -> Voice:
    """The process's only voice, however many threads ask: eSpeak's state is global, so a second would share it."""
    with _MAKING:
        return _default_voice()


@cache
def _default_voice() -> Voice:
    espeak = load_espeak()
    if espeak is None:
        return Voice(tones)

    def speak(text: str, language: str, speed: float) -> Rendered:
        samples, marks = espeak.speak(text, language, speed)
        return Rendered(samples, espeak.sample_rate, marks)

    return Voice(speak)


def tones(text: str, language: str, speed: float) -> Rendered:
    """A voiced tone for each word, in any language."""
    pieces: list[Samples] = []
    marks: list[Mark] = []
    at = 0.0
    gap = np.zeros(int(_WORD_GAP_SECONDS * _TONE_RATE), np.int16)
    for word in _WORD.finditer(text):
        tone = _tone(len(word.group()) * _SECONDS_PER_CHARACTER / speed)
        marks.append(Mark(word.start(), at))
        pieces += [tone, gap]
        at += (tone.size + gap.size) / _TONE_RATE
    return Rendered(np.concatenate(pieces) if pieces else np.zeros(0, np.int16), _TONE_RATE, marks)


def _tone(seconds: float) -> Samples:
    phase = np.arange(int(seconds * _TONE_RATE)) * (2 * np.pi * _TONE_HERTZ / _TONE_RATE)
    wave = sum(np.sin(phase * harmonic) / harmonic for harmonic in (1, 2, 3, 5))
    edge = np.minimum(1.0, np.minimum(np.arange(phase.size), np.arange(phase.size)[::-1]) / (0.005 * _TONE_RATE))
    return np.asarray(wave * edge * 6000, dtype=np.int16)


def _trimmed(samples: Samples, rate: int) -> tuple[Samples, float]:
    """The samples without long silence at the ends, and the seconds cut at the beginning."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > _AUDIBLE)
    if not loud.size:
        return samples[:0], 0.0
    begin = max(0, int(loud[0]) - int(LEAD_SECONDS * rate))
    end = int(loud[-1]) + int(TAIL_SECONDS * rate)
    return samples[begin:end], begin / rate


def _timed_words(text: str, samples: Samples, rate: int, marks: list[Mark]) -> tuple[SpokenWord, ...]:
    spans = [(match.group(), match.start(), match.end()) for match in _WORD.finditer(text)]
    length = samples.size / rate
    starts = _starts([(begin, end) for _, begin, end in spans], marks, length)
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > _AUDIBLE) / rate
    words = []
    for (word, _, _), start, following in zip(spans, starts, [*starts[1:], length], strict=True):
        voiced = loud[(loud >= start) & (loud < following)]
        words.append(SpokenWord(word, start, float(voiced[-1]) if voiced.size else following))
    return tuple(words)


def _starts(spans: list[tuple[int, int]], marks: list[Mark], length: float) -> list[float]:
    """When each span begins: at its first mark, or interpolated between its neighbours; never decreasing."""
    known = {0: 0.0}
    for index, (begin, end) in enumerate(spans):
        inside = [mark.at for mark in marks if begin <= mark.position < end]
        if inside:
            known[index] = min(max(min(inside), 0.0), length)
    positions = [spans[index][0] for index in known] + [spans[-1][1] + 1]
    times = np.maximum.accumulate([*known.values(), length])
    return [float(np.interp(begin, positions, times)) for begin, _ in spans]
