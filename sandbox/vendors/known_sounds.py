"""Sounds whose words are known: what the voice has said, and what callers are about to say.

A recogniser that works on sound looks for these in the audio that it is sent. The search compares sounds at 2 kHz,
which holds the pitch of a voice; what is found is checked at 8 kHz.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import soxr

from sandbox.vendors.encodings import Samples
from sandbox.vendors.voice import SpokenWord

RATE = 8000
"""Hertz; sounds are kept and checked at this rate."""
SEARCH_RATE = 2000
"""Hertz; sounds are looked for at this rate."""

_MARGIN_SECONDS = 0.25
_KEPT_OF_A_CALLER, _KEPT_OF_AN_AGENT = 16, 12
_KEPT_PHRASES, _KEPT_SAYINGS = 96, 24
_SAYING_SECONDS_MAX = 5.0
_KEPT_CALLS = 200
_SILENT_SHARE = 1e-3
"""Stretches with less than this share of the loudest stretch's energy are not compared: they look like anything."""

Wave = npt.NDArray[np.float32]


class Found(NamedTuple):
    """Where a piece of audio fits best into a known sound."""

    likeness: float
    """The normalised correlation, at most 1."""
    at: int
    """The sample of the sound, at 8 kHz, that the piece begins with; negative before its first sample."""


@dataclass(frozen=True)
class KnownSound:
    """A recording at 8 kHz and the words in it, timed in seconds from its first sample."""

    wave: Wave
    words: tuple[SpokenWord, ...]
    language: str | None

    @cached_property
    def loudness(self) -> float:
        """The root of the mean square of its loud half."""
        squares = np.sort(self.wave * self.wave)
        return float(np.sqrt(squares[len(squares) // 2 :].mean())) if len(squares) else 0.0

    @cached_property
    def _spectrum(self) -> tuple[npt.NDArray[np.complex64], int]:
        low = self._low
        size = 1 << (len(low) - 1).bit_length()
        return np.fft.rfft(low, size).astype(np.complex64), size

    @cached_property
    def _low(self) -> Wave:
        margin = np.zeros(round(_MARGIN_SECONDS * SEARCH_RATE), np.float32)
        return np.concatenate((margin, to_search_rate(self.wave), margin))

    @cached_property
    def _energy(self) -> npt.NDArray[np.float64]:
        squares = self._low.astype(np.float64) ** 2
        return np.concatenate(([0.0], np.cumsum(squares)))

    def find(self, piece: Wave) -> Found:
        """Where a piece at 2 kHz fits best; the piece may begin or end in the silence around the sound."""
        spectrum, size = self._spectrum
        places = len(self._low) - len(piece) + 1
        if places < 1:
            return Found(0.0, 0)
        correlation = np.fft.irfft(spectrum * np.fft.rfft(piece, size).conj(), size)[:places]
        energy = self._energy[len(piece) :] - self._energy[:places]
        audible = energy > energy.max() * _SILENT_SHARE
        likeness = np.where(audible, correlation / np.sqrt(np.maximum(energy, 1e-9)), 0.0)
        best = int(likeness.argmax())
        length = float(np.sqrt((piece.astype(np.float64) ** 2).sum()))
        at = round(best * RATE / SEARCH_RATE - _MARGIN_SECONDS * RATE)
        return Found(float(likeness[best]) / max(length, 1e-9), at)

    def part(self, begin: int, end: int) -> Wave:
        """The samples from ``begin`` to ``end``, with silence before the first and after the last."""
        if begin >= 0 and end <= len(self.wave):
            return self.wave[begin:end]
        padded = np.zeros(end - begin, np.float32)
        first, last = max(begin, 0), min(end, len(self.wave))
        if first < last:
            padded[first - begin : last - begin] = self.wave[first:last]
        return padded


class SoundLibrary:
    """The known sounds of every call, and phrases, which a service may have kept from one call for another."""

    def __init__(self) -> None:
        self._callers: OrderedDict[str, deque[KnownSound]] = OrderedDict()
        self._agents: OrderedDict[str, deque[KnownSound]] = OrderedDict()
        self._phrases: OrderedDict[tuple[str, int], KnownSound] = OrderedDict()
        """What was said in no call, by its text and how many samples long it is."""
        self._sayings: OrderedDict[tuple[str, int], KnownSound] = OrderedDict()
        """The short ones of what was said in calls."""

    def open(self, call_id: str) -> None:
        """A call begins: what is said in its name from now on is its own."""
        for sounds, most in ((self._callers, _KEPT_OF_A_CALLER), (self._agents, _KEPT_OF_AN_AGENT)):
            sounds.setdefault(call_id, deque(maxlen=most))
            if len(sounds) > _KEPT_CALLS:
                sounds.popitem(last=False)

    def teach(self, call_id: str, samples: Samples, sample_rate: int, words: Any, language: str | None) -> None:
        """The caller is about to make this sound; ``words`` are texts with their start and end in seconds."""
        self.open(call_id)
        spoken = tuple(SpokenWord(str(text), float(start), float(end)) for text, start, end in words)
        self._callers[call_id].append(KnownSound(to_rate(samples, sample_rate), spoken, language))

    def remember(
        self, call_id: str | None, samples: Samples, sample_rate: int, words: tuple[SpokenWord, ...], language: str
    ) -> None:
        """The voice has said this, in a call or in none; if it is short, any call may play it."""
        sound = KnownSound(to_rate(samples, sample_rate), words, language)
        kept, most = self._phrases, _KEPT_PHRASES
        if call_id is not None and call_id in self._agents:
            self._agents[call_id].append(sound)
            kept, most = self._sayings, _KEPT_SAYINGS
            if len(samples) > _SAYING_SECONDS_MAX * sample_rate:
                return
        kept[" ".join(word.text for word in words), len(samples)] = sound
        if len(kept) > most:
            kept.popitem(last=False)

    def of(self, call_id: str) -> Iterator[KnownSound]:
        """What may be heard in a call, the likeliest first."""
        callers, agents = self._callers.get(call_id, ()), self._agents.get(call_id, ())
        others = (*self._sayings.values(), *self._phrases.values())
        return chain(reversed(tuple(callers)), reversed(tuple(agents)), others)


def to_rate(samples: Samples, sample_rate: int) -> Wave:
    """The samples at 8 kHz."""
    wave = samples.astype(np.float32)
    return wave if sample_rate == RATE or not len(wave) else soxr.resample(wave, sample_rate, RATE).astype(np.float32)


def to_search_rate(wave: Wave) -> Wave:
    """Samples at 8 kHz as samples at 2 kHz."""
    return soxr.resample(wave, RATE, SEARCH_RATE).astype(np.float32) if len(wave) else wave
