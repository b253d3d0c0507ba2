"""Is what the line brings the caller, or the agent's own voice coming back?

An echo is the played sound once more: later, quieter, and with the same rises and falls. So the level of what is heard,
in windows of 10 ms, is compared with what was played at every delay up to 600 ms and every loss from 6 to 36 dB: each
pair foretells levels, and the echo is the pair that foretells best. Unlike a correlation this also weighs what was
foretold and not heard, which is what tells a caller from an echo after 100 ms and not after 300.
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

_Levels = npt.NDArray[np.float64]
"""dB below full scale, one for each window of 10 ms."""

_FULL_SCALE = float(1 << 15) ** 2
_DELAYS = 61
"""Windows: 0 to 600 ms."""
_LOSSES_DB = np.arange(6.0, 37.0, 2.0)
_FAINTEST_DB = -75.0
"""Levels below are silence; a line without noise would foretell minus infinity."""
_FAINTEST = _FULL_SCALE * 10 ** (_FAINTEST_DB / 10)
_AUDIBLE_DB = 4.0
"""So far above the noise a window says something."""
_KEPT_WINDOWS = 256
"""What was played in the last 2.5 s, more than the longest delay and what is asked about together."""

_UNMEASURED_SECONDS_MAX = 1.0

_ECHO_ERRORS_DB = ((16, 3.6), (10, 2.9), (0, 1.3))
"""With so many windows of sound, foretold within so much, it is an echo; the fewer, the more alike is chance."""
_PATH_WINDOWS = 10
"""So much sound it takes to believe in a path for what is to come."""
_CALLER_ERROR_DB = 4.2
"""No echo is foretold as badly (99 of 100)."""
_EXCESS_DB = 8.0
_EXCESS_WINDOWS = 5
"""On a known path: so many of the last 80 ms louder than the echo by this much are somebody else."""
_EXCESS_OF = 8
_MISSING_DB = 4.0
"""A known path that foretells so much more than is heard is forgotten."""


@dataclass(frozen=True, slots=True)
class _Path:
    """How the line returns the agent's voice."""

    delay: int
    """Windows."""
    loss_db: float


class EchoGuard:
    """Remembers what was played and judges what is heard; one for each call.

    Ask at SoundStarted and, while the sound lasts and the agent speaks, with every frame:

    - ``caller``: pause the voice.
    - ``echo``: let it speak, and go on asking: a caller may join in. Once the path is known it is the answer at once.
    - ``unsure``: too little evidence, or both at once. Ask with the next frame; after 100 ms of it, pause.

    A verdict costs 0.25 ms while the path is unknown, 0.05 ms after that. What was played is measured when it is asked
    about, or once a second: much at a time costs little more than a frame.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._meter = LevelMeter(audio_format)
        self._unmeasured_max = round(_UNMEASURED_SECONDS_MAX * audio_format.sample_rate)
        self._levels = [_FAINTEST_DB] * _KEPT_WINDOWS
        self._end_window = 0
        self._end_sample = 0
        """Of what has been measured."""
        self._unmeasured: list[bytes] = []
        """Without a gap between them."""
        self._unmeasured_from = self._unmeasured_until = 0
        self._path: _Path | None = None

    def played(self, audio: bytes, at_sample: int) -> None:
        """The agent's voice, and the sample of the call at which it is heard; what is told again replaces itself."""
        if at_sample != self._unmeasured_until or at_sample - self._unmeasured_from >= self._unmeasured_max:
            self._measure()
            self._unmeasured_from = at_sample
        self._unmeasured.append(audio)
        self._unmeasured_until = at_sample + self._format.samples(audio)

    def verdict(self, heard: Sequence[float], noise: float, until_sample: int) -> EchoVerdict:
        """Whose sound this is, from a detector's ``recent_powers`` and ``noise_power``.

        ``until_sample`` is where ``heard`` ends, on the clock of :meth:`played`.
        """
        self._measure()
        sound = np.array([_level_db(power) for power in heard])
        floor = _level_db(noise)
        played = self._played_at_delays(len(sound), until_sample // self._meter.window_samples)
        if played.max(initial=_FAINTEST_DB) - _LOSSES_DB[0] < floor + _AUDIBLE_DB:
            return "caller"
        if self._path and not _is_wrong(self._path, sound, floor, played):
            return "caller" if _is_exceeded(self._path, sound, floor, played) else "echo"
        return self._search(sound, floor, played)

    def _measure(self) -> None:
        """The levels of what was played since the last time."""
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
        """What was played, as one row of ``count`` levels for each delay, shortest first."""
        windows = np.arange(end_window - count - _DELAYS + 1, end_window)
        known = (windows >= max(0, self._end_window - _KEPT_WINDOWS)) & (windows < self._end_window)
        levels = np.where(known, np.array(self._levels)[windows % _KEPT_WINDOWS], _FAINTEST_DB)
        return np.lib.stride_tricks.sliding_window_view(levels, count)[::-1]

    def _go_to(self, window: int) -> None:
        """Go on from this window; what lies between here and there was not played, or no longer is."""
        first, last = sorted((self._end_window, window))
        for unplayed in range(max(first, last - _KEPT_WINDOWS), last):
            self._levels[unplayed % _KEPT_WINDOWS] = _FAINTEST_DB
        self._end_window = window


def _is_wrong(path: _Path, sound: _Levels, floor: float, played: _Levels) -> bool:
    """Whether the path foretells what did not come: it was learnt from a caller, or the line has changed."""
    foretold = played[path.delay] - path.loss_db
    audible = foretold > floor + _AUDIBLE_DB
    missing = np.maximum(0.0, foretold - sound)[audible]
    return missing.size > 0 and float(missing.mean()) > _MISSING_DB


def _is_exceeded(path: _Path, sound: _Levels, floor: float, played: _Levels) -> bool:
    """Whether the latest sound is more than the path returns, a window sooner or later."""
    near = played[max(0, path.delay - 1) : path.delay + 2, -_EXCESS_OF:].max(axis=0)
    echo = np.maximum(near - path.loss_db, floor)
    return int(np.count_nonzero(sound[-_EXCESS_OF:] > echo + _EXCESS_DB)) >= _EXCESS_WINDOWS


def _level_db(power: float) -> float:
    return 10 * log10(max(power, _FAINTEST) / _FULL_SCALE)
