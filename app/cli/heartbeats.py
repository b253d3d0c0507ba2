"""Heartbeats of workers: a byte on a pipe every half second shows the supervisor that the event loop runs.

A worker that hangs, because it was stopped or something blocks its event loop, is alive for the kernel, but its callers
hear nothing. So the supervisor treats a worker that is silent for too long as dead.
"""

import asyncio
import os
from contextlib import suppress

_BEAT_SECONDS = 0.5
_SILENT_SECONDS_MAX = 2.5
"""Five beats. A loop that is merely busy is late by a second at most."""
_START_SECONDS_MAX = 120.0
"""From the start of the process to its first beat. Leaves time for imports from a slow disk."""
_CLOSING_SECONDS_MAX = 40.0
"""From its last beat to the end of the process."""
_AWAY_SECONDS = 1.0
"""A supervisor that looks so late was stopped itself, or its machine was."""
LOOK_SECONDS = 0.25


class Heart:
    """The worker's side: beats while the event loop runs, from the end of the startup to the end of serving."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)
        os.set_inheritable(descriptor, False)
        self._timer: asyncio.TimerHandle | None = None

    def beat(self) -> None:
        """Beat now, and every half second from now on. Ignores a supervisor that is dead or does not read."""
        with suppress(OSError):
            os.write(self._descriptor, b".")
        self._timer = asyncio.get_running_loop().call_later(_BEAT_SECONDS, self.beat)

    def close(self) -> None:
        """Stop beating, because the worker ends. The supervisor sees the pipe closed."""
        if self._timer is not None:
            self._timer.cancel()
        os.close(self._descriptor)


class Pulse:
    """The supervisor's side: when it last heard of one worker, and how long silence is allowed.

    Times are those of the loop's clock.
    """

    def __init__(self, now: float) -> None:
        self._heard_at = now
        self._limit, self._missing = _START_SECONDS_MAX, "it did not start"

    def __repr__(self) -> str:
        return f"<Pulse heard at {self._heard_at:.2f}, {self._limit} s allowed>"

    def beat(self, now: float) -> None:
        """A beat has come: the worker's event loop runs."""
        self._heard_at = now
        self._limit, self._missing = _SILENT_SECONDS_MAX, "its event loop did not turn"

    def closed(self, now: float) -> None:
        """The worker has closed the pipe and is ending."""
        self._heard_at = now
        self._limit, self._missing = _CLOSING_SECONDS_MAX, "it did not end"

    def excuse(self, now: float) -> None:
        """The supervisor itself was away. Count the silence from now on."""
        self._heard_at = now

    def overdue(self, now: float) -> str | None:
        """Why the worker counts as dead; None if it does not."""
        return f"{self._missing} for {self._limit:g} s" if now - self._heard_at > self._limit else None


class Look:
    """Detects that the supervisor itself was away: stopped, without CPU time, or on a machine that slept."""

    def __init__(self, now: float) -> None:
        self._looked_at = now

    def was_away(self, now: float) -> bool:
        """Whether this look is much too late. It should come a quarter of a second after the last one."""
        late, self._looked_at = now - self._looked_at > _AWAY_SECONDS, now
        return late
