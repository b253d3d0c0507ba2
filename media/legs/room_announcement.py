"""Plays one sentence into a LiveKit room: an agent joins, says it, and leaves."""

import asyncio
from contextlib import suppress

from livekit import rtc
from livekit.rtc.participant import PublishTrackError

from media.errors import NotAnswered
from media.legs.room import CALL_STATUS
from media.legs.room_audio import ROOM_FORMAT, RoomVoice

_JOIN_SECONDS = 1.5
"""How long to wait until the caller subscribes to our track; a caller who waits longer in silence hangs up."""
_LEAVE_SECONDS = 1.0
_AHEAD_SECONDS = 0.5
_PIECE_SECONDS = 0.5
_LOOK_SECONDS = 0.02
_RINGING = ("dialing", "ringing")
_WAY_SECONDS = 0.4
"""From the source to the caller, as in :class:`media.legs.room.RoomLeg`, plus a margin."""


async def announce(*, url: str, token: str, name: str, audio: bytes) -> None:
    """Play audio (16 kHz, 16 bit, mono) to everyone in the room; returns when they have heard it.

    A telephone that rings is answered first. Takes at most 3 s longer than the audio. When several join under one
    identity, LiveKit keeps the newest, so this agent replaces one that hangs. Raises NotAnswered when nobody subscribes
    and answers within 1.5 s, or when another agent is in the room.
    """
    room, voice = rtc.Room(), RoomVoice(name)
    writing = asyncio.get_running_loop().create_task(voice.run(), name=f"{name}:writer")
    try:
        await _join(room, voice, url, token)
        await _say(voice, audio)
    finally:
        writing.cancel()
        await asyncio.wait([writing])
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await room.disconnect()
                await voice.aclose()


async def _join(room: rtc.Room, voice: RoomVoice, url: str, token: str) -> None:
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    try:
        async with asyncio.timeout(_JOIN_SECONDS):
            await room.connect(url, token, rtc.RoomOptions(auto_subscribe=False))
            if not room.remote_participants:
                raise NotAnswered("caller_hangup", "nobody is in the room")
            others = [each for each in room.remote_participants.values() if each.identity != _identity(room)]
            if any(each.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT for each in others):
                raise NotAnswered("caller_hangup", "another call is held in the room")
            published = await room.local_participant.publish_track(voice.track(), options)
            await published.wait_for_subscription()
            while any(map(_rings, room.remote_participants.values())):  # noqa: ASYNC110 - the SDK has only callbacks
                await asyncio.sleep(_LOOK_SECONDS)
    except (rtc.ConnectError, PublishTrackError, TimeoutError) as error:
        raise NotAnswered("media_lost", f"nobody in the room hears: {type(error).__name__}") from error


def _rings(participant: rtc.RemoteParticipant) -> bool:
    """Whether it is a telephone that is not answered yet; our track answers it."""
    return participant.attributes.get(CALL_STATUS) in _RINGING


def _identity(room: rtc.Room) -> str:
    """Our identity, which the agent that we replace had too."""
    return room.local_participant.identity


async def _say(voice: RoomVoice, audio: bytes) -> None:
    clock = asyncio.get_running_loop().time
    length = ROOM_FORMAT.sample_bytes * round(ROOM_FORMAT.sample_rate * _PIECE_SECONDS)
    for start in range(0, len(audio), length):
        voice.send(audio[start : start + length])
        await asyncio.sleep(voice.plays_until - clock() - _AHEAD_SECONDS)
    await asyncio.sleep(voice.plays_until - clock() + _WAY_SECONDS)
