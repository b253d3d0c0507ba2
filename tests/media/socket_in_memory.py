"""A websocket in memory, and a caller side that keeps what it receives."""

import asyncio
import json
from typing import Any

from media.legs.websocket import FarEndGone


class Socket:
    """Messages in, messages out; the client stops reading, or goes, when the test says so."""

    def __init__(self, *incoming: str | bytes) -> None:
        self.sent: list[Any] = []
        self.closes: list[int] = []
        self.sending = 0
        self._incoming: asyncio.Queue[str | bytes | int] = asyncio.Queue()
        self._reads = asyncio.Event()
        self._reads.set()
        self.is_reset = False
        """Whether what is sent fails from now on."""
        for message in incoming:
            self.says(message)

    def says(self, message: str | bytes | dict[str, Any]) -> None:
        self._incoming.put_nowait(json.dumps(message) if isinstance(message, dict) else message)

    def goes(self, code: int) -> None:
        self._incoming.put_nowait(code)

    def stops_reading(self) -> None:
        self._reads.clear()

    def reads_again(self) -> None:
        self._reads.set()

    async def receive(self) -> str | bytes:
        message = await self._incoming.get()
        if isinstance(message, int):
            raise FarEndGone(message)
        return message

    async def send(self, message: str | bytes) -> None:
        self.sending += 1
        await self._reads.wait()
        self.sending -= 1
        if self.closes or self.is_reset:
            raise FarEndGone(1006)
        self.sent.append(message if isinstance(message, bytes) else json.loads(message))

    async def close(self, code: int) -> None:
        self.closes.append(code)

    def sent_types(self) -> list[str]:
        return ["audio" if isinstance(message, bytes) else message["type"] for message in self.sent]


class Caller:
    """Keeps what it receives; raises when the test says so."""

    def __init__(self) -> None:
        self.received: list[tuple[str, Any]] = []
        self.details: list[str | None] = []
        self.left = asyncio.Event()
        self.bug: Exception | None = None

    async def handle_audio_received(self, audio_data: bytes) -> None:
        if self.bug is not None:
            raise self.bug
        self.received.append(("hear", audio_data))

    def press(self, digit: str) -> None:
        self.received.append(("press", digit))

    def type_text(self, text: str) -> None:
        self.received.append(("type", text))

    def mark_played(self, name: str) -> None:
        self.received.append(("mark", name))

    def cleared(self, played_samples: int | None) -> None:
        self.received.append(("cleared", played_samples))

    def hold(self, is_held: bool) -> None:
        self.received.append(("hold", is_held))

    def lost_line(self, seconds_ago: float) -> None:
        self.received.append(("lost_line", seconds_ago))

    def regained_line(self, away_seconds: float) -> None:
        self.received.append(("regained_line", away_seconds))

    def leave(self, reason: str, detail: str | None = None) -> None:
        self.details.append(detail)
        self.received.append(("leave", reason))
        self.left.set()

    @property
    def reasons(self) -> list[Any]:
        return [value for what, value in self.received if what == "leave"]


async def settled() -> None:
    """Everything that is ready has run."""
    await asyncio.sleep(0.001)
