"""One telephone in one room of a LiveKit server, as LiveKit SIP puts it there.

https://docs.livekit.io/sip/: a participant of kind SIP with the ``sip.*`` attributes, and audio through G.711 both
ways. Its ``sip.callStatus`` becomes ``hangup`` just before it leaves. It answers the RPC method ``lk.sip.EndCall``.
LiveKit SIP drops a call without audio from the telephone.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any

import numpy as np
from livekit import rtc

from sandbox.caller.media_client import AgentAudio, CallEnded, CallFailed, ServiceMessage
from sandbox.caller.media_format import FRAME_SECONDS
from sandbox.caller.span_detector import FULL_SCALE
from sandbox.carrier.mixer import Mixer
from sandbox.vendors.encodings import Samples, decode, encode

RATE = 8000
STATUS = "sip.callStatus"
RINGS_SECONDS = 180.0
"""The longest ringing, however patient the caller is."""
FIRST_SOUND_SECONDS = 30.0
SOUND_SECONDS = 15.0
"""The call is dropped after this long without audio from the telephone; the first audio may take longer."""
_LEAVES_SECONDS = 3.0
_AGENT = "agent-"
_PIECE_SAMPLES = RATE // 100
"""Without a queue, the SDK's source takes 10 ms at a time."""
_EARPIECE_FRAMES = 2
"""How many frames the earpiece is ahead, so that a late tick of this process causes no gap in what is heard."""
_DTMF_CODES = {digit: code for code, digit in enumerate("0123456789*#ABCD")}


class TelephoneLine:
    """A caller's telephone rings until it hears a track (``rung``); a called telephone is answered with ``answer``.

    Its tasks: ``carrier.hears`` reads one track of the room and ends with it, or with the line; ``carrier.drops``
    leaves the room on LiveKit SIP's behalf and ends when that is done; ``carrier.works`` and ``carrier.over`` wait for
    an operation and for the end of the call, and both end with whichever comes first.
    """

    close_code: int | None = None
    """Always None: the line is not a websocket."""

    def __init__(
        self,
        room_name: str,
        identity: str,
        *,
        is_called: bool = False,
        first_sound_seconds: float = FIRST_SOUND_SECONDS,
        sound_seconds: float = SOUND_SECONDS,
    ) -> None:
        """``is_called``: the telephone is dialled, and hears nothing of the room before it answers."""
        self.room_name = room_name
        self.identity = identity
        self.participant_sid = ""
        self.call_id = ""
        """Read from the agent's identity, once the agent is in the room."""
        self.ready_at = 0.0
        """The loop's clock when the call was answered."""
        self.digits = ""
        """The keys that the agent pressed."""
        self._first_sound_seconds = first_sound_seconds
        self._sound_seconds = sound_seconds
        self._is_called = is_called
        self._room = rtc.Room()
        self._source = rtc.AudioSource(RATE, 1, queue_size_ms=0)  # no queue: a late frame must not delay all after it
        self._mixers: dict[str, tuple[Mixer, asyncio.Task[None]]] = {}
        """By track id: the telephone hears everyone who speaks in the room."""
        self._somebody_heard = asyncio.Event()
        self._over = asyncio.Event()
        self._ended_by_service: str | None = None
        self._dropping: asyncio.Task[None] | None = None
        self._sound_at = 0.0
        self._silence: asyncio.TimerHandle | None = None
        self._room.on("track_published", self._track_published)
        self._room.on("track_subscribed", self._track_subscribed)
        self._room.on("track_unsubscribed", self._track_unsubscribed)
        self._room.on("participant_connected", self._participant_seen)
        self._room.on("sip_dtmf_received", self._key_pressed)
        self._room.on("disconnected", self._disconnected)

    def __repr__(self) -> str:
        state = "over" if self._over.is_set() else "active" if self.ready_at else "ringing"
        return f"<TelephoneLine {self.call_id or self.room_name} {state}>"

    @property
    def is_over(self) -> bool:
        """Whether either side has ended the call."""
        return self._over.is_set()

    async def join(self, url: str, token: str) -> None:
        """Enter the room and begin to ring."""
        await self._room.connect(url, token, rtc.RoomOptions(auto_subscribe=not self._is_called))
        for other in self._room.remote_participants.values():
            self._participant_seen(other)
        participant = self._room.local_participant
        self.participant_sid = participant.sid
        participant.register_rpc_method("lk.sip.EndCall", self._end_call_asked)
        track = rtc.LocalAudioTrack.create_audio_track("telephone", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await self._unless_over(participant.publish_track(track, options))

    async def answered(self) -> None:
        """Ring until there is a track, then become active. Raises CallFailed as :meth:`rung` does."""
        await self.rung()
        await self.answer()

    async def rung(self) -> None:
        """Ring until there is a track to hear. Raises CallFailed when the service ends the call, or after 3 min."""
        if not await self.hears_somebody_within(RINGS_SECONDS):
            raise CallFailed(f"the call was not answered: {self._ended_by_service or 'it rang for too long'}")

    async def hears_somebody_within(self, seconds: float) -> bool:
        """Whether there is a track to hear within this time and before the call is over."""
        await self._unless_over(self._somebody_heard.wait(), seconds)
        return self._somebody_heard.is_set() and not self._over.is_set()

    async def set_status(self, status: str) -> None:
        """Set ``sip.callStatus``."""
        await self._unless_over(self._room.local_participant.set_attributes({STATUS: status}))

    async def answer(self) -> None:
        """Become active: audio flows from now on."""
        for participant in self._room.remote_participants.values():
            for publication in participant.track_publications.values():
                publication.set_subscribed(True)
        self._is_called = False
        await self.set_status("active")
        loop = asyncio.get_running_loop()
        self.ready_at = self._sound_at = loop.time()
        self._silence = loop.call_later(self._first_sound_seconds, self._look_for_sound)

    async def over_within(self, seconds: float) -> bool:
        """Whether the call ends within this many seconds."""
        return await self._over_by(asyncio.get_running_loop().time() + seconds)

    async def messages(self) -> AsyncIterator[ServiceMessage]:
        """The agent's sound, 20 ms every 20 ms, silence included."""
        yield AgentAudio(np.zeros(_EARPIECE_FRAMES * RATE // 50, dtype=np.int16))
        given = 0
        while not await self._over_by(self.ready_at + given * FRAME_SECONDS):
            yield AgentAudio(self._next_frame())
            given += 1
        if self._ended_by_service is not None:
            yield CallEnded(self._ended_by_service)

    async def send_audio(self, audio: bytes) -> None:
        """Send 20 ms of μ-law."""
        if self._over.is_set():
            return
        self._sound_at = asyncio.get_running_loop().time()
        for piece in decode(audio, "pcm_mulaw").reshape(-1, _PIECE_SAMPLES):
            await self._source.capture_frame(rtc.AudioFrame(piece.tobytes(), RATE, 1, _PIECE_SAMPLES))

    async def send_digit(self, digit: str) -> None:
        """Send a key as LiveKit SIP sends an RFC 4733 telephone-event."""
        if not self._over.is_set():
            await self._room.local_participant.publish_dtmf(code=_DTMF_CODES[digit], digit=digit)

    async def send_mark(self, name: str) -> None:
        """Do nothing: there are no marks."""

    async def send_cleared(self, played_samples: int) -> None:
        """Do nothing: nobody asks."""

    async def send_stop(self) -> None:
        """Hang up; calling it again does nothing."""
        await self.leave()

    async def close(self) -> None:
        """Hang up."""
        await self.leave()

    async def leave(self, because: str | None = None, disconnect_reason: str = "CLIENT_INITIATED") -> None:
        """End the call; again it does nothing. ``because``: why the line was ended; None: the telephone hung up."""
        if not self._over.is_set():
            self._ended_by_service = because
            self._over.set()
            if self._room.isconnected():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LEAVES_SECONDS):  # a dead server does not answer
                        await self._room.local_participant.set_attributes({STATUS: "hangup"})
        elif self._dropping is not None and self._dropping is not asyncio.current_task():
            await asyncio.wait([self._dropping])
        if self._silence is not None:
            self._silence.cancel()
        hearing = [task for _, task in self._mixers.values()]
        for task in hearing:
            task.cancel()
        await asyncio.gather(*hearing, return_exceptions=True)
        await self._room.disconnect(reason=rtc.DisconnectReason.Value(disconnect_reason))
        following: asyncio.Task[None] | None = getattr(self._room, "_task", None)
        if following is not None:  # the SDK waits for its task only if the server has not ended the connection
            await asyncio.wait([following], timeout=_LEAVES_SECONDS)
        await self._source.aclose()

    def _drop(self, because: str) -> None:
        if self._dropping is None and not self._over.is_set():
            self._dropping = asyncio.get_running_loop().create_task(self.leave(because), name="carrier.drops")

    def _look_for_sound(self) -> None:
        loop = asyncio.get_running_loop()
        silent = loop.time() - self._sound_at
        if silent >= self._sound_seconds:
            self._drop("media_timeout")
        else:
            self._silence = loop.call_later(self._sound_seconds - silent, self._look_for_sound)

    def _end_call_asked(self, _data: rtc.RpcInvocationData) -> str:
        self._drop("end_call")
        return ""

    async def _unless_over(self, work: Coroutine[Any, Any, object], seconds: float | None = None) -> None:
        """Await an operation until it is done, the call is over or the time has passed; raises what it raises.

        When the participant is removed meanwhile, the SDK never completes the operation.
        """
        loop = asyncio.get_running_loop()
        working = loop.create_task(work, name="carrier.works")
        waits = (working, loop.create_task(self._over.wait(), name="carrier.over"))
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        if not working.cancelled():
            working.result()

    async def _over_by(self, moment: float) -> bool:
        try:
            async with asyncio.timeout_at(moment):
                await self._over.wait()
        except TimeoutError:
            return False
        return True

    def _track_published(self, publication: rtc.RemoteTrackPublication, _by: rtc.RemoteParticipant) -> None:
        if not self._is_called:
            publication.set_subscribed(True)

    def _track_subscribed(
        self, track: rtc.Track, _publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO and not self._over.is_set():  # an heir may come while we hang up
            self._participant_seen(participant)
            mixer = Mixer(RATE)
            hearing = asyncio.get_running_loop().create_task(_hear(track, mixer), name="carrier.hears")
            self._mixers[track.sid] = mixer, hearing
            self._somebody_heard.set()

    def _track_unsubscribed(
        self, track: rtc.Track, _publication: rtc.RemoteTrackPublication, _participant: rtc.RemoteParticipant
    ) -> None:
        if track.sid in self._mixers:
            self._mixers[track.sid][1].cancel()  # kept until the line ends, which waits for it

    def _participant_seen(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity.startswith(_AGENT):
            self.call_id = participant.identity.removeprefix(_AGENT)

    def _next_frame(self) -> Samples:
        mixed = np.zeros(RATE // 50, dtype=np.int32)
        for mixer, _ in self._mixers.values():
            mixed += mixer.next_frame()
        return np.clip(mixed, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)

    def _key_pressed(self, key: rtc.SipDTMF) -> None:
        self.digits += key.digit

    def _disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        if not self._over.is_set():
            self._ended_by_service = rtc.DisconnectReason.Name(reason).lower()
            self._over.set()


async def _hear(track: rtc.Track, mixer: Mixer) -> None:
    stream = rtc.AudioStream(track, capacity=10, sample_rate=RATE, num_channels=1, frame_size_ms=20)
    try:
        async for event in stream:
            mixer.receive(_through_g711(np.frombuffer(event.frame.data, dtype=np.int16)))
    finally:
        await stream.aclose()


def _through_g711(samples: Samples) -> Samples:
    return decode(encode(samples, "pcm_mulaw"), "pcm_mulaw")
