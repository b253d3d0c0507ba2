"""Sound that has a header before it, or is none."""

import io
import json
import wave

import numpy as np
import pytest

from app.clients.cartesia.sound import SoundReader
from app.errors import WrongSound
from media.formats import AudioFormat

LINEAR = AudioFormat("pcm_s16le", 8000)
MULAW = AudioFormat("mulaw", 8000)
SOUND = (np.sin(np.arange(1600) / 7) * 9000).astype("<i2").tobytes()
ERROR = json.dumps({"type": "error", "title": "Внутренняя ошибка", "message": "something broke " * 40}).encode()


def wav(rate: int = 8000, width: int = 2, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(SOUND)
    return file.getvalue()


def read(data: bytes, *, size: int = 10_000, audio_format: AudioFormat = LINEAR) -> bytes:
    reader = SoundReader(audio_format)
    return b"".join(reader.take(data[at : at + size]) for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 3, 7, 50, 10_000])
def test_sound_without_a_header_is_given_as_it_is_in_whole_samples(size: int) -> None:
    reader = SoundReader(LINEAR)
    pieces = [reader.take(SOUND[at : at + size]) for at in range(0, len(SOUND), size)]
    assert b"".join(pieces) == SOUND
    assert all(len(piece) % 2 == 0 for piece in pieces)


@pytest.mark.parametrize("size", [1, 3, 7, 50, 10_000])
def test_a_header_is_taken_off_however_it_is_cut(size: int) -> None:
    assert read(wav(), size=size) == SOUND


def test_a_header_before_every_piece_is_taken_off() -> None:
    reader = SoundReader(LINEAR)
    assert reader.take(wav()) + reader.take(wav()) == SOUND + SOUND


def test_a_header_with_more_parts_is_taken_off() -> None:
    extra = b"LIST" + (5).to_bytes(4, "little") + b"INFO \0"
    data = wav()
    assert read(data[:36] + extra + data[36:]) == SOUND


def test_sound_that_begins_like_a_header_is_sound() -> None:
    data = b"RIFF" + SOUND
    assert read(data, size=2) == data
    assert read(b"RI" + SOUND) == b"RI" + SOUND


@pytest.mark.parametrize("described", [wav(rate=24000), wav(width=1), wav(channels=2)])
def test_a_header_of_another_format_says_what_the_sound_is(described: bytes) -> None:
    with pytest.raises(WrongSound, match="another format"):
        read(described)


def test_a_header_that_never_ends_is_refused() -> None:
    with pytest.raises(WrongSound):
        read(b"RIFF\xff\xff\xff\xffWAVE" + b"junk\xff\xff\xff\xff" + bytes(8000))


@pytest.mark.parametrize("audio_format", [LINEAR, MULAW])
@pytest.mark.parametrize(
    "text",
    [
        ERROR,
        b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>",
        "Внутренняя ошибка сервера, повторите".encode(),
    ],
    ids=["json", "html", "plain"],
)
def test_text_is_not_sound(text: bytes, audio_format: AudioFormat) -> None:
    with pytest.raises(WrongSound, match="text"):
        read(text, audio_format=audio_format)
    with pytest.raises(WrongSound, match="text"):
        read(SOUND[:1600] + text, size=1600, audio_format=audio_format)


def test_a_file_is_not_raw_sound() -> None:
    with pytest.raises(WrongSound, match="a file"):
        read(b"OggS\x00\x02" + bytes(100))


@pytest.mark.parametrize("silence", [b"\x00", b"\xff", b"\x7f", b"\x7e", b"~~~}"])
def test_silence_is_sound(silence: bytes) -> None:
    data = silence * (1600 // len(silence))
    assert read(data, audio_format=MULAW) == data


def test_no_noise_is_taken_for_text() -> None:
    random = np.random.default_rng(7)
    for loudness in (3, 30, 300, 3000, 30000):
        noise = (random.standard_normal(200_000) * loudness).clip(-32768, 32767).astype("<i2").tobytes()
        assert read(noise, size=64) == noise
