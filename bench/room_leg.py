"""What our leg costs beside the SDK that it stands on: ``python -m bench.room_leg``; needs a livekit-server.

Rooms with one caller each, who speaks all the time, on the load's core together with the server; the agents, who hear
and speak all the time, in a process on a core of its own: by the bare SDK, then by our leg, with the same callers, each
with every length of what is written and read at a time. The figures of a row are medians of rounds that take turns.
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
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from pathlib import Path
from statistics import median

from livekit import api, rtc
from rich.console import Console
from rich.table import Table

from bench.pinned import LOAD_CORE, SERVICE_CORE, cpu_seconds, resident_bytes
from sandbox.carrier.livekit_server import LiveKitKey, find_livekit_server, livekit_server

_CALLER = "sip_caller"
_RATE = 48000
_SETTLES_SECONDS = 4.0
_KEY = LiveKitKey("bench", "a-secret-of-more-than-32-characters-for-it")
_NOBODY = "http://127.0.0.1:9/webhooks"
"""Listens for the webhooks."""
_HEARD_SHARE_MIN = 0.9
"""An agent must have heard its caller for this share of the time; one that is not in its room costs nothing."""


@asynccontextmanager
async def callers(url: str, count: int) -> AsyncIterator[None]:
    """Open rooms, each with an answered telephone."""
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
        try:
            yield
        finally:
            for task in speaking:
                task.cancel()
            for room in rooms:
                await room.disconnect()


async def _speak(source: rtc.AudioSource) -> None:
    samples = _RATE // 50
    frame = rtc.AudioFrame(bytes(range(256)) * (samples * 2 // 256) + bytes(samples * 2 % 256), _RATE, 1, samples)
    while True:
        await source.capture_frame(frame)


@dataclass(frozen=True, slots=True)
class Way:
    """How sound is carried: by the bare SDK or by our leg, and how much at a time."""

    kind: str
    write_ms: int
    read_ms: int


@dataclass(frozen=True, slots=True)
class Figure:
    """The figures of a process of agents."""

    cpu_seconds: float
    """CPU seconds for a minute of one call."""
    late_p99_ms: float
    """The lateness of its event loop."""
    resident_mb: float


async def measure(way: Way, url: str, count: int, seconds: float) -> Figure | None:
    """None when not every agent heard its caller: the machine was too busy, and the figure would be void."""
    tokens = [_token(f"agent-{number}", "agent", f"call_{number}", {}) for number in range(count)]
    ways = [way.kind, str(way.write_ms), str(way.read_ms)]
    pinned = [
        "taskset",
        "--cpu-list",
        str(SERVICE_CORE),
        sys.executable,
        "-m",
        "bench.room_agents",
        *ways,
        url,
        _CALLER,
    ]
    agents = await asyncio.create_subprocess_exec(*pinned, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        await _ask(agents, json.dumps(tokens))
        await asyncio.sleep(_SETTLES_SECONDS + 0.3 * count)
        await _ask(agents, "begin", answered=True)
        before, began = cpu_seconds(agents.pid), asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
        took, used = asyncio.get_running_loop().time() - began, cpu_seconds(agents.pid) - before
        figures = await _ask(agents, "end", answered=True)
        if figures["heard_seconds"] < count * took * _HEARD_SHARE_MIN:
            return None
        return Figure(used / count / (took / 60), figures["late_p99_ms"], resident_bytes(agents.pid) / 1e6)
    finally:
        agents.kill()
        await agents.wait()


async def _ask(agents: asyncio.subprocess.Process, line: str, *, answered: bool = False) -> dict[str, float]:
    if agents.stdin is None or agents.stdout is None:
        raise AssertionError("both are pipes")
    agents.stdin.write(f"{line}\n".encode())
    await agents.stdin.drain()
    answer: dict[str, float] = json.loads(await agents.stdout.readline()) if answered else {}
    return answer


def _token(identity: str, kind: api.AccessToken.ParticipantKind, room: str, attributes: dict[str, str]) -> str:
    grants = api.VideoGrants(room_join=True, room=room, agent=kind == "agent", can_update_own_metadata=True)
    token = api.AccessToken(_KEY.key, _KEY.secret).with_identity(identity).with_kind(kind).with_attributes(attributes)
    return token.with_grants(grants).with_ttl(timedelta(hours=1)).to_jwt()


async def _figures(url: str, count: int, ways: list[Way], rounds: int, seconds: float) -> dict[Way, list[Figure]]:
    figures: dict[Way, list[Figure]] = {way: [] for way in ways}
    async with callers(url, count):
        for _ in range(rounds):
            for way in ways:
                figure = await measure(way, url, count, seconds)
                figures[way] += [figure] if figure else []
    return figures


def _table(figures: dict[Way, list[Figure]], count: int) -> Table:
    """Each way, relative to the cheapest one of the bare SDK."""
    cpu = {way: [figure.cpu_seconds for figure in taken] for way, taken in figures.items()}
    least = min(median(taken) for way, taken in cpu.items() if way.kind == "bare" and taken)
    title = f"CPU seconds for a minute of one call, both ways sounding, {count} at once"
    columns = ("by", "write ms", "read ms", "CPU s", "from", "to", "to the cheapest bare", "late p99 ms", "MB")
    table = Table(*columns, title=title)
    for way, taken in figures.items():
        if not taken:
            table.add_row(way.kind, str(way.write_ms), str(way.read_ms), "void")
            continue
        middle = median(cpu[way])
        numbers = [middle, min(cpu[way]), max(cpu[way]), middle / least]
        rest = [median(each.late_p99_ms for each in taken), median(each.resident_mb for each in taken)]
        cells = [f"{number:.2f}" for number in numbers] + [f"{number:.0f}" for number in rest]
        table.add_row(way.kind, str(way.write_ms), str(way.read_ms), *cells)
    return table


def main() -> None:
    """Print a table for each number of calls."""
    parser = argparse.ArgumentParser(prog="python -m bench.room_leg", description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 5, 10], help="at once")
    parser.add_argument("--write", type=int, nargs="+", default=[20, 60, 100], help="milliseconds at a time, below 200")
    parser.add_argument("--read", type=int, nargs="+", default=[20, 40], help="milliseconds at a time")
    parser.add_argument("--rounds", type=int, default=3, help="of all ways, one after another")
    parser.add_argument("--seconds", type=float, default=15.0, help="measured for each figure")
    options = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    ways = [Way(kind, *sizes) for sizes in product(options.write, options.read) for kind in ("bare", "leg")]
    with (
        tempfile.TemporaryDirectory() as folder,
        livekit_server(find_livekit_server(), Path(folder), _KEY, _NOBODY) as server,
    ):
        for count in options.calls:
            figures = asyncio.run(_figures(server.url, count, ways, options.rounds, options.seconds))
            Console().print(_table(figures, count))


if __name__ == "__main__":
    main()
