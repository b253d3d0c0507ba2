"""What outlives the sockets of one caller: audio to be sent, the turn so far, events to be read."""

import asyncio
from collections import deque

from app.clients.deepgram.replay_buffer import ReplayBuffer
from app.clients.deepgram.spoken import read_token
from app.clients.deepgram.turn_assembly import TurnAssembly
from app.ports.streams import SpeechEvent, TurnUpdated

_EVENTS_KEPT = 1024
_REQUESTS_KEPT = 64


class Events:
    """Events that wait to be read. An update replaces an update that waits; when all is full the oldest goes."""

    def __init__(self) -> None:
        self._waiting: deque[SpeechEvent] = deque()
        self._changed = asyncio.Event()
        self.closed = False
        self.dropped = 0

    def put(self, event: SpeechEvent) -> None:
        """Never waits: a reader that is slow must not keep the socket from answering pings."""
        if isinstance(event, TurnUpdated) and self._waiting and isinstance(self._waiting[-1], TurnUpdated):
            self._waiting.pop()
        if len(self._waiting) >= _EVENTS_KEPT:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(event)
        self._changed.set()

    def close(self) -> None:
        """Nothing more comes."""
        self.closed = True
        self._changed.set()

    async def next(self) -> SpeechEvent | None:
        """The oldest event; None when all are read and nothing more comes."""
        while not self._waiting and not self.closed:
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft() if self._waiting else None


class SttStreamState:
    """What outlives a socket: the audio to be heard, the turn so far, the events to be read."""

    def __init__(self, *, buffer: ReplayBuffer, turns: TurnAssembly, piece: int) -> None:
        self.buffer = buffer
        self.piece = piece
        """Samples of a message at most, and at least while nobody speaks."""
        self.turns = turns
        self.events = Events()
        self.changed = asyncio.Event()
        """There may be audio to send, or a turn has begun, or the stream is to finish."""
        self.sent = asyncio.Event()
        """Audio went out."""
        self.finishing = False
        self.sound_since: float | None = None
        """When the caller began to make the sound they are making, by the loop's clock; None while they make none."""
        self.samples_sent = 0
        self.ignored = 0
        self.request_ids: list[str] = []

    @property
    def has_to_send(self) -> bool:
        """Whether there is audio that is not to wait for more: each message has its price, and silence has time."""
        unsent = self.buffer.unsent
        if unsent >= self.piece:
            return True
        return unsent > 0 and (self.turns.open or self.sound_since is not None or self.finishing)

    def emit(self, *events: SpeechEvent) -> None:
        """Give events to the reader."""
        for event in events:
            self.events.put(event)

    def note_request(self, request_id: object) -> None:
        """Keep Deepgram's id, if it is one and new. Beyond the bound, the first ones stay."""
        request_id = read_token(request_id)
        if request_id is not None and request_id not in self.request_ids and len(self.request_ids) < _REQUESTS_KEPT:
            self.request_ids.append(request_id)

    def close(self) -> None:
        """Wake everybody who waits."""
        self.events.close()
        self.sent.set()
