"""What our leg costs beside the SDK that it stands on: ``python -m bench.room_leg``; needs a livekit-server.

Rooms with one caller each, who speaks all the time, on the load's core together with the server; the agents, who hear
and speak all the time, in a process on a core of its own: by the bare SDK, then by our leg, with the same callers.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from livekit import api, rtc
from rich.console import Console
from rich.table import Table

from bench.pinned import LOAD_CORE, SERVICE_CORE, cpu_seconds
from sandbox.livekit_server import LiveKitKey, find_livekit_server, livekit_server

_CALLER = "sip_caller"
_RATE = 48000
_SETTLES_SECONDS = 4.0
_KEY = LiveKitKey("bench", "a-secret-of-more-than-32-characters-for-it")
_NOBODY = "http://127.0.0.1:9/webhooks"
"""Listens for the webhooks."""


@asynccontextmanager
async def callers(url: str, count: int) -> AsyncIterator[None]:
    """So many rooms with a telephone in each that has been answered."""
    rooms = [rtc.Room() for _ in range(count)]
    async with asyncio.TaskGroup() as tasks:
        speaking = []
        for number, room in enumerate(rooms):
            token = _token(_CALLER, "sip", f"call_{number}", {"sip.callStatus": "active"})
            await room.connect(url, token, rtc.RoomOptions(auto_subscribe=True))
            source = rtc.AudioSource(_RATE, 1, queue_size_ms=200)
            track = rtc.LocalAudioTrack.create_audio_track("telephone", source)
            options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
            await room.local_participant.publish_track(track, options)
            speaking.append(tasks.create_task(_speak(source), name=f"caller:{number}"))
        yield
        for task in speaking:
            task.cancel()
    for room in rooms:
        await room.disconnect()


async def _speak(source: rtc.AudioSource) -> None:
    samples = _RATE // 50
    frame = rtc.AudioFrame(bytes(range(256)) * (samples * 2 // 256) + bytes(samples * 2 % 256), _RATE, 1, samples)
    while True:
        await source.capture_frame(frame)


async def measure(kind: str, frame_ms: int, url: str, count: int, seconds: float) -> float:
    """CPU seconds of the agents' process for a minute of one call."""
    tokens = [_token(f"agent-{number}", "agent", f"call_{number}", {}) for number in range(count)]
    command = [sys.executable, "-m", "bench.room_agents", kind, str(frame_ms), url, _CALLER]
    pinned = ["taskset", "--cpu-list", str(SERVICE_CORE), *command]
    agents = subprocess.Popen(pinned, stdin=subprocess.PIPE, text=True)  # noqa: ASYNC220, S603 - our own program
    try:
        if agents.stdin:
            agents.stdin.write(json.dumps(tokens) + "\n")
            agents.stdin.flush()
        await asyncio.sleep(_SETTLES_SECONDS + 0.3 * count)
        before = cpu_seconds(agents.pid)
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
        took = asyncio.get_running_loop().time() - began
        return (cpu_seconds(agents.pid) - before) / count / (took / 60)
    finally:
        agents.kill()
        agents.wait()


def _token(identity: str, kind: api.AccessToken.ParticipantKind, room: str, attributes: dict[str, str]) -> str:
    grants = api.VideoGrants(room_join=True, room=room, agent=kind == "agent", can_update_own_metadata=True)
    token = api.AccessToken(_KEY.key, _KEY.secret).with_identity(identity).with_kind(kind).with_attributes(attributes)
    return token.with_grants(grants).with_ttl(timedelta(hours=1)).to_jwt()


async def _rows(url: str, counts: list[int], frames: list[int], seconds: float) -> list[tuple[int, int, float, float]]:
    rows = []
    for count in counts:
        async with callers(url, count):
            for frame_ms in frames:
                bare = await measure("bare", frame_ms, url, count, seconds)
                ours = await measure("leg", frame_ms, url, count, seconds)
                rows.append((count, frame_ms, bare, ours))
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.room_leg", description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 5, 10], help="at once")
    parser.add_argument("--frames", type=int, nargs="+", default=[20], help="milliseconds that are written at a time")
    parser.add_argument("--seconds", type=float, default=20.0, help="measured for each figure")
    options = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    with (
        tempfile.TemporaryDirectory() as folder,
        livekit_server(find_livekit_server(), Path(folder), _KEY, _NOBODY) as server,
    ):
        rows = asyncio.run(_rows(server.url, options.calls, options.frames, options.seconds))
    table = Table(title="CPU seconds for a minute of one call, both ways sounding")
    for column in ("calls", "frame ms", "bare SDK", "our leg", "ratio"):
        table.add_column(column, justify="right")
    for count, frame_ms, bare, ours in rows:
        table.add_row(str(count), str(frame_ms), f"{bare:.2f}", f"{ours:.2f}", f"{ours / bare:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
