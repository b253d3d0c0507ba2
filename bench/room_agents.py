"""The measured side of ``bench.room_leg``: agents in rooms, by the bare SDK or by our leg, in their own process."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from livekit import rtc

from media.room_leg import RoomLeg

RATE = 16000
_FRAME_SECONDS = 0.02
_TONE = bytes(range(256)) * 2 * int(RATE * _FRAME_SECONDS // 256) + bytes(128)
_LEAD_SECONDS = 0.2


def _sound(seconds: float) -> bytes:
    """Something that is not silence, in 16-bit samples."""
    size = int(RATE * seconds) * 2
    return (_TONE * (size // len(_TONE) + 1))[:size]


class _Caller:
    """Hears, as a call would."""

    heard = 0

    def hear(self, audio: bytes) -> None:
        self.heard += len(audio)

    def press(self, digit: str) -> None: ...
    def mark_played(self, name: str) -> None: ...
    def cleared(self, played_samples: int | None) -> None: ...
    def leave(self, reason: str) -> None: ...


async def bare(url: str, token: str, frame_seconds: float) -> None:
    """What every user of the SDK has to do: one source written, one stream read."""
    room = rtc.Room()
    reading: list[asyncio.Task[None]] = []

    async def read(track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=int(frame_seconds * 1000))
        async for event in stream:
            bytes(event.frame.data)

    def subscribed(track: rtc.Track, *_: Any) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            reading.append(asyncio.get_running_loop().create_task(read(track), name="reads"))

    room.on("track_subscribed", subscribed)
    await room.connect(url, token)
    source = rtc.AudioSource(RATE, 1, queue_size_ms=1000)
    track = rtc.LocalAudioTrack.create_audio_track("agent", source)
    await room.local_participant.publish_track(track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE))
    samples = int(RATE * frame_seconds)
    frame = rtc.AudioFrame(_sound(frame_seconds), RATE, 1, samples)
    await _paced(frame_seconds, lambda: source.capture_frame(frame))


async def leg(url: str, token: str, frame_seconds: float) -> None:
    """As a call carries its leg: sound with a lead, given in pieces of that length."""

    async def nothing() -> None: ...

    room_leg = RoomLeg(url=url, token=token, caller=sys.argv[4], name="bench", end_call=nothing)
    await room_leg.answer("bench")
    sound = _sound(frame_seconds)

    async def speak() -> None:
        room_leg.send_audio(sound)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(room_leg.run(_Caller()), name="leg")
        room_leg.send_audio(_sound(_LEAD_SECONDS))
        await _paced(frame_seconds, speak)


async def _paced(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        await work()
        due += seconds
        await asyncio.sleep(max(0.0, due - loop.time()))


async def _main() -> None:
    kind, frame_ms, url = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    agent = {"bare": bare, "leg": leg}[kind]
    tokens = json.loads(sys.stdin.readline())
    async with asyncio.TaskGroup() as tasks:
        for number, token in enumerate(tokens):
            tasks.create_task(agent(url, token, frame_ms / 1000), name=f"{kind}:{number}")


if __name__ == "__main__":
    asyncio.run(_main())
