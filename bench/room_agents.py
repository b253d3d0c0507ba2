"""The measured side of ``bench.room_leg``: agents in rooms, by the bare SDK or by our leg, in their own process."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from livekit import rtc

from media.legs import room as room_leg
from media.legs import room_audio as room_voice
from media.legs.room import RoomLeg

RATE = 16000
LEAD_SECONDS = 0.2
LATER_SECONDS = 0.01
"""A call's leg waits this much longer than its playback, which releases 60 ms at 140 ms."""
_TICK_SECONDS = 0.05
_TONE = bytes(range(256)) * 2


def _sound(seconds: float) -> bytes:
    """A sound that is not silence, in 16-bit samples."""
    size = int(RATE * seconds) * 2
    return (_TONE * (size // len(_TONE) + 1))[:size]


class _Meter:
    """What all agents of the process have heard, and how late the loop was, since the last report."""

    def __init__(self) -> None:
        self.heard_bytes = 0
        self._late = [0.0]

    def report(self) -> dict[str, float]:
        """Seconds heard, by all together; the loop's lateness in milliseconds, 99 of 100."""
        late, self._late = sorted(self._late), [0.0]
        heard, self.heard_bytes = self.heard_bytes / RATE / 2, 0
        return {"heard_seconds": heard, "late_p99_ms": late[len(late) * 99 // 100] * 1000}

    async def run(self) -> None:
        """Answer each line of standard input with a report."""
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin, self._answer)
        while True:
            due = loop.time() + _TICK_SECONDS
            await asyncio.sleep(_TICK_SECONDS)
            self._late.append(max(0.0, loop.time() - due))

    def _answer(self) -> None:
        if sys.stdin.readline():
            print(json.dumps(self.report()), flush=True)


class _Caller:
    """Receives sound, as a call would."""

    def __init__(self, meter: "_Meter") -> None:
        self._meter = meter

    async def handle_audio_received(self, audio_data: bytes) -> None:
        self._meter.heard_bytes += len(audio_data)

    def press(self, digit: str) -> None: ...
    def mark_played(self, name: str) -> None: ...
    def cleared(self, played_samples: int | None) -> None: ...
    def leave(self, reason: str) -> None: ...


async def bare(url: str, token: str, write_ms: int, read_ms: int, meter: _Meter) -> None:
    """The least that every user of the SDK does: write one source and read one stream."""
    room = rtc.Room()
    reading: list[asyncio.Task[None]] = []

    async def read(track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=read_ms)
        async for event in stream:
            meter.heard_bytes += len(bytes(event.frame.data))

    def subscribed(track: rtc.Track, *_: Any) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            reading.append(asyncio.get_running_loop().create_task(read(track), name="reads"))

    room.on("track_subscribed", subscribed)
    await room.connect(url, token)
    source = rtc.AudioSource(RATE, 1, queue_size_ms=1000)
    track = rtc.LocalAudioTrack.create_audio_track("agent", source)
    await room.local_participant.publish_track(track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE))
    frame = rtc.AudioFrame(_sound(write_ms / 1000), RATE, 1, RATE * write_ms // 1000)
    await _paced(write_ms / 1000, lambda: source.capture_frame(frame))


async def leg(url: str, token: str, write_ms: int, read_ms: int, meter: _Meter) -> None:
    """Drives a leg as a call does: sound with a lead, released in pieces, which the leg passes on a little later."""
    room_voice.GATHER_ABOVE_SECONDS = LEAD_SECONDS - write_ms / 1000 - LATER_SECONDS
    room_leg.READ_MS = read_ms

    carried = RoomLeg(url=url, token=token, caller=sys.argv[5], name="bench", end_call=lambda: None)
    await carried.answer("bench")
    sound = _sound(write_ms / 1000)

    async def speak() -> None:
        carried.send_audio(sound)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(carried.run(_Caller(meter)), name="leg")
        carried.send_audio(_sound(LEAD_SECONDS))
        await _paced(write_ms / 1000, speak)


async def _paced(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        await work()
        due += seconds
        await asyncio.sleep(max(0.0, due - loop.time()))


async def _main() -> None:
    kind, write_ms, read_ms, url = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    agent = {"bare": bare, "leg": leg}[kind]
    tokens = json.loads(sys.stdin.readline())
    meter = _Meter()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(meter.run(), name="meter")
        for number, token in enumerate(tokens):
            tasks.create_task(agent(url, token, write_ms, read_ms, meter), name=f"{kind}:{number}")


if __name__ == "__main__":
    asyncio.run(_main())
