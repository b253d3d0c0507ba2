"""Calls the service itself over its own websocket, as a caller would: hears the greeting, says one line, is answered.

The messages are those of the native media protocol, see :mod:`media.dialects.native`. Task ledger:

``own-door:speak``  sends 20 ms of sound 50 times a second: the line when it is time, else silence. Ends with the call.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

_FRAME_BYTES = 160
_FRAME_SECONDS = 0.02
_SILENCE = b"\xff" * _FRAME_BYTES
_BYTES_PER_SECOND = 8000
_FORMAT = {"encoding": "mulaw", "sample_rate": 8000}
_MESSAGE_BYTES = 1 << 20


class OwnCallFailed(Exception):
    """The call did not go as one should. The text is the step that failed: see :class:`Patience`; also ``ended``."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds each step may take."""

    connected: float = 5.0
    ready: float = 5.0
    greeted: float = 10.0
    """Until the greeting begins."""
    heard_out: float = 60.0
    """Until it has ended."""
    answered: float = 15.0
    """From the end of the line until an answer begins; a filler is none."""


async def call_own_door(url: str, line: bytes, patience: Patience = Patience()) -> None:
    """Hold the call. ``line`` is what the caller says, as 8000 Hz μ-law. Raises OwnCallFailed."""
    try:
        async with connect(
            url, open_timeout=patience.connected, proxy=None, max_size=_MESSAGE_BYTES, ping_interval=None
        ) as socket:
            await _OwnCall(socket, line, patience).hold()
    except ConnectionClosed as error:
        raise OwnCallFailed("ended") from error
    except (OSError, TimeoutError, WebSocketException) as error:
        raise OwnCallFailed("connected") from error


class _OwnCall:
    def __init__(self, socket: ClientConnection, line: bytes, patience: Patience) -> None:
        self._socket = socket
        self._line = line
        self._patience = patience
        self._unsaid = b""

    async def hold(self) -> None:
        failure: OwnCallFailed | None = None
        await self._socket.send(json.dumps({"type": "start", "format": _FORMAT, "events": True}))
        await self._until("ready", lambda message: message["type"] == "ready", self._patience.ready)
        async with asyncio.TaskGroup() as tasks:
            speaking = tasks.create_task(self._speak(), name="own-door:speak")
            try:
                await self._converse()
            except OwnCallFailed as error:
                failure = error
            finally:
                speaking.cancel()
        if failure is not None:
            raise failure
        await self._socket.send(json.dumps({"type": "stop"}))

    async def _converse(self) -> None:
        await self._until("greeted", _begins, self._patience.greeted)
        await self._until("heard_out", lambda message: _row(message) == "agent.finished", self._patience.heard_out)
        self._unsaid = self._line
        saying = len(self._line) / _BYTES_PER_SECOND
        await self._until("answered", _answers, saying + self._patience.answered)

    async def _until(self, step: str, is_it: Callable[[Mapping[str, Any]], bool], seconds: float) -> None:
        """Read messages up to that one. Raises OwnCallFailed with the step if it does not come in time."""
        try:
            async with asyncio.timeout(seconds):
                async for message in self._socket:
                    if isinstance(message, bytes):
                        continue
                    data = json.loads(message)
                    if is_it(data):
                        return
                    if data["type"] in ("end", "error"):
                        break
        except TimeoutError as error:
            raise OwnCallFailed(step) from error
        except ConnectionClosed as error:
            raise OwnCallFailed("ended") from error
        raise OwnCallFailed("ended")

    async def _speak(self) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        with suppress(ConnectionClosed):
            while True:
                frame, self._unsaid = self._unsaid[:_FRAME_BYTES], self._unsaid[_FRAME_BYTES:]
                await self._socket.send(frame + _SILENCE[len(frame) :])
                due += _FRAME_SECONDS
                await asyncio.sleep(max(0.0, due - clock()))


def _row(message: Mapping[str, Any]) -> str | None:
    """The type of the journal row that a message has; None if it has none."""
    return message["event"]["type"] if message["type"] == "event" else None


def _begins(message: Mapping[str, Any]) -> bool:
    return _row(message) == "agent.reply_started"


def _answers(message: Mapping[str, Any]) -> bool:
    return _begins(message) and message["event"]["data"].get("kind") == "reply"
