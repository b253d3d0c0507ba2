"""What the LiveKit SDK alone keeps of each room that it has left: ``python -m bench.room_memory --rooms 40``.

Opens rooms one after another in one process, with a caller who speaks to an agent, and prints how much memory the
process has asked of the C library and not given back: first with an agent that leaves before its caller, then with a
caller who leaves before the agent. Nothing of the service runs. Needs livekit-server and glibc.
"""

import argparse
import asyncio
import ctypes
import gc
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from livekit import api, rtc

from sandbox.carrier.livekit_server import LiveKitKey, find_livekit_server, livekit_server

_KEY = LiveKitKey("bench", "a secret of more than thirty-two bytes")
_NOBODY = "http://127.0.0.1:9/"
_ROUND = 10
_SPOKEN_FRAMES = 150
_FRAME_SAMPLES, _SAMPLE_RATE = 480, 48000


def main() -> None:
    """Print a line for each ten rooms."""
    parser = argparse.ArgumentParser(prog="python -m bench.room_memory", description=__doc__)
    parser.add_argument("--rooms", type=int, default=40)
    rooms = parser.parse_args().rooms
    for agent_leaves_first in (True, False):
        asyncio.run(_measure(rooms, agent_leaves_first=agent_leaves_first))


async def _measure(rooms: int, *, agent_leaves_first: bool) -> None:
    who = "the agent" if agent_leaves_first else "the caller"
    with _server() as url:
        await asyncio.sleep(1)
        for number in range(rooms):
            await _call(url, f"{who}-{number}", agent_leaves_first=agent_leaves_first)
            if number % _ROUND == _ROUND - 1:
                gc.collect()
                await asyncio.sleep(1)
                print(f"{who} leaves first: {number + 1} rooms, {_in_use() / 1e6:.1f} MB in use", flush=True)


@contextmanager
def _server() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory() as folder,
        livekit_server(find_livekit_server(), Path(folder), _KEY, _NOBODY) as server,
    ):
        yield f"ws://127.0.0.1:{server.port}"


async def _call(url: str, room: str, *, agent_leaves_first: bool) -> None:
    caller, agent = rtc.Room(), rtc.Room()
    heard, left = asyncio.Event(), asyncio.Event()
    agent.on("track_subscribed", lambda *_: heard.set())
    agent.on("participant_disconnected", lambda *_: left.set())
    await agent.connect(url, _token("agent", room))
    await caller.connect(url, _token("caller", room))
    source = rtc.AudioSource(_SAMPLE_RATE, 1)
    await caller.local_participant.publish_track(rtc.LocalAudioTrack.create_audio_track("voice", source))
    await heard.wait()
    frame = rtc.AudioFrame.create(_SAMPLE_RATE, 1, _FRAME_SAMPLES)
    for _ in range(_SPOKEN_FRAMES):
        await source.capture_frame(frame)
    if agent_leaves_first:
        await agent.disconnect()
        await caller.disconnect()
    else:
        await caller.disconnect()
        await left.wait()
        await agent.disconnect()
    await source.aclose()


def _token(identity: str, room: str) -> str:
    grants = api.VideoGrants(room_join=True, room=room)
    return api.AccessToken(_KEY.key, _KEY.secret).with_identity(identity).with_grants(grants).to_jwt()


def _in_use() -> int:
    """Bytes, of all arenas: https://man7.org/linux/man-pages/man3/malloc_info.3.html."""
    libc = ctypes.CDLL("libc.so.6")
    libc.fopen.restype = ctypes.c_void_p
    with tempfile.NamedTemporaryFile() as file:
        stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
        libc.malloc_info(0, stream)
        libc.fclose(stream)
        total = file.read().decode().rpartition("</heap>")[2]
    free = sum(map(int, re.findall(r'<total type="(?:rest|fast)" count="\d+" size="(\d+)"', total)))
    return int(re.findall(r'<system type="current" size="(\d+)"', total)[0]) - free


if __name__ == "__main__":
    main()
