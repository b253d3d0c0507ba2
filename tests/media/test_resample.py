"""The converter as a stream: how much comes out, when, and whether it is the same sound."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.formats import SAMPLE_RATES, AudioFormat
from media.g711 import mulaw_to_pcm, pcm_to_mulaw
from media.resample import Converter
from tests.media import signals

TELEPHONE = AudioFormat("mulaw", 8000)
FORMATS = [TELEPHONE, *(AudioFormat("pcm_s16le", rate) for rate in SAMPLE_RATES)]
PAIRS = [(source, target) for source, target in product(FORMATS, FORMATS) if source != target]

every_pair = pytest.mark.parametrize(("source", "target"), PAIRS, ids=lambda f: f"{f.encoding}{f.sample_rate}")


def converted(audio: bytes, source: AudioFormat, target: AudioFormat, chunk_bytes: int) -> bytes:
    """All of the audio: silence behind it pushes its end through the filter, and is cut off."""
    converter = Converter(source, target)
    followed = audio + source.silence(source.sample_rate // 10)
    chunks = [followed[start : start + chunk_bytes] for start in range(0, len(followed), chunk_bytes)]
    length = round(source.seconds(audio) * target.sample_rate) * target.sample_bytes
    return b"".join(map(converter.convert, chunks))[:length]


def frame_bytes(audio_format: AudioFormat) -> int:
    return audio_format.frame_samples * audio_format.sample_bytes


def samples(audio: bytes, audio_format: AudioFormat) -> signals.Signal:
    pcm = mulaw_to_pcm(audio) if audio_format.encoding == "mulaw" else audio
    return np.frombuffer(pcm, "<i2").astype(float)


@every_pair
def test_a_tone_stays_the_same_tone_within_a_third_of_a_millisecond(source: AudioFormat, target: AudioFormat) -> None:
    tone = signals.encoded(signals.tone(100, 0.5, source.sample_rate), source)
    expected = signals.tone(100, 0.5, target.sample_rate)

    got = samples(converted(tone, source, target, frame_bytes(source)), target)

    assert abs(len(got) - len(expected)) <= 1
    middle = slice(len(expected) // 4, len(expected) * 3 // 4)
    error = np.std(got[middle] - expected[middle]) / np.std(expected[middle])
    assert error < 2 * np.pi * 100 * 0.00033


@every_pair
def test_sound_comes_out_within_31_ms(source: AudioFormat, target: AudioFormat) -> None:
    converter = Converter(source, target)
    frame = source.silence(source.frame_samples)

    lags = [
        frames * 0.02 - total / target.sample_rate
        for frames, total in enumerate(np.cumsum([target.samples(converter.convert(frame)) for _ in range(100)]), 1)
    ]

    assert max(lags) < 0.031


def test_what_does_not_fit_into_the_narrower_band_is_gone() -> None:
    source, target = AudioFormat("pcm_s16le", 48000), AudioFormat("pcm_s16le", 8000)
    hiss = signals.encoded(signals.tone(5000, 0.5, 48000, -10), source)

    got = samples(converted(hiss, source, target, frame_bytes(source)), target)

    assert np.abs(got[1000:3000]).max() <= 4


@given(st.sampled_from(FORMATS), st.sampled_from(FORMATS), st.lists(st.integers(0, 2000), min_size=1, max_size=12))
@settings(max_examples=60)
def test_any_chunking_gives_the_length_of_one_piece(
    source: AudioFormat, target: AudioFormat, chunks: list[int]
) -> None:
    audio = signals.encoded(signals.noise(max(1, sum(chunks)) / source.sample_rate, source.sample_rate), source)
    audio = audio[: sum(chunks) // source.sample_bytes * source.sample_bytes]
    converter, start, got = Converter(source, target), 0, 0
    for chunk in chunks:
        got += len(converter.convert(audio[start : start + chunk]))
        start += chunk

    assert got == len(Converter(source, target).convert(audio))
    assert -0.001 < source.seconds(audio) - got / target.sample_bytes / target.sample_rate < 0.031


def test_equal_formats_pass_the_very_same_bytes() -> None:
    converter, audio = Converter(TELEPHONE, TELEPHONE), b"\x01\x02\x03"

    assert converter.convert(audio) is audio


def test_half_a_sample_waits_for_its_other_half() -> None:
    converter = Converter(AudioFormat("pcm_s16le", 8000), TELEPHONE)

    assert converter.convert(b"\x10") == b""
    assert converter.convert(b"\x20\x30") == pcm_to_mulaw(b"\x10\x20")
