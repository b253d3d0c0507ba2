"""How a supervisor knows that a worker's event loop turns: a byte on a pipe each half second.

A worker that hangs, because it was stopped or because something blocks its loop, is alive for the kernel. Its calls are
not: nobody hears anything. So silence for too long is as good as death.
"""

import asyncio
import os
from contextlib import suppress

_BEAT_SECONDS = 0.5
_SILENT_SECONDS_MAX = 2.5
"""Five beats. A loop that is merely busy is late by a second at most, and its callers would hear nothing by then."""
_START_SECONDS_MAX = 120.0
"""From its first instruction to its first beat; a slow disk and a migration of nothing but imports fit in."""
_CLOSING_SECONDS_MAX = 40.0
"""From its last beat to its end."""
_AWAY_SECONDS = 1.0
"""A supervisor that looks so late was stopped itself, or the machine was."""
LOOK_SECONDS = 0.25


class Heart:
    """The worker's end: beats while the event loop turns, from the end of the start to the end of serving."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)
        os.set_inheritable(descriptor, False)
        self._timer: asyncio.TimerHandle | None = None

    def beat(self) -> None:
        """Beat now, and go on. A supervisor that is dead, or reads nothing for hours, is no worker's affair."""
        with suppress(OSError):
            os.write(self._descriptor, b".")
        self._timer = asyncio.get_running_loop().call_later(_BEAT_SECONDS, self.beat)

    def close(self) -> None:
        """Say that no beat comes any more because the worker ends."""
        if self._timer is not None:
            self._timer.cancel()
        os.close(self._descriptor)


class Pulse:
    """What the supervisor hears of one worker, and how long it may hear nothing. Times are the loop's clock."""

    def __init__(self, now: float) -> None:
        self._heard_at = now
        self._limit, self._missing = _START_SECONDS_MAX, "it did not start"

    def __repr__(self) -> str:
        return f"<Pulse heard at {self._heard_at:.2f}, {self._limit} s allowed>"

    def beat(self, now: float) -> None:
        """The worker's loop turns."""
        self._heard_at = now
        self._limit, self._missing = _SILENT_SECONDS_MAX, "its event loop did not turn"

    def closed(self, now: float) -> None:
        """The worker ends: no more beats come."""
        self._heard_at = now
        self._limit, self._missing = _CLOSING_SECONDS_MAX, "it did not end"

    def excuse(self, now: float) -> None:
        """The supervisor could not listen: what it did not hear says nothing."""
        self._heard_at = now

    def overdue(self, now: float) -> str | None:
        """Why the worker is as good as dead, or None."""
        return f"{self._missing} for {self._limit:g} s" if now - self._heard_at > self._limit else None


class Look:
    """Tells a supervisor that was away itself: stopped, without a core, or on a machine that slept."""

    def __init__(self, now: float) -> None:
        self._looked_at = now

    def was_away(self, now: float) -> bool:
        """Whether this look, which ought to come a quarter of a second after the last one, is much too late."""
        late, self._looked_at = now - self._looked_at > _AWAY_SECONDS, now
        return late
