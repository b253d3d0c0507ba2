"""The state of a stream that outlives its sockets: audio to send, the turn so far, events to read."""

import asyncio
from collections import deque
from typing import Generic, Protocol, TypeVar

from app.clients.replay_buffer import ReplayBuffer
from app.models import Patience
from app.ports.streams import SpeechEvent, TurnUpdated

_EVENTS_KEPT = 1024
_REQUESTS_KEPT = 64


class Events:
    """A bounded queue of events. An update replaces a waiting update; when the queue is full the oldest is dropped."""

    def __init__(self) -> None:
        self._waiting: deque[SpeechEvent] = deque()
        self._changed = asyncio.Event()
        self.closed = False
        self.dropped = 0

    def put(self, event: SpeechEvent) -> None:
        """Add an event; never waits, because a slow reader must not keep the socket from answering pings."""
        if isinstance(event, TurnUpdated) and self._waiting and isinstance(self._waiting[-1], TurnUpdated):
            self._waiting.pop()
        if len(self._waiting) >= _EVENTS_KEPT:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(event)
        self._changed.set()

    def close(self) -> None:
        """Say that no more events come."""
        self.closed = True
        self._changed.set()

    async def next(self) -> SpeechEvent | None:
        """Wait for the oldest event; None once all are read and the queue is closed."""
        while not self._waiting and not self.closed:
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft() if self._waiting else None


class Turns(Protocol):
    """The caller's turn, built from a vendor's messages."""

    @property
    def open(self) -> bool:
        """Whether the caller is in the middle of a turn."""

    def close(self) -> tuple[SpeechEvent, ...]:
        """End the turn with what is known of it."""


TurnsT = TypeVar("TurnsT", bound=Turns)


class SttStreamState(Generic[TurnsT]):
    """What one stream keeps across connections: the audio to send, the turn so far, the events to read."""

    def __init__(self, *, buffer: ReplayBuffer, turns: TurnsT, piece: int) -> None:
        self.buffer = buffer
        self.piece = piece
        """The largest message, in samples. While nobody speaks, also the smallest."""
        self.turns = turns
        self.events = Events()
        self.changed = asyncio.Event()
        """Set when there may be audio to send, a turn has begun, the patience changed, or the stream must finish."""
        self.sent = asyncio.Event()
        """Set when audio was sent."""
        self.finishing = False
        self.sound_since: float | None = None
        """When the caller's current sound began, on the loop's clock; None while there is none."""
        self.last_sound: tuple[float, float] | None = None
        """When the caller's last sound that is over began and ended, on the loop's clock."""
        self.patience = Patience.NORMAL
        """How long a pause must be to end the caller's turn, for vendors that accept it."""
        self.samples_sent = 0
        self.ignored = 0
        self.request_ids: list[str] = []

    @property
    def has_to_send(self) -> bool:
        """Whether audio should be sent now; in silence it waits for more, because each message has a cost."""
        unsent = self.buffer.unsent
        if unsent >= self.piece:
            return True
        return unsent > 0 and (self.turns.open or self.sound_since is not None or self.finishing)

    def note_sound(self, *, is_heard: bool, now: float) -> None:
        """Note that the caller has started or stopped making sound."""
        if not is_heard and self.sound_since is not None:
            self.last_sound = self.sound_since, now
        self.sound_since = now if is_heard else None
        self.changed.set()

    def emit(self, *events: SpeechEvent) -> None:
        """Queue events for the reader."""
        for event in events:
            self.events.put(event)

    def note_request(self, request_id: str | None) -> None:
        """Keep the vendor's id, if there is one and it is new. Beyond the bound, the first ones stay."""
        if request_id is not None and request_id not in self.request_ids and len(self.request_ids) < _REQUESTS_KEPT:
            self.request_ids.append(request_id)

    def close(self) -> None:
        """Wake all waiters."""
        self.events.close()
        self.sent.set()
