"""Our leg in a room of a real livekit-server, with participants that a test leads by hand."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from livekit import api, rtc
from numpy.typing import NDArray

from app.backoff import Backoff
from media.legs.room import RoomLeg
from tests.room.servers import KEY, SECRET

RATE = 16000
CALLER, AGENT = "sip_+79990000001", "agent-call_1"
_PIECE_SECONDS = 0.02
_LOOK_SECONDS = 0.01
_PROBE_HERTZ, _SILENCE_SECONDS = 2000.0, 0.3


def token(room: str, identity: str, *, kind: api.AccessToken.ParticipantKind = "sip", publishes: bool = True) -> str:
    """For a telephone that has been answered, or for an agent."""
    grants = api.VideoGrants(room_join=True, room=room, can_publish=publishes, can_update_own_metadata=True)
    attributes = {"sip.callStatus": "active"} if kind == "sip" else {}
    made = api.AccessToken(KEY, SECRET).with_identity(identity).with_kind(kind).with_grants(grants)
    return made.with_attributes(attributes).to_jwt()


def tone(hertz: float, seconds: float) -> bytes:
    """At a third of full scale, in the leg's format."""
    return (np.sin(np.arange(round(RATE * seconds)) * 2 * np.pi * hertz / RATE) * 11000).astype("<i2").tobytes()


def share(audio: bytes, hertz: float) -> float:
    """Of the sound's power, what is within 20 Hz of a tone; 0 for silence."""
    samples = np.frombuffer(audio, dtype="<i2").astype(np.float64)
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    near = np.abs(np.fft.rfftfreq(len(samples), 1 / RATE) - hertz) < 20
    return float(power[near].sum() / power.sum()) if (samples**2).mean() > 1e4 else 0.0


class CallSide:
    """The call's side of a leg, which keeps what the leg passes on."""

    def __init__(self) -> None:
        self.audio = bytearray()
        self.digits = ""
        self.marks: dict[str, float] = {}
        """By name, on the loop's clock."""
        self.left: list[str] = []
        self.holds: list[bool] = []
        self.lost: list[float] = []
        self.regained: list[float] = []

    async def handle_audio_received(self, audio_data: bytes) -> None:
        self.audio += audio_data

    def press(self, digit: str) -> None:
        self.digits += digit

    def type_text(self, text: str) -> None:
        raise AssertionError("nobody types in a room")

    def mark_played(self, name: str) -> None:
        self.marks[name] = asyncio.get_running_loop().time()

    def cleared(self, played_samples: int | None) -> None: ...

    def hold(self, is_held: bool) -> None:
        self.holds.append(is_held)

    def lost_line(self, seconds_ago: float) -> None:
        self.lost.append(seconds_ago)

    def regained_line(self, away_seconds: float) -> None:
        self.regained.append(away_seconds)

    def leave(self, reason: str, detail: str | None = None) -> None:
        self.left.append(reason)

    async def hears(self, hertz: float | None, seconds: float = 0.3) -> None:
        """Return once nothing else has been heard for so long; None is silence."""
        size = round(RATE * seconds) * 2
        while True:
            start = len(self.audio)
            await until(lambda: len(self.audio) >= start + size)  # noqa: B023 - is awaited in the same round
            heard = bytes(self.audio[start:])
            if (share(heard, hertz) > 0.9) if hertz else np.abs(np.frombuffer(heard, "<i2")).max() < 500:
                return


class Participant:
    """Somebody in the room who makes tones and keeps what they hear of the agent."""

    def __init__(self, url: str, room_name: str) -> None:
        self.url, self.room_name = url, room_name
        self.room = rtc.Room()
        self.heard: list[tuple[float, NDArray[np.int16]]] = []
        """With the loop's time when it came."""
        self.digits = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._publications: dict[float, tuple[rtc.LocalTrackPublication, rtc.LocalAudioTrack]] = {}
        self.room.on("track_subscribed", self._listen)
        self.room.on("sip_dtmf_received", self._key_pressed)

    async def join(self, identity: str, kind: api.AccessToken.ParticipantKind = "sip") -> None:
        await self.room.connect(self.url, token(self.room_name, identity, kind=kind))

    async def leave(self) -> None:
        await self.room.disconnect()  # from then on no track comes that would be listened to
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def plays(self, hertz: float) -> None:
        """From now on, on a track of its own."""
        source = rtc.AudioSource(RATE, 1, queue_size_ms=100)
        track = rtc.LocalAudioTrack.create_audio_track(f"tone {hertz}", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        self._publications[hertz] = (await self.room.local_participant.publish_track(track, options), track)
        self._tasks.append(asyncio.get_running_loop().create_task(_play(source, hertz), name="plays"))

    async def stops(self, hertz: float) -> None:
        """The track is gone."""
        await self.room.local_participant.unpublish_track(self._publications[hertz][0].sid)

    def mutes(self, hertz: float, *, muted: bool) -> None:
        track = self._publications[hertz][1]
        (track.mute if muted else track.unmute)()

    def seconds_of(self, hertz: float) -> float:
        """So much of a tone has been heard."""
        return sum(_PIECE_SECONDS for _, piece in self.heard if share(piece.tobytes(), hertz) > 0.5)

    def last_heard_at(self) -> float:
        """When sound came last; on the loop's clock."""
        return max((at for at, piece in self.heard if np.abs(piece).max() > 1000), default=0.0)

    async def is_reached_by(self, leg: RoomLeg) -> None:
        """Return once they hear the leg, and it is silent again. Audio sent during the subscription is lost."""
        heard = self.seconds_of(_PROBE_HERTZ)
        while self.seconds_of(_PROBE_HERTZ) == heard:
            leg.send_audio(tone(_PROBE_HERTZ, 0.1))
            await asyncio.sleep(0.1)
        while self.seconds_of(_PROBE_HERTZ) > heard:
            heard = self.seconds_of(_PROBE_HERTZ)
            await asyncio.sleep(_SILENCE_SECONDS)

    def _listen(self, track: rtc.Track, *_: Any) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(self._hear(track), name="listens"))

    async def _hear(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=20)
        try:
            async for event in stream:
                now = asyncio.get_running_loop().time()
                self.heard.append((now, np.frombuffer(bytes(event.frame.data), dtype=np.int16)))
        finally:
            await stream.aclose()

    def _key_pressed(self, key: rtc.SipDTMF) -> None:
        self.digits += key.digit


async def _play(source: rtc.AudioSource, hertz: float) -> None:
    second = tone(hertz, 1)  # whole periods
    size = round(RATE * _PIECE_SECONDS) * 2
    while True:
        for start in range(0, len(second), size):
            await source.capture_frame(rtc.AudioFrame(second[start : start + size], RATE, 1, size // 2))


class Ends:
    """What the leg asks of the server at the end; it keeps that it was asked."""

    asked = 0

    def __call__(self) -> None:
        self.asked += 1


@asynccontextmanager
async def participant(url: str, room_name: str | None = None, identity: str = CALLER) -> AsyncIterator[Participant]:
    """In a room, a new one if none is named, until the context is left."""
    made = Participant(url, room_name or f"leg_{secrets.token_hex(4)}")
    await made.join(identity)
    try:
        yield made
    finally:
        await made.leave()


def leg_beside(caller: Participant, ends: Ends, *, url: str | None = None, publishes: bool = True) -> RoomLeg:
    """In the caller's room; ``url`` if it does not reach the server directly."""
    return RoomLeg(
        url=url or caller.url,
        token=lambda: token(caller.room_name, AGENT, kind="agent", publishes=publishes),
        caller=CALLER,
        name="call_1",
        end_call=ends,
        rejoin_delay=Backoff(first_seconds=0.25, max_seconds=4.0).delay,
    )


@asynccontextmanager
async def running(leg: RoomLeg, side: CallSide) -> AsyncIterator[RoomLeg]:
    """A leg that has been answered; hung up at the end. A bug in it is raised here."""
    carrying = asyncio.get_running_loop().create_task(leg.run(side), name="leg")
    try:
        await leg.answer("call_1")
        yield leg
    finally:
        await leg.hang_up("agent_hangup")
        await carrying


async def until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    """Return once it is so."""
    async with asyncio.timeout(seconds):
        while not is_so():
            await asyncio.sleep(_LOOK_SECONDS)


class Wire:
    """Between a participant and the server's signalling; it can be cut, and refuse until it is mended."""

    def __init__(self, server_url: str) -> None:
        self._server_port = urlsplit(server_url).port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_cut = False

    @property
    def url(self) -> str:
        assert self._server
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        self._is_cut = True
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        self._is_cut = False

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._server_port)
        pair = {writer, back}
        self._open |= pair
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pass_on(reader, back), name="wire.out")
                tasks.create_task(_pass_on(there, writer), name="wire.in")
        finally:
            self._open -= pair

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server
        self.cut()
        self._server.close()
        await self._server.wait_closed()
        await until(lambda: not self._open)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()
