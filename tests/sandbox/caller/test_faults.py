"""What a line with a fault sends in place of what the caller gave it."""

from typing import cast

from sandbox.caller.faults import FaultyLine
from sandbox.caller.media_client import MediaClient
from sandbox.caller.media_format import MediaFormat

FRAME = bytes(range(256)) + bytes(64)


class KeptLine:
    """Keeps what is sent."""

    def __init__(self, encoding: str = "pcm_s16le") -> None:
        self.format = MediaFormat(encoding, 8000)  # type: ignore[arg-type]  # one of the two
        self.frames: list[bytes] = []
        self.digits = ""

    async def send_audio(self, audio: bytes) -> None:
        self.frames.append(audio)

    async def send_digit(self, digit: str) -> None:
        self.digits += digit


async def sent(kind: str, frames: int, encoding: str = "pcm_s16le", frame: bytes = FRAME) -> list[bytes]:
    line = KeptLine(encoding)
    faulty = FaultyLine(cast(MediaClient, line), kind)
    for _ in range(frames):
        await faulty.send_audio(frame)
    return line.frames


async def test_a_stray_byte_comes_once_a_second() -> None:
    lengths = [len(frame) for frame in await sent("stray_byte", 150)]

    assert (lengths.count(321), lengths.count(320)) == (3, 147)


async def test_cut_samples_are_the_same_sound_in_other_pieces() -> None:
    frames = await sent("cut_samples", 20)

    assert b"".join(frames) == FRAME * 20
    assert {len(frame) % 2 for frame in frames} == {1}


async def test_the_wrong_encoding_is_four_times_the_bytes() -> None:
    assert [len(frame) for frame in await sent("wrong_encoding", 2, "mulaw", bytes(160))] == [640, 640]


async def test_a_key_that_bounces_comes_twice() -> None:
    line = KeptLine()

    await FaultyLine(cast(MediaClient, line), "key_bounce").send_digit("5")

    assert line.digits == "55"
