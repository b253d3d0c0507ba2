"""Echo detection: is the sound on the line the caller, or the agent's own voice coming back?

An echo repeats the played sound: later, quieter, and with the same rises and falls. So this module compares the levels
that were heard, in windows of 10 ms, with the levels that were played, at every delay up to 1.5 s and every loss from
4 to 36 dB. Each pair of delay and loss predicts levels; the pair with the smallest error is the echo path. Unlike a
correlation, this also counts levels that were predicted and not heard. That is why it tells a caller from an echo after
100 ms instead of 300 ms.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import Literal

import numpy as np
import numpy.typing as npt

from media.formats import AudioFormat
from media.vad import LevelMeter

EchoVerdict = Literal["echo", "caller", "unsure"]

_Levels = npt.NDArray[np.float32]
"""dB relative to full scale (negative), one for each window of 10 ms."""

_FULL_SCALE = float(1 << 15) ** 2
_DELAYS = 156
"""Windows: 0 to 1.55 s. A telephone abroad and a loudspeaker together may take so long."""
_LOSSES_DB = np.arange(4.0, 37.0, 2.0, dtype=np.float32)
_FAINTEST_DB = -75.0
"""Lower levels count as this one; a line without noise would otherwise predict minus infinity."""
_FAINTEST = _FULL_SCALE * 10 ** (_FAINTEST_DB / 10)
_AUDIBLE_DB = 4.0
"""A window counts when it is this far above the noise."""
_KEPT_WINDOWS = 384
"""The last 3.8 s of what was played: more than the longest delay and the longest question together."""

_UNMEASURED_SECONDS_MAX = 1.0

_ECHO_ERRORS_DB = ((16, 3.6), (10, 2.9), (0, 1.3))
"""(windows of sound, error in dB): it is an echo when that many windows are predicted within that error.

Fewer windows may agree by chance, so they need a smaller error.
"""
_PATH_WINDOWS = 10
"""A path is remembered once this many windows of sound support it."""
_CALLER_ERROR_DB = 4.2
"""A larger error means a caller: 99 of 100 echoes are predicted better."""
_EXCESS_DB = 8.0
_EXCESS_WINDOWS = 5
"""On a known path: this many windows of the last 80 ms that are louder than the echo by this much are a caller."""
_EXCESS_OF = 8
_MISSING_DB = 4.0
"""A known path that predicts this much more than is heard is forgotten."""


@dataclass(frozen=True, slots=True)
class _Path:
    """An echo path: how the line returns the agent's voice."""

    delay: int
    """Windows."""
    loss_db: float


class EchoGuard:
    """Remembers what was played and judges what is heard; each call has one.

    Ask at SoundStarted and, while the sound lasts and the agent speaks, with every frame:

    - ``caller``: pause the voice.
    - ``echo``: keep playing, and keep asking: a caller may join in. Once the path is known, this verdict is immediate.
    - ``unsure``: too little evidence, or a caller and an echo at once. Ask with the next frame; after 100 ms, pause.

    A verdict costs 0.3 ms while the path is unknown and 0.05 ms after that. Played audio is measured when a verdict
    needs it, or once a second, because a long piece costs little more than a frame.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._meter = LevelMeter(audio_format)
        self._unmeasured_max = round(_UNMEASURED_SECONDS_MAX * audio_format.sample_rate)
        self._levels = [_FAINTEST_DB] * _KEPT_WINDOWS
        self._end_window = 0
        self._end_sample = 0
        """The end of the played audio that has been measured."""
        self._unmeasured: list[bytes] = []
        """Played audio that is not measured yet; contiguous."""
        self._unmeasured_from = self._unmeasured_until = 0
        self._path: _Path | None = None

    def played(self, audio: bytes, at_sample: int) -> None:
        """Note the agent's audio and the sample of the call at which it is heard; the same samples again replace it."""
        if at_sample != self._unmeasured_until or at_sample - self._unmeasured_from >= self._unmeasured_max:
            self._measure()
            self._unmeasured_from = at_sample
        self._unmeasured.append(audio)
        self._unmeasured_until = at_sample + self._format.samples(audio)

    def verdict(self, heard: Sequence[float], noise: float, until_sample: int) -> EchoVerdict:
        """Judge whose sound this is, from a detector's ``recent_powers`` and ``noise_power``.

        ``until_sample`` is where ``heard`` ends, on the clock of :meth:`played`.
        """
        self._measure()
        sound = np.array([_level_db(power) for power in heard], np.float32)
        floor = _level_db(noise)
        played = self._played_at_delays(len(sound), until_sample // self._meter.window_samples)
        if played.max(initial=_FAINTEST_DB) - _LOSSES_DB[0] < floor + _AUDIBLE_DB:
            return "caller"
        if self._path and not _is_wrong(self._path, sound, floor, played):
            return "caller" if _is_exceeded(self._path, sound, floor, played) else "echo"
        return self._search(sound, floor, played)

    def _measure(self) -> None:
        """Measure the levels of what was played since the last time."""
        if not self._unmeasured:
            return
        if self._unmeasured_from != self._end_sample:
            self._meter = LevelMeter(self._format)
            self._go_to(self._unmeasured_from // self._meter.window_samples)
        for power in self._meter.measure(b"".join(self._unmeasured)):
            self._levels[self._end_window % _KEPT_WINDOWS] = _level_db(power)
            self._end_window += 1
        self._unmeasured.clear()
        self._unmeasured_from = self._end_sample = self._unmeasured_until

    def _search(self, sound: _Levels, floor: float, played: _Levels) -> EchoVerdict:
        """Look for a path that explains the sound, and remember it."""
        foretold = np.maximum(played[:, np.newaxis, :] - _LOSSES_DB[:, np.newaxis], floor)
        telling = np.maximum(foretold, sound) > floor + _AUDIBLE_DB
        errors = (np.abs(foretold - sound) * telling).sum(axis=2) / np.maximum(1, telling.sum(axis=2))
        delay, loss = divmod(int(errors.argmin()), len(_LOSSES_DB))
        error = errors[delay, loss]
        windows = np.count_nonzero(sound > floor + _AUDIBLE_DB)
        is_echo = error < next(limit for least, limit in _ECHO_ERRORS_DB if windows >= least)
        self._path = _Path(delay, float(_LOSSES_DB[loss])) if is_echo and windows >= _PATH_WINDOWS else None
        if is_echo:
            return "echo"
        return "caller" if error > _CALLER_ERROR_DB else "unsure"

    def _played_at_delays(self, count: int, end_window: int) -> _Levels:
        """The played levels, one row of ``count`` levels for each delay, shortest first."""
        windows = np.arange(end_window - count - _DELAYS + 1, end_window)
        known = (windows >= max(0, self._end_window - _KEPT_WINDOWS)) & (windows < self._end_window)
        levels = np.where(known, np.array(self._levels, np.float32)[windows % _KEPT_WINDOWS], np.float32(_FAINTEST_DB))
        return np.lib.stride_tricks.sliding_window_view(levels, count)[::-1]

    def _go_to(self, window: int) -> None:
        """Continue at this window; nothing was played between the last one and this one, or it was taken back."""
        first, last = sorted((self._end_window, window))
        for unplayed in range(max(first, last - _KEPT_WINDOWS), last):
            self._levels[unplayed % _KEPT_WINDOWS] = _FAINTEST_DB
        self._end_window = window


def _is_wrong(path: _Path, sound: _Levels, floor: float, played: _Levels) -> bool:
    """Whether the path predicts sound that did not come: it was learnt from a caller, or the line has changed."""
    foretold = played[path.delay] - path.loss_db
    audible = foretold > floor + _AUDIBLE_DB
    missing = np.maximum(0.0, foretold - sound)[audible]
    return missing.size > 0 and float(missing.mean()) > _MISSING_DB


def _is_exceeded(path: _Path, sound: _Levels, floor: float, played: _Levels) -> bool:
    """Whether the latest sound is louder than the path returns, give or take one window."""
    near = played[max(0, path.delay - 1) : path.delay + 2, -_EXCESS_OF:].max(axis=0)
    echo = np.maximum(near - path.loss_db, floor)
    return int(np.count_nonzero(sound[-_EXCESS_OF:] > echo + _EXCESS_DB)) >= _EXCESS_WINDOWS


def _level_db(power: float) -> float:
    return 10 * log10(max(power, _FAINTEST) / _FULL_SCALE)
