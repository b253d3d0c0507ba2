"""One call of the load. It does as little work as possible, so that the bench measures the service."""

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

FRAME_SECONDS = 0.02
SAMPLE_RATE = 8000
FRAME_BYTES = int(SAMPLE_RATE * FRAME_SECONDS)
SILENCE = b"\xff" * FRAME_BYTES
"""μ-law."""
_START = json.dumps({"type": "start", "format": {"encoding": "mulaw", "sample_rate": SAMPLE_RATE}})
_BREATH_SECONDS = 0.3
_INTERRUPTS_AFTER_SECONDS = 1.0
_INTERRUPTS_EACH = 3
_PATIENCE_SECONDS = 20.0


@dataclass(slots=True)
class Heard:
    """What one call has measured. Moments are on the loop's clock."""

    greeted_after: float | None = None
    """Seconds from ``start`` to the first sound of the greeting."""
    answers: list[float] = field(default_factory=list)
    """The moment of the first sound of each answer."""
    paused_after: list[float] = field(default_factory=list)
    """Seconds from the first frame sent during an answer to the ``clear``."""
    unanswered: int = 0


class LoadCall:
    """Talks, listens, and interrupts every third answer. A pacer calls ``send_next`` every 20 ms."""

    def __init__(self, call_id: str, socket: ClientConnection, utterance: Sequence[bytes]) -> None:
        self.call_id = call_id
        self.heard = Heard()
        self._socket = socket
        self._utterance = utterance
        self._to_say: deque[bytes] = deque(maxlen=len(utterance))
        self._to_tell: deque[str] = deque(maxlen=100)
        self._received = 0
        self._cleared_at = 0.0
        self._playing_until = 0.0
        self._said_first_at: float | None = None
        self._sound_at: float | None = None
        self._sounds, self._ended, self._cleared = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._clock = asyncio.get_running_loop().time

    async def begin(self) -> None:
        """Send ``start``, and wait for the first sound of the greeting."""
        began = self._clock()
        await self._socket.send(_START)
        while not isinstance(message := await self._socket.recv(), bytes):
            if json.loads(message)["type"] in ("end", "error"):
                raise RuntimeError(f"the call did not begin: {message}")
        self.heard.greeted_after = self._clock() - began
        self._take_sound(message)

    async def send_next(self) -> None:
        """Send waiting messages, then the next 20 ms of speech or silence."""
        try:
            while self._to_tell:
                await self._socket.send(self._to_tell.popleft())
            if self._to_say and self._said_first_at is None:
                self._said_first_at = self._clock()
            await self._socket.send(self._to_say.popleft() if self._to_say else SILENCE)
        except ConnectionClosed:
            return

    async def listen(self) -> None:
        """Receive what the service sends, until the socket closes."""
        try:
            async for message in self._socket:
                if isinstance(message, bytes):
                    self._take_sound(message)
                else:
                    self._obey(json.loads(message))
        except ConnectionClosed:
            return

    async def talk(self) -> None:
        """Ask one question after another, until cancelled."""
        turn = 0
        await _within(self._ended)
        while True:
            turn += 1
            await asyncio.sleep(_BREATH_SECONDS)
            await self._say()
            if not await _within(self._sounds) or self._sound_at is None:
                self.heard.unanswered += 1
                continue
            self.heard.answers.append(self._sound_at)
            if turn % _INTERRUPTS_EACH == 0:
                await asyncio.sleep(_INTERRUPTS_AFTER_SECONDS)
                if not self._ended.is_set():
                    await self._interrupt()
            await _within(self._ended)

    async def _interrupt(self) -> None:
        """Interrupt the answer. That is a question too, but its answer is not counted."""
        self._cleared.clear()
        self._said_first_at = None
        await self._say()
        if self._cleared.is_set() and self._said_first_at is not None:
            self.heard.paused_after.append(self._cleared_at - self._said_first_at)

    async def _say(self) -> None:
        self._sound_at = None
        self._sounds.clear()
        self._ended.clear()
        self._to_say.extend(self._utterance)
        await asyncio.sleep(len(self._utterance) * FRAME_SECONDS)

    def _take_sound(self, audio: bytes) -> None:
        now = self._clock()
        self._received += len(audio)
        self._playing_until = max(self._playing_until, now) + len(audio) / SAMPLE_RATE
        if not self._to_say and self._sound_at is None:
            self._sound_at = now
            self._sounds.set()

    def _obey(self, message: dict[str, Any]) -> None:
        now = self._clock()
        match message["type"]:
            case "mark":
                asyncio.get_running_loop().call_later(max(0.0, self._playing_until - now), self._played, message)
            case "clear":
                unplayed = max(0, round((self._playing_until - now) * SAMPLE_RATE))
                self._to_tell.append(json.dumps({"type": "cleared", "played_samples": self._received - unplayed}))
                self._playing_until, self._cleared_at = now, now
                self._received -= unplayed
                self._cleared.set()
            case _:
                pass

    def _played(self, mark: dict[str, Any]) -> None:
        """Everything before the mark."""
        self._to_tell.append(json.dumps(mark))
        self._ended.set()


async def _within(event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await event.wait()
    except TimeoutError:
        return False
    return True
