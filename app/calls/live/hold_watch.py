"""Detects that no audio comes from the caller: the line is open, but the caller is on hold or gone."""

import asyncio
from collections.abc import Callable

from app.calls.live.call_clock import CallClock
from app.conversation import events as ev

HELD_AFTER_SECONDS = 2.0
"""No audio for this long means a hold, because a far end sends silence as audio. Longer than networks stall, and
shorter than callers wait for an answer.
"""


class HoldWatch:
    """Emits CallerHeld when the caller's audio stops, and CallerReturned when it comes again.

    Use it in a running event loop.
    """

    def __init__(self, clock: CallClock, emit: Callable[[ev.Event], None]) -> None:
        self._clock = clock
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self._last_at = 0.0
        self._held_since: float | None = None
        self._muted = False
        self._timer: asyncio.TimerHandle | None = None

    def note_audio(self) -> None:
        """Note that audio has come."""
        self._last_at = self._loop.time()
        if self._held_since is not None and not self._muted:
            self._end_hold()
        if self._timer is None:
            self._timer = self._loop.call_later(HELD_AFTER_SECONDS, self._look)

    def hold(self, is_held: bool) -> None:
        """The far end reports that the hold begins or ends. Audio during it does not end it."""
        self._muted = is_held
        if is_held and self._held_since is None:
            self._begin_hold(self._loop.time())
        elif not is_held and self._held_since is not None:
            self._end_hold()

    def stop(self) -> None:
        """Stop watching: the call is over."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        due_at = self._last_at + HELD_AFTER_SECONDS
        if self._loop.time() < due_at:
            self._timer = self._loop.call_at(due_at, self._look)
            return
        self._timer = None  # until audio comes again
        if self._held_since is None:
            self._begin_hold(self._last_at)

    def _begin_hold(self, since: float) -> None:
        self._held_since = since
        now = self._clock.call_seconds()
        self._emit(ev.CallerHeld(round(max(0.0, now - (self._loop.time() - since)), 3)))

    def _end_hold(self) -> None:
        held_seconds = self._loop.time() - (self._held_since or 0.0)
        self._held_since = None
        self._emit(ev.CallerReturned(round(held_seconds, 3)))
