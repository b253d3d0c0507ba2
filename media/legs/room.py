"""A leg through a LiveKit room: the service is a participant beside the caller's, who stands for a telephone.

https://docs.livekit.io/sip/: publishing the agent's track is what answers the call; ``sip.callStatus`` of the caller's
participant turns ``active`` when the telephone has been answered.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import structlog
from livekit import rtc
from livekit.rtc.participant import PublishDTMFError, PublishTrackError
from livekit.rtc.room import EventTypes

from media.dtmf import KEYS, TONE_SECONDS, WAIT, WAIT_SECONDS, event_code
from media.errors import NotAnswered
from media.legs.room_audio import ROOM_FORMAT, RoomVoice
from media.legs.websocket import CallerSide

log = structlog.get_logger(__name__)

READ_MS = 20
"""What is heard at a time; longer pieces cost less, and a caller who cuts in is noticed later."""
_CALLER_FRAMES_MAX = 50
"""Pieces of the caller's sound that may wait here; then the oldest are dropped."""
_CONNECT_SECONDS = 15.0
"""The telephone rings meanwhile; where many calls begin at once, joining takes its time."""
_MEASURED_SECONDS_MAX = 1.0
_ROUND_TRIP_SECONDS_MAX = 0.5
_CONNECTION_TOLD_SECONDS = 0.1
"""When the connection is made wholly anew, the SDK says that everybody has left, and then why."""
_CALLER_RETURNS_SECONDS = 10.0
"""After a lost connection is restored; LiveKit announces everybody anew."""
_ENCODED_SECONDS = 0.03
"""The source's 10 ms and Opus's 20."""
_MIXED_SECONDS = 0.08
"""LiveKit SIP's mixer waits for 60 ms before it plays, 20 ms at a time."""
_GOODBYE_MARGIN_SECONDS = 0.25
"""The way differs by so much from packet to packet."""
_LAST_SOUND_SECONDS_MAX = 1.0
_ROOM_GOES_ON = ("transferred", "crashed")
"""End reasons of calls whose room somebody else ends."""
_GOODBYE_SECONDS = 5.0
_KEYS_WAITING_MAX = 100
_STATUS = "sip.callStatus"
_SIP_CALL = "sip.callID"
_DIALLED_AGAIN = "the caller dialled again: a new call took the place in the room"


class Dialling(Protocol):
    """How the telephone of a call that we place comes into the room."""

    async def open_room(self) -> None:
        """Have the room made, before the agent enters it. Raises NotAnswered."""

    async def ring(self) -> None:
        """Call the telephone, which rings from now on; returns when it is answered. Raises NotAnswered."""


class RoomLeg:
    """One caller's leg. ``run`` carries the sound; its tasks ``<name>:writer``, ``:keys`` and ``:reader`` end with it.

    ``<name>:track``, owned by the reader, follows one audio track of the caller, the one that came last, and of nobody
    else. What he says while nobody reads is bounded by 1 s, the oldest is dropped. Of the keys that wait to be pressed,
    those beyond 100 are dropped.

    What was heard: what has left the voice's source reaches the caller's ear ``output_latency_seconds`` later,
    also after a clear, for LiveKit SIP plays what it has. So at a clear the caller has heard, or will hear, all that
    was played by then; nothing is to be subtracted. A mark comes when its sound has been heard.
    """

    wants_events = False
    """Nobody on a telephone reads the journal."""
    can_send_digits = True
    audio_format = ROOM_FORMAT

    def __init__(
        self,
        *,
        url: str,
        token: str,
        caller: str,
        name: str,
        end_call: Callable[[], None],
        dialling: Dialling | None = None,
        sip_call_id: str | None = None,
        hold_seconds: float = 30.0,
    ) -> None:
        """``caller`` is the identity of the other side's participant; ``end_call`` has the room ended, and never waits.

        With ``dialling`` they do not wait in the room, but are called. With ``sip_call_id`` the leg is over when a
        participant of the same identity and another SIP call takes their place: the caller has dialled again.
        A caller whose track is muted is given up after ``hold_seconds``.
        """
        self._hold_seconds = hold_seconds
        self._sip_call_id = sip_call_id
        self._dialling = dialling
        self._url, self._token, self._caller, self._name, self._end_call = url, token, caller, name, end_call
        self._room = rtc.Room()
        self._voice = RoomVoice(name)
        self._round_trip = 0.0
        """To the server and back, in seconds."""
        self._keys: asyncio.Queue[str] = asyncio.Queue(_KEYS_WAITING_MAX)
        self._active = asyncio.Event()
        self._track: rtc.Track | None = None
        self._track_changed = asyncio.Event()
        self._listener: CallerSide | None = None
        self._left: str | None = None
        """Why the caller is gone, as an end reason."""
        self._left_detail: str | None = None
        self._replaced = False
        """Whether the room is somebody else's now."""
        self._reconnecting = False
        self._missing: asyncio.TimerHandle | None = None
        self._held: asyncio.TimerHandle | None = None
        """Until the caller is given up who is held."""
        self._hanging_up = False
        self._closed = asyncio.Event()
        self._over = asyncio.Event()
        self._bug: Exception | None = None
        self._follow_room()

    def __repr__(self) -> str:
        state = "closed" if self._closed.is_set() else "active" if self._active.is_set() else "ringing"
        return f"<RoomLeg {self._name} {state}, {self._voice!r}>"

    async def answer(self, call_id: str) -> None:
        """Join, publish the agent's track, and return when the telephone has been answered. Raises NotAnswered."""
        if self._dialling is not None:
            await self._dialling.open_room()
        await self._enter()
        if self._dialling is None:
            await self._active.wait()
            return
        await self._dialling.ring()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._active.wait()
        except TimeoutError as error:
            raise NotAnswered("media_lost", "the telephone was answered and did not come into the room") from error

    async def _enter(self) -> None:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._room.connect(self._url, self._token, rtc.RoomOptions(auto_subscribe=True))
            self._meet_caller()
            options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._room.local_participant.publish_track(self._voice.track(), options)
        except (rtc.ConnectError, PublishTrackError, TimeoutError) as error:
            raise NotAnswered("media_lost", f"the room cannot be joined: {type(error).__name__}") from error
        await self._measure_round_trip()

    async def _measure_round_trip(self) -> None:
        """Between us and the server, as ICE found it; some milliseconds, while it rings."""
        with suppress(RuntimeError, TimeoutError):  # the room may be gone again
            async with asyncio.timeout(_MEASURED_SECONDS_MAX):
                stats = await self._room.get_rtc_stats()
            pairs = [each.candidate_pair.candidate_pair for each in stats.publisher_stats]
            taken = [pair.current_round_trip_time for pair in pairs if pair.nominated]
            self._round_trip = min(max(taken, default=0.0), _ROUND_TRIP_SECONDS_MAX)

    def _meet_caller(self) -> None:
        """One who waits is there by now; one who is called comes later."""
        caller = self._room.remote_participants.get(self._caller)
        if caller is not None and not self._is_of_this_call(caller):
            self._replaced = True
            raise NotAnswered("caller_hangup", _DIALLED_AGAIN)
        if caller is not None:
            self._note_status(caller.attributes)
        elif self._dialling is None:
            raise NotAnswered("caller_hangup", "the caller has left the room")

    @property
    def output_latency_seconds(self) -> float:
        """How much later than it leaves the source sound is heard, also when it is cleared meanwhile.

        Half the round trip to the server, which is measured as the agent enters; what encoding and LiveKit SIP's mixer
        take; of the telephone network nothing, which does not tell.
        """
        return _ENCODED_SECONDS + self._round_trip / 2 + _MIXED_SECONDS

    def send_audio(self, audio: bytes) -> None:
        """The next sound for the caller."""
        self._voice.send(audio)

    def send_clear(self) -> None:
        """Be silent: what has not left is thrown away. How much has been played nobody tells, only the clock."""
        self._voice.clear()
        if self._listener is not None:
            asyncio.get_running_loop().call_soon(self._listener.cleared, None)

    def send_mark(self, name: str) -> None:
        """Nobody at the far end tells: it has been played when its sound has had the time to be heard."""
        if self._listener is not None:
            heard_at = self._voice.plays_until + self.output_latency_seconds
            asyncio.get_running_loop().call_at(heard_at, self._listener.mark_played, name)

    def send_event(self, row: Mapping[str, Any]) -> None:
        """Nobody wants it."""

    def send_digits(self, digits: str) -> None:
        """Press keys, one after another; ``w`` waits half a second."""
        for digit in digits[: _KEYS_WAITING_MAX - self._keys.qsize()]:
            self._keys.put_nowait(digit)

    async def hang_up(self, reason: str) -> None:
        """Let the last sound reach the caller, have the room ended, and leave it, whatever becomes of the room.

        Sound that was cut short is not waited for: then it takes some milliseconds, with a server that answers. It
        takes 6 s whatever the server does.
        A caller who was ``transferred`` may be talking to a human in the room, and a call that ``crashed`` is another
        process's, with its room: then the agent alone leaves it.
        """
        if self._hanging_up:
            await self._closed.wait()
            return
        self._hanging_up = True
        try:
            if self._active.is_set() and self._left is None and reason != "crashed" and not self._voice.was_cut:
                await self._until_heard()
            if not self._replaced and reason not in _ROOM_GOES_ON:
                self._end_call()
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._room.disconnect()
                await self._voice.aclose()
        except TimeoutError:
            log.warning("room.not_left", call_id=self._name)
        finally:
            for timer in (self._missing, self._held):
                if timer is not None:
                    timer.cancel()
            self._closed.set()
            self._over.set()

    async def run(self, caller: CallerSide) -> None:
        """Tell the caller's side what comes in; returns once the leg is closed by :meth:`hang_up`.

        Raises what is a bug, also one met in a callback of the SDK; the leg is to be hung up then.
        """
        self._listener = caller
        if self._left is not None:
            caller.leave(self._left, self._left_detail)
        async with asyncio.TaskGroup() as tasks:
            work = [
                tasks.create_task(self._voice.run(), name=f"{self._name}:writer"),
                tasks.create_task(self._press_keys(), name=f"{self._name}:keys"),
                tasks.create_task(self._read(caller), name=f"{self._name}:reader"),
            ]
            await self._over.wait()
            for task in work:
                task.cancel()
            await asyncio.wait(work)
        if self._bug is not None:
            raise self._bug

    async def _until_heard(self) -> None:
        heard_at = self._voice.plays_until + self.output_latency_seconds + _GOODBYE_MARGIN_SECONDS
        await asyncio.sleep(min(heard_at - asyncio.get_running_loop().time(), _LAST_SOUND_SECONDS_MAX))

    # --- keys ---------------------------------------------------------------------------------------------------------

    async def _press_keys(self) -> None:
        while True:
            key = await self._keys.get()
            if key != WAIT:
                await self._press_key(key)
            await asyncio.sleep(WAIT_SECONDS if key == WAIT else TONE_SECONDS)

    async def _press_key(self, key: str) -> None:
        try:
            await self._room.local_participant.publish_dtmf(code=event_code(key), digit=key)
        except PublishDTMFError as error:
            log.warning("room.key_not_pressed", call_id=self._name, error=type(error).__name__)

    # --- the caller's sound -------------------------------------------------------------------------------------------

    async def _read(self, caller: CallerSide) -> None:
        await self._active.wait()
        loop = asyncio.get_running_loop()
        hearing: asyncio.Task[None] | None = None
        try:
            while True:
                self._track_changed.clear()
                if self._track is not None:
                    hearing = loop.create_task(self._hear(self._track, caller), name=f"{self._name}:track")
                await self._track_changed.wait()
                await _cancelled(hearing)
        finally:
            await _cancelled(hearing)

    async def _hear(self, track: rtc.Track, caller: CallerSide) -> None:
        stream = rtc.AudioStream(
            track,
            capacity=_CALLER_FRAMES_MAX,
            sample_rate=ROOM_FORMAT.sample_rate,
            num_channels=1,
            frame_size_ms=READ_MS,
        )
        try:
            async for event in stream:
                caller.hear(bytes(event.frame.data))
        except Exception as error:  # noqa: BLE001 - as in the SDK's callbacks
            self._break(error)
        finally:
            await stream.aclose()

    # --- the room -----------------------------------------------------------------------------------------------------

    def _follow_room(self) -> None:
        self._on("participant_attributes_changed", self._attributes_changed)
        self._on("participant_connected", self._participant_connected)
        self._on("participant_disconnected", self._participant_disconnected)
        self._on("track_subscribed", self._track_subscribed)
        self._on("track_unsubscribed", self._track_unsubscribed)
        self._on("track_muted", self._track_muted)
        self._on("track_unmuted", self._track_unmuted)
        self._on("sip_dtmf_received", self._key_pressed)
        self._on("reconnecting", self._connection_lost)
        self._on("reconnected", self._connection_restored)
        self._on("disconnected", self._disconnected)

    def _on(self, event: EventTypes, follow: Callable[..., None]) -> None:
        """The SDK would log a bug met there and go on, and the caller would listen to silence."""

        def guarded(*told: Any) -> None:
            try:
                follow(*told)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the leg runs
                self._break(error)

        self._room.on(event, guarded)

    def _break(self, bug: Exception) -> None:
        """End the leg; ``run`` raises it."""
        self._bug = self._bug or bug
        self._over.set()

    def _attributes_changed(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        if participant.identity == self._caller and self._is_of_this_call(participant):
            self._note_status(changed)

    def _note_status(self, attributes: Mapping[str, str]) -> None:
        status = attributes.get(_STATUS)
        if status == "active":
            self._active.set()
        elif status == "hangup":
            self._caller_left()

    def _participant_connected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity != self._caller:
            return
        if self._is_of_this_call(participant):
            self._note_status(participant.attributes)
        else:
            self._replaced = True
            self._leave("caller_hangup", _DIALLED_AGAIN)

    def _is_of_this_call(self, participant: rtc.Participant) -> bool:
        return self._sip_call_id is None or participant.attributes.get(_SIP_CALL) in (None, self._sip_call_id)

    def _participant_disconnected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == self._caller:
            self._miss_caller(_CONNECTION_TOLD_SECONDS)

    def _miss_caller(self, seconds: float) -> None:
        """He has left, unless he is here by then, or the connection is lost."""
        if self._missing is not None:
            self._missing.cancel()
        self._missing = asyncio.get_running_loop().call_later(seconds, self._look_for_caller)

    def _look_for_caller(self) -> None:
        if not self._reconnecting and self._caller not in self._room.remote_participants:
            self._caller_left()

    def _caller_left(self) -> None:
        """Why a telephone that we call does not answer, the dialling tells."""
        if self._dialling is None or self._active.is_set():
            self._leave("caller_hangup")

    def _track_subscribed(
        self, track: rtc.Track, _publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if participant.identity == self._caller and track.kind == rtc.TrackKind.KIND_AUDIO:
            self._hear_track(track)

    def _track_unsubscribed(
        self, track: rtc.Track, _publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        """When the one that is heard goes, another one of the caller's may be there."""
        if self._track is not None and track.sid == self._track.sid:
            others = [each.track for each in participant.track_publications.values() if each.track is not None]
            audio = [other for other in others if other.kind == rtc.TrackKind.KIND_AUDIO and other.sid != track.sid]
            self._hear_track(audio[-1] if audio else None)

    def _track_muted(self, participant: rtc.Participant, publication: rtc.TrackPublication) -> None:
        if participant.identity == self._caller and publication.kind == rtc.TrackKind.KIND_AUDIO:
            self._hold(is_held=True)

    def _track_unmuted(self, participant: rtc.Participant, publication: rtc.TrackPublication) -> None:
        if participant.identity == self._caller and publication.kind == rtc.TrackKind.KIND_AUDIO:
            self._hold(is_held=False)

    def _hold(self, *, is_held: bool) -> None:
        """A muted track brings silence, which is no silence of the caller's."""
        if self._held is not None:
            self._held.cancel()
        self._held = None
        if is_held:
            self._held = asyncio.get_running_loop().call_later(self._hold_seconds, self._leave, "media_timeout")
        if self._listener is not None:
            self._listener.hold(is_held)

    def _hear_track(self, track: rtc.Track | None) -> None:
        self._track = track
        self._track_changed.set()

    def _key_pressed(self, key: rtc.SipDTMF) -> None:
        sender = key.participant.identity if key.participant else None
        if self._listener is not None and sender == self._caller and key.digit in KEYS:
            self._listener.press(key.digit)

    def _connection_lost(self) -> None:
        self._reconnecting = True
        log.warning("room.connection_lost", call_id=self._name)

    def _connection_restored(self) -> None:
        self._reconnecting = False
        self._miss_caller(_CALLER_RETURNS_SECONDS)

    def _disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        if reason == rtc.DisconnectReason.DUPLICATE_IDENTITY:
            self._replaced = True  # another process has taken the call over: the room is its own
        ended = (rtc.DisconnectReason.ROOM_DELETED, rtc.DisconnectReason.ROOM_CLOSED)
        self._leave("caller_hangup" if reason in ended else "media_lost")

    def _leave(self, reason: str, detail: str | None = None) -> None:
        if self._left is None and not self._hanging_up:
            self._left, self._left_detail = reason, detail
            if self._listener is not None:
                self._listener.leave(reason, detail)


async def _cancelled(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
