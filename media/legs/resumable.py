"""A leg over a websocket whose client may lose its socket, and go on with the call over another one.

::

    socket ──lost──► lost_line: the voice waits where the caller stopped hearing it
                        │──another socket within 10 s──► ready with "resumed", regained_line: the voice goes on
                        └──none──► media_lost
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from media.formats import AudioFormat
from media.legs.leg import LegListener
from media.legs.websocket import WebSocketLeg

RESUME_SECONDS = 10.0
"""How long a call waits for its client."""
_EVENTS_KEPT = 2000
"""Rows that are kept for a client that is away; then the oldest are dropped, and the client sees a gap in their seq."""

NewToken = Callable[[str | None], Awaitable[str | None]]
"""Makes the token for the next resumption, and stores it; None if that is not possible now.

It takes the token that the client has used, which stays valid: the client may never get ``ready`` with the next one.
"""


class ResumableLeg:
    """The leg of one call, over one socket at a time. ``run`` runs the sockets' legs, one after another."""

    can_send_digits = False
    output_latency_seconds = 0.0

    def __init__(self, first: WebSocketLeg, name: str, *, new_token: NewToken, used: str | None = None) -> None:
        """``used``: the token with which the client goes on with a call that another process has begun."""
        self._socket = first
        self._name = name
        self._new_token = new_token
        self._used = used
        self._caller: LegListener | None = None
        self._away_since: float | None = None
        self._missed: deque[Mapping[str, Any]] = deque(maxlen=_EVENTS_KEPT)
        self._changed = asyncio.Event()
        self._is_ready = False
        self._is_over = False

    def __repr__(self) -> str:
        return f"<ResumableLeg {self._name} {'away' if self._is_away else self._socket!r}>"

    @property
    def wants_events(self) -> bool:
        """Whether the client asked for journal rows."""
        return self._socket.wants_events

    @property
    def audio_format(self) -> AudioFormat:
        """The format of both directions, the same over every socket."""
        return self._socket.audio_format

    @property
    def _is_away(self) -> bool:
        """Whether the last socket is lost, and there is no other yet."""
        return self._socket.lost is not None

    async def answer(self, call_id: str) -> None:
        """Send ``ready``, with the token for the next socket."""
        self._socket.send_ready(call_id, await self._new_token(self._used), is_resumed=self._used is not None)
        self._is_ready = True
        self._send_missed()

    async def resume(self, socket: WebSocketLeg, used: str) -> None:
        """Go on over this socket, in place of one that is lost, or that only the client knows to be lost."""
        socket.send_ready(self._name, await self._new_token(used), is_resumed=True)
        before, self._socket = self._socket, socket
        self._send_missed()
        before.drop()
        self._changed.set()

    def _send_missed(self) -> None:
        for row in self._missed:
            self._socket.send_event(row)
        self._missed.clear()

    def send_audio(self, audio: bytes) -> None:
        """Queue audio for the caller, unless they are away."""
        if not self._is_away:
            self._socket.send_audio(audio)

    def send_clear(self) -> None:
        """Discard what has not been played. A client that is away does not say how much it had played."""
        if not self._is_away:
            self._socket.send_clear()
        elif self._caller is not None:
            asyncio.get_running_loop().call_soon(self._caller.cleared, None)

    def send_mark(self, name: str) -> None:
        """Ask the far end to report when it has played the audio so far."""
        if not self._is_away:
            self._socket.send_mark(name)

    def send_event(self, row: Mapping[str, Any]) -> None:
        """Send a row, or keep it for a client that is away, or has not got ``ready`` yet."""
        if self._is_ready and not self._is_away:
            self._socket.send_event(row)
        else:
            self._missed.append(row)

    def send_digits(self, digits: str) -> None:
        """Do nothing: there is no telephone line behind the websocket."""

    async def hang_up(self, reason: str) -> None:
        """Send the end and close."""
        self._is_over = True
        self._changed.set()
        if not self._is_away:
            await self._socket.hang_up(reason)

    async def run(self, caller: LegListener) -> None:
        """Pass on what comes in, over all sockets; returns once the call is over or its client does not come back."""
        self._caller = caller
        while True:
            socket = self._socket
            is_first = self._away_since is None and self._used is None
            listener = caller if is_first else cast(LegListener, _Resumed(caller))
            if self._away_since is not None:
                away, self._away_since = asyncio.get_running_loop().time() - self._away_since, None
                caller.regained_line(away)
            await socket.run(listener)
            if socket.lost is None or self._is_over:
                return
            self._away_since = asyncio.get_running_loop().time()
            caller.lost_line(0.0)
            for _ in range(socket.open_clears):
                caller.cleared(None)
            if not await self._returns(socket):
                caller.leave("media_lost", socket.lost)
                return

    async def _returns(self, before: WebSocketLeg) -> bool:
        """Wait until there is another socket. False when the call is over, or nobody has come."""
        try:
            async with asyncio.timeout(RESUME_SECONDS):
                while self._socket is before and not self._is_over:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return not self._is_over


class _Resumed:
    """The call, for a socket that is not its first: its client counts what it has played from its own ``ready``."""

    def __init__(self, caller: LegListener) -> None:
        self._caller = caller

    def __getattr__(self, name: str) -> Any:
        return getattr(self._caller, name)

    def cleared(self, _played_samples: int | None) -> None:
        self._caller.cleared(None)
