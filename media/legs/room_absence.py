"""How long the agent is away from its room, from the moment at which the connection was lost."""

import asyncio
from collections.abc import Callable

AWAY_SECONDS_MAX = 30.0
"""After this the room is given up."""
_NOTICED_SECONDS = 0.5
"""A connection that is restored sooner was hardly heard to be lost."""


class RoomAbsence:
    """Tells when the room is away, back, or given up. Never waits.

    ::

        lost ──0.5 s──► away (``on_lost``) ──30 s──► given up (``on_given_up``)
          │               │
          └──regained──►  └──regained──► ``on_regained``
    """

    def __init__(
        self,
        *,
        on_lost: Callable[[float], None],
        on_regained: Callable[[float], None],
        on_given_up: Callable[[], None],
    ) -> None:
        """``on_lost`` and ``on_regained`` get for how many seconds the room has been away."""
        self._on_lost, self._on_regained, self._on_given_up = on_lost, on_regained, on_given_up
        self._lost_at: float | None = None
        self._is_away = False
        self._timer: asyncio.TimerHandle | None = None
        self.is_connected = True
        """Whether the room itself can be reached; the caller need not be there."""

    @property
    def until(self) -> float:
        """When the room is given up, by the loop's clock."""
        lost_at = asyncio.get_running_loop().time() if self._lost_at is None else self._lost_at
        return lost_at + AWAY_SECONDS_MAX

    def lost(self, *, for_certain: bool) -> None:
        """The connection is lost; ``for_certain`` if nobody restores it by itself."""
        loop = asyncio.get_running_loop()
        self.is_connected = False
        if self._lost_at is None:
            self._lost_at = loop.time()
        if not self._is_away:
            self.stop()
            self._timer = loop.call_later(0.0 if for_certain else _NOTICED_SECONDS, self._tell)

    def connected(self) -> None:
        """The room can be reached again."""
        self.is_connected = True

    def regained(self) -> None:
        """The caller is in the room. Nothing happens while the room cannot be reached."""
        if not self.is_connected or self._lost_at is None:
            return
        self.stop()
        away_seconds = asyncio.get_running_loop().time() - self._lost_at
        was_away, self._is_away, self._lost_at = self._is_away, False, None
        if was_away:
            self._on_regained(away_seconds)

    def stop(self) -> None:
        """Tell nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        self._is_away = True
        self._timer = loop.call_at(self.until, self._on_given_up)
        self._on_lost(loop.time() - (self._lost_at or 0.0))
