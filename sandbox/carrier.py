"""A stand-in for LiveKit SIP: brings a telephone into a room of a real LiveKit server as LiveKit SIP does.

https://docs.livekit.io/sip/: the caller's participant is of kind SIP, carries the ``sip.*`` attributes, rings until it
hears an audio track of somebody, and only then has the call answered. Sound passes through G.711 both ways.

It has no SIP, no RTP timeout and no RPC methods.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
from livekit import api, rtc

from sandbox.encodings import Samples, decode, encode
from sandbox.media_client import AgentAudio, CallEnded, CallFailed, ServiceMessage
from sandbox.media_format import FRAME_SECONDS, MediaFormat
from sandbox.mixer import Mixer
from sandbox.telephone import Telephone

RATE = 8000
TELEPHONE = Telephone(MediaFormat("mulaw", RATE), acknowledges_clear=False, echoes_marks=False)
"""What calls over a carrier are made with."""

_STATUS = "sip.callStatus"
_AGENT = "agent-"
_PIECE_SAMPLES = RATE // 100
"""Without a queue the SDK takes 10 ms at a time."""
_RINGS_SECONDS = 180.0
_EAR_FRAMES = 2
"""Frames the caller's earpiece is ahead, so that a late tick of this process makes no gap in what he hears."""
_DTMF_CODES = {digit: code for code, digit in enumerate("0123456789*#ABCD")}


@dataclass(frozen=True, slots=True)
class Carrier:
    """Knows a LiveKit server; the rule of dispatch gives every call a room of its own."""

    url: str
    """Websocket address."""
    api_key: str
    api_secret: str
    called_number: str = "+70000000001"
    room_prefix: str = "call"
    attributes: Mapping[str, str] = field(default_factory=dict)
    """More of them, for every caller."""

    @asynccontextmanager
    async def dial(self, number: str) -> AsyncIterator["TelephoneLine"]:
        """Call and wait until it is answered; the caller hangs up on leaving. Raises CallFailed when it is not."""
        async with self.ring(number) as line:
            await line.answered()
            yield line

    @asynccontextmanager
    async def ring(self, number: str) -> AsyncIterator["TelephoneLine"]:
        """A call that rings; the caller hangs up on leaving."""
        name = f"{self.room_prefix}_{number}_{secrets.token_hex(4)}"
        line = TelephoneLine(name)
        await line.join(self.url, self._token(name, number))
        try:
            yield line
        finally:
            await line.send_stop()

    def _token(self, room: str, number: str) -> str:
        attributes = {
            "sip.callID": f"SCL_{secrets.token_hex(6)}",
            "sip.phoneNumber": number,
            "sip.trunkPhoneNumber": self.called_number,
            "sip.trunkID": "ST_stand_in",
            "sip.ruleID": "SDR_stand_in",
            _STATUS: "ringing",
            **self.attributes,
        }
        grants = api.VideoGrants(room_join=True, room=room, can_update_own_metadata=True)
        token = api.AccessToken(self.api_key, self.api_secret).with_identity(f"sip_{number}").with_kind("sip")
        return token.with_attributes(attributes).with_grants(grants).to_jwt()


class TelephoneLine:
    """One telephone in one room. Task ``carrier.hears`` follows the agent's track; it ends with the line."""

    close_code: int | None = None
    """It is no websocket."""

    def __init__(self, room_name: str) -> None:
        self.room_name = room_name
        self.call_id = ""
        """Told by the identity of the agent, once the call is answered."""
        self.ready_at = 0.0
        """The loop's clock when the call was answered."""
        self._room = rtc.Room()
        self._source = rtc.AudioSource(RATE, 1, queue_size_ms=0)  # no queue: a late frame must not delay all after it
        self._mixer = Mixer(RATE)
        self._agent_heard = asyncio.Event()
        self._over = asyncio.Event()
        self._ended_by_service: str | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._room.on("track_subscribed", self._track_subscribed)
        self._room.on("disconnected", self._disconnected)

    def __repr__(self) -> str:
        state = "over" if self._over.is_set() else "active" if self.ready_at else "ringing"
        return f"<TelephoneLine {self.call_id or self.room_name} {state}>"

    async def join(self, url: str, token: str) -> None:
        """Enter the room and begin to ring."""
        await self._room.connect(url, token)
        track = rtc.LocalAudioTrack.create_audio_track("telephone", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await self._room.local_participant.publish_track(track, options)

    async def answered(self) -> None:
        """Ring until somebody's track is heard, then be active. Raises CallFailed as :meth:`rung` does."""
        await self.rung()
        await self._room.local_participant.set_attributes({_STATUS: "active"})
        self.ready_at = asyncio.get_running_loop().time()

    async def rung(self) -> None:
        """Ring until somebody's track is heard. Raises CallFailed when the service ends the call, or after 3 min."""
        heard = asyncio.get_running_loop().create_task(self._agent_heard.wait(), name="carrier.rings")
        over = asyncio.get_running_loop().create_task(self._over.wait(), name="carrier.over")
        waits = (heard, over)
        try:
            await asyncio.wait(waits, timeout=_RINGS_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
            await asyncio.wait(waits)
        if self._over.is_set() or not self._agent_heard.is_set():
            raise CallFailed(f"the call was not answered: {self._ended_by_service or 'it rang for too long'}")

    async def messages(self) -> AsyncIterator[ServiceMessage]:
        """The agent's sound, 20 ms each 20 ms, silence included."""
        yield AgentAudio(np.zeros(_EAR_FRAMES * RATE // 50, dtype=np.int16))
        given = 0
        while not await self._over_by(self.ready_at + given * FRAME_SECONDS):
            yield AgentAudio(self._mixer.next_frame())
            given += 1
        if self._ended_by_service is not None:
            yield CallEnded(self._ended_by_service)

    async def send_audio(self, audio: bytes) -> None:
        """μ-law, 20 ms."""
        if not self._over.is_set():
            for piece in decode(audio, "pcm_mulaw").reshape(-1, _PIECE_SAMPLES):
                await self._source.capture_frame(rtc.AudioFrame(piece.tobytes(), RATE, 1, _PIECE_SAMPLES))

    async def send_digit(self, digit: str) -> None:
        """As RFC 4733 telephone-event becomes."""
        if not self._over.is_set():
            await self._room.local_participant.publish_dtmf(code=_DTMF_CODES[digit], digit=digit)

    async def send_mark(self, name: str) -> None:
        """There are no marks."""

    async def send_cleared(self, played_samples: int) -> None:
        """Nobody asks."""

    async def send_stop(self) -> None:
        """Hang up; again it does nothing."""
        if not self._over.is_set():
            await self._room.local_participant.set_attributes({_STATUS: "hangup"})
            self._over.set()
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.wait([self._hearing])
        await self._room.disconnect()
        await self._source.aclose()

    async def close(self) -> None:
        """As hanging up."""
        await self.send_stop()

    async def _over_by(self, moment: float) -> bool:
        try:
            async with asyncio.timeout_at(moment):
                await self._over.wait()
        except TimeoutError:
            return False
        return True

    def _track_subscribed(
        self, track: rtc.Track, _publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if track.kind != rtc.TrackKind.KIND_AUDIO:
            return
        self.call_id = participant.identity.removeprefix(_AGENT)
        loop = asyncio.get_running_loop()
        if self._hearing is not None:
            self._hearing.cancel()
        self._hearing = loop.create_task(self._hear(track), name="carrier.hears")
        self._agent_heard.set()

    async def _hear(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, capacity=10, sample_rate=RATE, num_channels=1, frame_size_ms=20)
        try:
            async for event in stream:
                self._mixer.receive(_through_g711(np.frombuffer(event.frame.data, dtype=np.int16)))
        finally:
            await stream.aclose()

    def _disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        if not self._over.is_set():
            self._ended_by_service = rtc.DisconnectReason.Name(reason).lower()
            self._over.set()


def _through_g711(samples: Samples) -> Samples:
    return decode(encode(samples, "pcm_mulaw"), "pcm_mulaw")
