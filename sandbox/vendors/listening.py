"""Speech recognition by the sound alone: finds sounds whose words are known in the audio that arrives.

Nothing says when a sound comes, how loud it is, or whether it comes at all. It is found by its waveform (a matched
filter), so a quiet voice, an echo of the agent, or speech in noise is heard as long as the audio resembles it; what
another sound covers is not heard. All times are audio time: seconds since the first sample, regardless of the clock.
"""

import math
from collections import deque
from collections.abc import Iterator

import numpy as np
import soxr

from sandbox.vendors.encodings import SAMPLE_BYTES, Encoding, decode
from sandbox.vendors.hearing import Heard, language_of
from sandbox.vendors.known_sounds import RATE, SEARCH_RATE, KnownSound, SoundLibrary, Wave, to_search_rate

_STEP = round(0.02 * RATE)
_KEPT = round(3.0 * RATE)
_COMPARED = round(0.12 * RATE)
_SEARCHED = round(0.22 * RATE)
_FLOOR_EVERY = 5 * _STEP
_EDGE = round(0.02 * SEARCH_RATE)
"""Resampling spoils the ends of a piece."""
_SEARCHES_EVERY = (0.08, 0.16, 0.32, 0.64)
"""Seconds; a sound that is not found is looked for less and less often, until the level rises."""
_RISEN = 1.4
_FINE = 8
_FAINTEST = 32768 * 10 ** (-62 / 20)
_FOUND, _SURE = 0.6, 0.9
_LEAST_LIKE, _WORSE_THAN_NOISE_MAKES = 0.5, 0.2
"""A sound is less like what is known the more noise is in it; this much less than that, it is another sound."""
_AUDIBLE_STEPS = 6
"""How many steps of a sound must be heard before it counts as a known one: fewer may resemble anything."""
_QUIET_SHARE = 0.06
_LATEST = 2 * _STEP
_LOUDER = 1.8
_LOST_AFTER = round(0.4 * RATE)
_LATELY, _SAME_SECONDS = 40, 0.15
"""A word that was heard at nearly that time in one recording is not heard again in another of the same text."""
_RECOGNISED_AFTER_SECONDS = 0.25
"""A word is recognised this long after it began, or when it ends, if that is sooner."""


class _Track:
    """A known sound that is being heard."""

    def __init__(self, sound: KnownSound, offset: int) -> None:
        self.sound = sound
        self.offset = offset
        """The sample of the stream at which the sound's first sample lies."""
        self.next_word = 0
        self.gain = 0.0
        """How loud the sound is heard, as a share of how loud it was made."""
        self.sounds = False
        """Whether the sound is audible now."""
        self.missed = 0
        """Samples in which the sound should have been heard and was not."""

    @property
    def is_lost(self) -> bool:
        """Whether the sound has stopped before its end, or something covers it."""
        return self.missed >= _LOST_AFTER

    @property
    def words_left(self) -> bool:
        """Whether the sound has words that have not been said yet."""
        return self.next_word < len(self.sound.words) and not self.is_lost

    def follow(self, recent: Wave, now: int, floor: float) -> bool:
        """Compare with the latest audio, over a noise of that level; False when the sound is long over."""
        at = now - self.offset
        expected = self.sound.part(at - _COMPARED, at)
        self.sounds = False
        if _level(expected) > self.sound.loudness * _QUIET_SHARE:
            if _likeness(recent, expected) >= _needed(recent, floor):
                self.missed = 0
                self.gain = float(recent.dot(expected)) / float(expected.dot(expected))
                self.sounds = _level(expected[-_STEP:]) > self.sound.loudness * _QUIET_SHARE
            else:
                self.missed += _STEP
        return at - _KEPT < len(self.sound.wave)

    def explains(self, latest: Wave, now: int, floor: float) -> bool:
        """Whether the latest audio is no louder than the sound makes it; a pause of the sound explains silence."""
        at = now - self.offset
        expected = self.gain * _level(self.sound.part(at - len(latest), at))
        return not self.missed and _level(latest) <= _LOUDER * max(expected, floor, _FAINTEST)


class Listener:
    """Hears one stream. Stands for a detector (:meth:`feed`) and for a recogniser at once."""

    def __init__(self, library: SoundLibrary, call_id: str | None, encoding: Encoding, sample_rate: int) -> None:
        self._library, self._call_id = library, call_id or ""
        if call_id:
            library.open(call_id)
        self._encoding = encoding
        self._resampler = soxr.ResampleStream(sample_rate, RATE, 1) if sample_rate != RATE else None
        self._rest = b""
        self._waiting: Wave = np.empty(0, np.float32)
        self._kept: Wave = np.zeros(_KEPT, np.float32)
        self._samples = 0
        self._tracks: list[_Track] = []
        self._tries = 0
        self._search_at = 0
        self._searched_level = 0.0
        self._floor = 0.0
        self._now = 0.0
        self.words: list[Heard] = []
        """The words of the turn so far."""
        self._lately: deque[Heard] = deque(maxlen=_LATELY)
        self.silence = float("inf")
        """Seconds since the last speech; infinite when there was none."""

    def feed(self, audio: bytes) -> Iterator[tuple[float, bool]]:
        """Yield for each 20 ms that the audio completes: their end in seconds, and whether there is speech."""
        audio = self._rest + audio
        whole = len(audio) - len(audio) % SAMPLE_BYTES[self._encoding]
        self._rest = audio[whole:]
        wave = decode(audio[:whole], self._encoding).astype(np.float32)
        if self._resampler is not None:
            wave = self._resampler.resample_chunk(wave)
        self._waiting = np.concatenate((self._waiting, wave))
        while len(self._waiting) >= _STEP:
            self._kept = np.concatenate((self._kept[_STEP:], self._waiting[:_STEP]))
            self._waiting = self._waiting[_STEP:]
            self._samples += _STEP
            yield self.seconds, self._listen()

    @property
    def seconds(self) -> float:
        """Seconds of audio so far."""
        return self._samples / RATE

    def step(self, now: float, speech: bool) -> bool:
        """Note the next 20 ms; True when speech begins."""
        began = speech and self.silence >= 0.2
        self.silence = 0.0 if speech else round(self.silence + now - self._now, 6)
        self._now = now
        return began

    @property
    def more_to_come(self) -> bool:
        """Whether somebody has not said all of what they are saying."""
        return any(track.words_left for track in self._tracks)

    @property
    def unfinished(self) -> bool:
        """Whether a silence now is a pause inside an utterance."""
        return self.more_to_come

    @property
    def eager(self) -> bool:
        """Whether an eager end of turn is allowed."""
        return not self.more_to_come

    @property
    def sure_after(self) -> float | None:
        """Seconds of silence after which an end is as good as sure: the profile says."""
        return None

    @property
    def never_eager(self) -> bool:
        """Whether an eager end of turn is forbidden."""
        return self.more_to_come

    def settle(self) -> None:
        """Recognise the words that have been said before this silence."""
        for track in self._tracks:
            self._recognise(track, settles=True)

    def end_turn(self) -> None:
        """Begin the next turn without words; a sound that goes on is heard in it."""
        self.words = []

    def _listen(self) -> bool:
        recent = self._kept[-_COMPARED:]
        if self._samples % _FLOOR_EVERY == 0:
            blocks = self._kept.reshape(-1, _COMPARED)
            self._floor = float(np.sqrt(np.einsum("ij,ij->i", blocks, blocks).min() / _COMPARED))
        self._tracks = [track for track in self._tracks if track.follow(recent, self._samples, self._floor)]
        latest = self._kept[-_LATEST:]
        if any(track.explains(latest, self._samples, self._floor) for track in self._tracks):
            self._tries = 0
        else:
            self._search()
        for track in self._tracks:
            self._recognise(track, settles=False)
        return any(track.sounds for track in self._tracks)

    def _search(self) -> None:
        """Look for a known sound in the latest audio, unless there is none, or it was looked for just now."""
        piece = self._kept[-_SEARCHED:]
        level = _level(piece)
        if level < _FAINTEST:
            self._tries = 0
            return
        if level > self._searched_level * _RISEN:
            self._tries = 0
        elif self._samples < self._search_at:
            return
        self._searched_level = level
        self._search_at = self._samples + round(_SEARCHES_EVERY[min(self._tries, len(_SEARCHES_EVERY) - 1)] * RATE)
        self._tries += 1
        found = self._best(piece)
        if found is not None:
            self._take_up(*found)

    def _take_up(self, sound: KnownSound, offset: int) -> None:
        track = next((each for each in self._tracks if each.sound is sound), None)
        if track is None or abs(track.offset - offset) > _FINE:
            self._tracks = [each for each in self._tracks if each is not track]
            track = _Track(sound, offset)
            self._tracks.append(track)
        track.missed = 0
        track.follow(self._kept[-_COMPARED:], self._samples, self._floor)

    def _best(self, piece: Wave) -> tuple[KnownSound, int] | None:
        low = to_search_rate(piece)[_EDGE:-_EDGE]
        best: tuple[float, KnownSound, int] | None = None
        for sound in self._library.of(self._call_id):
            found = sound.find(low)
            if found.likeness >= _FOUND and (best is None or found.likeness > best[0]):
                at = found.at - round(_EDGE * RATE / SEARCH_RATE)
                best = (found.likeness, sound, at)
                if found.likeness > _SURE:
                    break
        if best is None:
            return None
        _, sound, at = best
        shifts = range(at - _FINE, at + _FINE + 1)
        likeness, at = max((_likeness(piece, sound.part(shift, shift + _SEARCHED)), shift) for shift in shifts)
        steps = sound.part(at, at + _SEARCHED).reshape(-1, _STEP)
        audible = np.count_nonzero(np.sqrt(np.einsum("ij,ij->i", steps, steps) / _STEP) > sound.loudness * _QUIET_SHARE)
        is_same = audible >= _AUDIBLE_STEPS and likeness >= _needed(piece, self._floor)
        return (sound, self._samples - _SEARCHED - at) if is_same else None

    def _recognise(self, track: _Track, *, settles: bool) -> None:
        sound = track.sound
        while track.words_left:
            word = sound.words[track.next_word]
            due = min(word.end, word.start + _RECOGNISED_AFTER_SECONDS)
            begin, end = round(word.start * RATE), round(due * RATE)
            at = self._samples - track.offset
            if at < end:
                if not settles or at < begin + (end - begin) // 2:
                    return
                end = at
            track.next_word += 1
            first, last = (track.offset + place - self._samples for place in (begin, end))
            if first < -_KEPT:
                continue
            said = self._kept[first : last or None]
            likeness = _likeness(said, sound.part(begin, end))
            if likeness >= _needed(said, self._floor):
                self._hear(track, word.text, word.start, word.end, likeness)

    def _hear(self, track: _Track, text: str, start: float, end: float, likeness: float) -> None:
        began = track.offset / RATE
        confidence = round(min(0.98, 0.5 + likeness / 2), 3)
        language = track.sound.language or language_of(text)
        word = Heard(text, began + start, min(began + end, self.seconds), confidence, language)
        if not any(each.text == text and abs(each.start - word.start) < _SAME_SECONDS for each in self._lately):
            self._lately.append(word)
            self.words.append(word)


def _level(wave: Wave) -> float:
    return float(np.sqrt(wave.dot(wave) / len(wave))) if len(wave) else 0.0


def _needed(wave: Wave, floor: float) -> float:
    """How like a known sound this must be to be taken for it; noise of the level ``floor`` is in it."""
    level = _level(wave)
    if level < _FAINTEST:
        return float("inf")
    expected = math.sqrt(max(0.0, 1.0 - (floor / level) ** 2))
    return max(_LEAST_LIKE, expected - _WORSE_THAN_NOISE_MAKES)


def _likeness(heard: Wave, expected: Wave) -> float:
    energy = float(heard.dot(heard)) * float(expected.dot(expected))
    return float(heard.dot(expected)) / energy**0.5 if energy > 1.0 else 0.0
