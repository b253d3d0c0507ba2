"""A stream that outlives its connections, whoever the vendor is; in virtual time."""

import asyncio

from app.clients.reconnecting import ReconnectingStream, StreamPatience
from app.clients.resilient import BaseResilientClient
from app.clients.stream_state import SttStreamState
from app.errors import ProviderUnavailable
from app.observability.listeners import Listeners
from app.ports.streams import SpeechEvent, StreamLost, StreamRestored, Transcript, TurnEnded
from app.ports.vendors import Charge
from media.formats import AudioFormat

VIRTUAL_TIME = True

FORMAT = AudioFormat("pcm_s16le", 8000)
FRAME = FORMAT.silence(160)


class Turns:
    """No turn is ever open."""

    open = False

    def close(self) -> tuple[SpeechEvent, ...]:
        return (TurnEnded(Transcript("the end")),)


class Connection:
    """Keeps the audio, and is cut after so many samples."""

    request_id = "toy-1"
    heard = stalled = follows_a_stall = False
    useful_seconds = owed_seconds = 0.0

    def __init__(self, state: SttStreamState[Turns], cut_after: int | None) -> None:
        self._state = state
        self._cut_after = cut_after
        self.audio = b""
        self.is_open = True
        self.on_working = Listeners[[]]("stream.working")

    async def replay(self) -> None:
        self.on_working()

    async def run(self) -> None:
        while True:
            while (piece := self._state.buffer.take(self._state.piece)) is not None:
                self.audio += piece.audio
                self._state.samples_sent += FORMAT.samples(piece.audio)
                if self._cut_after is not None and FORMAT.samples(self.audio) >= self._cut_after:
                    raise ProviderUnavailable("toy", "cut")
            if self._state.finishing:
                return
            self._state.changed.clear()
            await self._state.changed.wait()

    def abort(self) -> None:
        self.is_open = False

    async def close(self) -> None:
        self.is_open = False


class Client(BaseResilientClient):
    provider = "toy"


class Stream(ReconnectingStream[Turns]):
    """Its connections are cut as the test says; after those there are none."""

    def __init__(self, client: BaseResilientClient, *cuts: int | None) -> None:
        patience = StreamPatience(connect_seconds=1, give_up_seconds=3, steady_seconds=1, replay_seconds=5)
        super().__init__(client, Turns(), audio_format=FORMAT, patience=patience)
        self._cuts = list(cuts)
        self.connections: list[Connection] = []

    async def connect(self, seconds: float) -> Connection:
        if not self._cuts:
            raise ProviderUnavailable("toy", "nobody is there")
        self.connections.append(Connection(self._state, self._cuts.pop(0)))
        return self.connections[-1]

    def charges(self) -> list[Charge]:
        return [Charge(provider=self.provider, model="toy-ear", cost=None, seconds=self.audio_seconds_sent)]


async def speak(stream: Stream, frames: int) -> None:
    for _ in range(frames):
        stream.send(FRAME)
        await asyncio.sleep(0.02)


async def test_what_a_lost_connection_was_sent_is_sent_again_on_the_next() -> None:
    client = Client()
    async with Stream(client, 800, None) as stream:
        await speak(stream, 20)
        await stream.finish()
        events = [event async for event in stream]

    assert [type(event) for event in events] == [StreamLost, StreamRestored, TurnEnded]
    first, second = stream.connections
    assert len(first.audio) >= 1600, "it was cut after 800 samples"
    assert second.audio == FRAME * 20, "from the first sample on: nothing was transcribed for good"
    assert (client.get_metrics().requests, client.get_metrics().failures) == (2, 1)
    assert not first.is_open
    assert not second.is_open
    (charge,) = stream.charges()
    assert charge.seconds == (len(first.audio) + len(second.audio)) / 2 / 8000


async def test_a_vendor_that_stays_away_is_given_up() -> None:
    client = Client()
    async with Stream(client) as stream:
        began = asyncio.get_running_loop().time()
        events = [event async for event in stream]
        seconds = asyncio.get_running_loop().time() - began

    assert [(type(event), event.final) for event in events if isinstance(event, StreamLost)] == [
        (StreamLost, False), (StreamLost, True),
    ]  # fmt: skip
    assert len(events) == 2
    assert seconds <= 3
    assert client.get_metrics().failures > 3
