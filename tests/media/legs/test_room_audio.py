"""The agent's sound before it leaves for the room: with the SDK's own source, which needs no server."""

import asyncio
from types import SimpleNamespace

import pytest
from livekit import rtc

from media.legs import room_audio as room_voice
from media.legs.room_audio import ROOM_FORMAT, RoomVoice

FRAME = b"\x01\x02" * ROOM_FORMAT.frame_samples


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """What the source was given: seconds of sound, and how much it still had to play, by the clock of the test."""
    clock = SimpleNamespace(monotonic=lambda: asyncio.get_running_loop().time())
    monkeypatch.setattr("livekit.rtc.audio_source.time", clock)
    pieces = []
    capture = rtc.AudioSource.capture_frame

    async def noted(source: rtc.AudioSource, frame: rtc.AudioFrame) -> None:
        pieces.append((frame.samples_per_channel / frame.sample_rate, source.queued_duration))
        await capture(source, frame)

    monkeypatch.setattr(rtc.AudioSource, "capture_frame", noted)
    return pieces


def test_the_sdk_is_asked_for_nothing_that_aborts_the_process() -> None:
    assert room_voice._SOURCE_QUEUE_MS % 10 == 0
    piece_ms = room_voice._PIECE_BYTES_MAX * 1000 // (ROOM_FORMAT.sample_rate * ROOM_FORMAT.sample_bytes)
    assert piece_ms <= room_voice._SOURCE_QUEUE_MS


async def test_the_first_sound_is_written_at_once_and_what_follows_in_longer_pieces(
    written: list[tuple[float, float]],
) -> None:
    voice = RoomVoice("call_1")
    writing = asyncio.get_running_loop().create_task(voice.run(), name="writer")
    voice.send(FRAME * 10)
    await asyncio.sleep(0.01)
    assert written == [(0.2, 0.0)]
    for _ in range(40):
        voice.send(FRAME)
        await asyncio.sleep(0.02)
    writing.cancel()
    await asyncio.wait([writing])
    await voice.aclose()
    assert len(written) < 20
    assert min(left for _, left in written[1:]) > 0, "the source ran dry"


async def test_after_a_clear_sound_is_written_at_once(written: list[tuple[float, float]]) -> None:
    voice = RoomVoice("call_1")
    writing = asyncio.get_running_loop().create_task(voice.run(), name="writer")
    voice.send(FRAME * 10)
    await asyncio.sleep(0.01)
    voice.send(FRAME)
    voice.clear()
    assert voice.plays_until <= asyncio.get_running_loop().time()
    voice.send(FRAME * 2)
    await asyncio.sleep(0.01)
    writing.cancel()
    await asyncio.wait([writing])
    await voice.aclose()
    assert [seconds for seconds, _ in written] == [0.2, 0.04]


async def test_the_oldest_unwritten_audio_is_dropped_and_a_rest_is_padded() -> None:
    voice = RoomVoice("call_1")
    voice.send(FRAME * 400)
    voice.send(b"\x01\x02")
    assert len(voice._unwritten) == 5 * ROOM_FORMAT.sample_rate * ROOM_FORMAT.sample_bytes
    assert bytes(voice._unwritten[-320:]) == b"\x01\x02" + bytes(318)
    assert voice.plays_until == pytest.approx(asyncio.get_running_loop().time() + 5, abs=0.1)
    await voice.aclose()
