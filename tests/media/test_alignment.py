"""Whole samples out of messages that may end within one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.alignment import SampleAligner

RATE = 8000


def speech(seconds: float = 1.0, amplitude: float = 4000.0) -> bytes:
    """Some voiced sound, loud and soft in turn."""
    times = np.arange(int(RATE * seconds)) / RATE
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * 3 * times)
    voice = sum(np.sin(2 * np.pi * 140 * number * times) / number for number in range(1, 9))
    return np.round(amplitude * swell * voice / 3).astype("<i2").tobytes()


def in_pieces(sound: bytes, size: int) -> list[bytes]:
    return [sound[at : at + size] for at in range(0, len(sound), size)]


@pytest.mark.parametrize("size", [1, 3, 319, 321, 641, 1001])
def test_a_stream_that_is_cut_anywhere_is_heard_as_it_was(size: int) -> None:
    aligner, sound = SampleAligner(2), speech()

    assert b"".join(aligner.whole(piece) for piece in in_pieces(sound, size)) == sound
    assert aligner.dropped_bytes == 0


@given(st.lists(st.integers(1, 700), min_size=1, max_size=30))
def test_pieces_of_any_length_are_the_same_sound(sizes: list[int]) -> None:
    aligner, sound = SampleAligner(2), speech(0.5)
    heard, at = b"", 0
    for size in [*sizes, len(sound)]:
        heard += aligner.whole(sound[at : at + size])
        at += size

    assert heard == sound


@pytest.mark.parametrize("amplitude", [40, 400, 12000])
@pytest.mark.parametrize("stray", [b"\x00", b"\x7f", b"\xff"])
def test_a_stray_byte_costs_a_frame_at_most_and_the_rest_is_sound_again(stray: bytes, amplitude: float) -> None:
    aligner, frames = SampleAligner(2), in_pieces(speech(amplitude=amplitude), 320)
    frames[10] += stray

    heard = [aligner.whole(frame) for frame in frames]

    assert heard[:10] == frames[:10]
    assert heard[12:] == frames[12:]
    assert aligner.dropped_bytes == 1


def test_a_stray_byte_in_silence_waits_until_there_is_a_sound() -> None:
    aligner, frames = SampleAligner(2), in_pieces(speech(), 320)

    heard = [aligner.whole(frame) for frame in [bytes(321), bytes(320), bytes(320), *frames]]

    assert heard[4:] == frames[1:]


def test_both_channels_of_a_sample_stay_together() -> None:
    aligner = SampleAligner(4)
    left, right = np.frombuffer(speech(), "<i2"), np.zeros(RATE, "<i2")
    sound = np.column_stack([left, right]).tobytes()

    assert b"".join(aligner.whole(piece) for piece in in_pieces(sound, 1919)) == sound


def test_single_byte_samples_and_empty_messages_pass_unchanged() -> None:
    assert SampleAligner(1).whole(b"\x01\x02\x03") == b"\x01\x02\x03"
    assert SampleAligner(2).whole(b"") == b""
