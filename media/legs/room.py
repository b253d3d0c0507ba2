"""A leg through a LiveKit room: the agent is one participant, the caller's telephone is another.

https://docs.livekit.io/sip/: the agent answers the call by publishing its track; ``sip.callStatus`` of the caller's
participant becomes ``active`` once the telephone has been answered.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog
from livekit import rtc
from livekit.rtc.participant import PublishDTMFError
from livekit.rtc.room import EventTypes

from media.dtmf import KEYS, TONE_SECONDS, WAIT, WAIT_SECONDS, event_code
from media.errors import NotAnswered
from media.legs.leg import LegListener
from media.legs.room_absence import RoomAbsence
from media.legs.room_audio import ROOM_FORMAT, RoomVoice
from media.legs.room_connection import CONNECT_SECONDS, RoomConnection

log = structlog.get_logger(__name__)

READ_MS = 20
"""The length of a piece of the caller's audio; longer pieces cost less, but a barge-in is noticed later."""
_CALLER_FRAMES_MAX = 50
"""How many pieces of the caller's audio may wait; then the oldest is dropped."""
_CONNECTION_TOLD_SECONDS = 0.1
"""After a full reconnect the SDK reports first that everybody has left, and this much later at most, why."""
_CALLER_RETURNS_SECONDS = 10.0
"""How long the caller may be missing after a lost connection is restored; LiveKit announces everybody again."""
_ENCODED_SECONDS = 0.03
"""The source's 10 ms and Opus's 20 ms."""
_MIXED_SECONDS = 0.08
"""LiveKit SIP's mixer buffers 60 ms before it plays, 20 ms at a time."""
_GOODBYE_MARGIN_SECONDS = 0.25
"""Network jitter: how much the latency differs from packet to packet."""
_LAST_SOUND_SECONDS_MAX = 1.0
_ENDED = (rtc.DisconnectReason.ROOM_DELETED, rtc.DisconnectReason.ROOM_CLOSED)
"""The room is over, and so is the caller's call."""
_ROOM_GOES_ON = ("transferred", "crashed")
"""End reasons of calls whose room stays open for someone else."""
_GOODBYE_SECONDS = 5.0
_KEYS_WAITING_MAX = 100
CALL_STATUS = "sip.callStatus"
"""Of a telephone: ``dialing``, ``ringing``, ``active`` or ``hangup``; https://docs.livekit.io/sip/sip-participant/."""
_SIP_CALL = "sip.callID"
_DIALLED_AGAIN = "the caller dialled again: a new call took the place in the room"


class Dialling(Protocol):
    """How the telephone of an outbound call gets into the room."""

    async def open_room(self) -> None:
        """Create the room before the agent enters it. Raises NotAnswered."""

    async def ring(self) -> None:
        """Dial the telephone; returns when it is answered. Raises NotAnswered."""


class RoomLeg:
    """One caller's leg. ``run`` carries the audio; its tasks ``<name>:writer``, ``:keys``, ``:reader`` and ``:rejoin``
    end with it.

    The reader owns ``<name>:track``, which reads one audio track of the caller, the latest, and nobody else's. At most
    1 s of the caller's audio waits to be read; then the oldest is dropped. At most 100 keys wait to be pressed; further
    keys are dropped.

    A room that is lost is joined again for 30 s. The listener knows how long the caller hears nothing of us:

    ``lost_line`` ──► rejoined, and the caller is there: ``regained_line``
                  └──► the caller is not there: ``caller_hangup``; 30 s are over: ``media_lost``

    What was heard: audio that has left the voice's source reaches the caller ``output_latency_seconds`` later, also
    after a clear, because LiveKit SIP plays what it has. So at a clear the caller has heard, or will hear, everything
    that was played by then, and nothing is subtracted. A mark comes back when its audio has been heard.
    """

    wants_events = False
    """Nobody on a telephone reads the journal."""
    can_send_digits = True
    audio_format = ROOM_FORMAT

    _round_trip = 0.0
    """The round trip to the LiveKit server, in seconds."""
    _track: rtc.Track | None = None
    _listener: LegListener | None = None
    _left: str | None = None  # why the caller is gone, as an end reason
    _left_detail: str | None = None
    _replaced = False
    """Whether the room belongs to another process or call now."""
    _is_in = False
    """Whether the SDK's room was joined and is not dead."""
    _missing: asyncio.TimerHandle | None = None
    _held: asyncio.TimerHandle | None = None
    """Fires when a caller on hold is given up."""
    _hanging_up = False
    _bug: Exception | None = None

    def __init__(
        self,
        *,
        url: str,
        token: Callable[[], str],
        caller: str,
        name: str,
        end_call: Callable[[], None],
        dialling: Dialling | None = None,
        sip_call_id: str | None = None,
        hold_seconds: float = 30.0,
        rejoin_delay: Callable[[int], float],
    ) -> None:
        """``caller`` is the identity of the caller's participant; ``end_call`` ends the room and returns at once.

        With ``dialling`` the caller does not wait in the room: the leg dials them. With ``sip_call_id`` the leg is over
        when a participant with the same identity and another SIP call takes their place: the caller has dialled again.
        The leg gives up a caller whose track is muted for ``hold_seconds``. ``rejoin_delay`` is the wait before the
        room is joined again, after so many failures in a row.
        """
        self._hold_seconds = hold_seconds
        self._sip_call_id = sip_call_id
        self._dialling = dialling
        self._caller, self._name, self._end_call = caller, name, end_call
        self._voice = RoomVoice(name)
        self._connection = RoomConnection(
            url=url, token=token, voice=self._voice, name=name, follow=self._follow_room, delay=rejoin_delay
        )
        self._keys: asyncio.Queue[str] = asyncio.Queue(_KEYS_WAITING_MAX)
        self._active = asyncio.Event()
        self._track_changed = asyncio.Event()
        self._absence = RoomAbsence(
            on_lost=self._lost_line,
            on_regained=self._regained_line,
            on_given_up=lambda: self._leave("media_lost", "the room was away for too long"),
        )
        self._dropped = asyncio.Event()
        """Set when the SDK's room is dead and must be joined anew."""
        self._closed = asyncio.Event()
        self._over = asyncio.Event()

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
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._active.wait()
        except TimeoutError as error:
            raise NotAnswered("media_lost", "the telephone was answered and did not come into the room") from error

    async def _enter(self) -> None:
        await self._connection.enter(self._meet_caller)
        self._is_in = True
        self._round_trip = await self._connection.measure_round_trip()

    @property
    def _room(self) -> rtc.Room:
        return self._connection.room

    def _meet_caller(self) -> None:
        """Find the caller in the room: an inbound caller is there already, a called telephone comes later."""
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
        """How long after it leaves the source audio is heard, also when it is cleared meanwhile.

        The sum of half the round trip to the server, measured when the agent enters, the encoder's delay and the delay
        of LiveKit SIP's mixer. The delay of the telephone network is unknown and not included.
        """
        return _ENCODED_SECONDS + self._round_trip / 2 + _MIXED_SECONDS

    def send_audio(self, audio: bytes) -> None:
        """Queue audio for the caller."""
        self._voice.send(audio)

    def send_clear(self) -> None:
        """Discard what has not left the source. The far end does not report what it played; the clock shows it."""
        self._voice.clear()
        if self._listener is not None:
            asyncio.get_running_loop().call_soon(self._listener.cleared, None)

    def send_mark(self, name: str) -> None:
        """Send a mark; as the far end reports none, it counts as played when its audio has had time to be heard."""
        if self._listener is not None:
            heard_at = self._voice.plays_until + self.output_latency_seconds
            asyncio.get_running_loop().call_at(heard_at, self._listener.mark_played, name)

    def send_event(self, row: Mapping[str, Any]) -> None:
        """Do nothing: a telephone shows no journal."""

    def send_digits(self, digits: str) -> None:
        """Press keys in order; ``w`` waits half a second."""
        for digit in digits[: _KEYS_WAITING_MAX - self._keys.qsize()]:
            self._keys.put_nowait(digit)

    async def hang_up(self, reason: str) -> None:
        """Let the last audio reach the caller, end the room, and leave it, even when ending it fails.

        After a clear there is no audio to wait for, so it takes some milliseconds if the server answers. It takes at
        most 6 s whatever the server does. A caller who was ``transferred`` may be talking to a human in the room, and
        a call that ``crashed`` belongs to another process, room included; in both cases only the agent leaves. It also
        does when it has lost the room of a caller who rang us (``media_lost``): they wait for another agent.
        """
        if self._hanging_up:
            await self._closed.wait()
            return
        self._hanging_up = True
        try:
            if self._active.is_set() and self._left is None and reason != "crashed" and not self._voice.was_cut:
                await self._until_heard()
            if not self._replaced and reason not in _ROOM_GOES_ON and not self._leaves_caller(reason):
                self._end_call()
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._connection.leave()
                await self._voice.aclose()
        except TimeoutError:
            log.warning("room.not_left", call_id=self._name)
        finally:
            self._absence.stop()
            for timer in (self._missing, self._held):
                if timer is not None:
                    timer.cancel()
            self._closed.set()
            self._over.set()

    def _leaves_caller(self, reason: str) -> bool:
        """Whether the caller goes on waiting in the room, because it is us who lost it: somebody else meets them."""
        return reason == "media_lost" and self._sip_call_id is not None

    async def run(self, caller: LegListener) -> None:
        """Pass on what comes in; returns once :meth:`hang_up` has closed the leg.

        Raises any bug, also one raised in an SDK callback; the caller of ``run`` hangs up then.
        """
        self._listener = caller
        if self._left is not None:
            caller.leave(self._left, self._left_detail)
        async with asyncio.TaskGroup() as tasks:
            work = [
                tasks.create_task(self._voice.run(), name=f"{self._name}:writer"),
                tasks.create_task(self._press_keys(), name=f"{self._name}:keys"),
                tasks.create_task(self._read(caller), name=f"{self._name}:reader"),
                tasks.create_task(self._rejoin(), name=f"{self._name}:rejoin"),
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

    async def _read(self, caller: LegListener) -> None:
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

    async def _hear(self, track: rtc.Track, caller: LegListener) -> None:
        stream = rtc.AudioStream(
            track,
            capacity=_CALLER_FRAMES_MAX,
            sample_rate=ROOM_FORMAT.sample_rate,
            num_channels=1,
            frame_size_ms=READ_MS,
        )
        try:
            async for event in stream:
                await caller.handle_audio_received(bytes(event.frame.data))
        except Exception as error:  # noqa: BLE001 - as in the SDK's callbacks
            self._break(error)
        finally:
            await stream.aclose()

    # --- the room -----------------------------------------------------------------------------------------------------

    def _follow_room(self, room: rtc.Room) -> None:
        followed: dict[EventTypes, Callable[..., None]] = {
            "participant_attributes_changed": self._attributes_changed,
            "participant_connected": self._participant_connected,
            "participant_disconnected": self._participant_disconnected,
            "track_subscribed": self._track_subscribed,
            "track_unsubscribed": self._track_unsubscribed,
            "track_muted": self._track_muted,
            "track_unmuted": self._track_unmuted,
            "sip_dtmf_received": self._key_pressed,
            "reconnecting": self._connection_lost,
            "reconnected": self._connection_restored,
            "disconnected": self._disconnected,
        }
        for event, follow in followed.items():
            room.on(event, self._guarded(room, follow))

    def _guarded(self, room: rtc.Room, follow: Callable[..., None]) -> Callable[..., None]:
        """Follow an event. The SDK would only log a bug in a callback, and the caller would hear silence."""

        def guarded(*args: Any) -> None:
            try:
                if room is self._room:
                    follow(*args)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the leg runs
                self._break(error)

        return guarded

    def _break(self, bug: Exception) -> None:
        """End the leg; ``run`` raises it."""
        self._bug = self._bug or bug
        self._over.set()

    def _attributes_changed(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        if participant.identity == self._caller and self._is_of_this_call(participant):
            self._note_status(changed)

    def _note_status(self, attributes: Mapping[str, str]) -> None:
        status = attributes.get(CALL_STATUS)
        if status == "active":
            self._active.set()
        elif status == "hangup":
            self._caller_left()

    def _participant_connected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity != self._caller:
            return
        if self._is_of_this_call(participant):
            self._note_status(participant.attributes)
            self._absence.regained()
        else:
            self._replaced = True
            self._leave("caller_hangup", _DIALLED_AGAIN)

    def _is_of_this_call(self, participant: rtc.Participant) -> bool:
        return self._sip_call_id is None or participant.attributes.get(_SIP_CALL) in (None, self._sip_call_id)

    def _participant_disconnected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == self._caller:
            self._miss_caller(_CONNECTION_TOLD_SECONDS)

    def _miss_caller(self, seconds: float) -> None:
        """Count the caller as gone unless they are back after this time, or the connection is lost."""
        if self._missing is not None:
            self._missing.cancel()
        self._missing = asyncio.get_running_loop().call_later(seconds, self._look_for_caller)

    def _look_for_caller(self) -> None:
        if self._absence.is_connected and self._caller not in self._room.remote_participants:
            self._caller_left()

    def _caller_left(self) -> None:
        """Note that the caller has left; why a telephone that we dial does not answer comes from the dialling."""
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
        """When the track that we read ends, the caller may have another one."""
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
        """Report a hold: a muted track delivers silence, but the caller is not silent."""
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

    # --- the connection -----------------------------------------------------------------------------------------------

    def _connection_lost(self) -> None:
        log.warning("room.connection_lost", call_id=self._name)
        self._absence.lost(for_certain=False)

    def _connection_restored(self) -> None:
        self._absence.connected()
        self._miss_caller(_CALLER_RETURNS_SECONDS)
        if self._caller in self._room.remote_participants:
            self._absence.regained()

    def _disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        """The SDK's room is dead: join again, unless the room is over or belongs to another process now."""
        if reason == rtc.DisconnectReason.DUPLICATE_IDENTITY:
            self._replaced = True
            self._leave("media_lost")
        elif reason in _ENDED:
            self._leave("caller_hangup")
        elif self._is_in and not self._hanging_up:
            log.warning("room.connection_lost", call_id=self._name, reason=rtc.DisconnectReason.Name(reason))
            self._is_in = False
            self._absence.lost(for_certain=True)
            self._dropped.set()

    def _lost_line(self, seconds_ago: float) -> None:
        if self._listener is not None:
            self._listener.lost_line(seconds_ago)

    def _regained_line(self, away_seconds: float) -> None:
        log.info("room.rejoined", call_id=self._name, away_seconds=round(away_seconds, 1))
        if self._listener is not None:
            self._listener.regained_line(away_seconds)

    async def _rejoin(self) -> None:
        """Join the room again each time it is lost."""
        while True:
            await self._dropped.wait()
            self._dropped.clear()
            try:
                await self._connection.enter_again(self._absence.until)
            except NotAnswered as error:
                self._leave(error.reason, str(error))
            else:
                self._is_in = True
                self._connection_restored()

    def _leave(self, reason: str, detail: str | None = None) -> None:
        if self._left is None and not self._hanging_up:
            self._left, self._left_detail = reason, detail
            if self._listener is not None:
                self._listener.leave(reason, detail)


async def _cancelled(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
