import numpy as np
import pytest

from sandbox.vendors.encodings import SAMPLE_BYTES, Encoding, decode, encode

SAMPLES = np.arange(-32768, 32768, 7, dtype=np.int16)


@pytest.mark.parametrize("encoding", list(SAMPLE_BYTES))
def test_what_is_encoded_comes_back_nearly_the_same(encoding: Encoding) -> None:
    encoded = encode(SAMPLES, encoding)
    assert len(encoded) == SAMPLES.size * SAMPLE_BYTES[encoding]
    error = np.abs(decode(encoded, encoding).astype(int) - SAMPLES)
    assert np.all(error <= np.abs(SAMPLES.astype(int)) * 0.04 + 20)


def test_the_g711_codes_are_those_of_the_standard() -> None:
    samples = np.array([0, 1000, -1000, 32767, -32768], np.int16)
    assert encode(samples, "pcm_mulaw") == bytes([0xFF, 0xCE, 0x4E, 0x80, 0x00])
    assert encode(samples, "pcm_alaw")[1:] == bytes([0xFA, 0x7A, 0xAA, 0x2A])


@pytest.mark.parametrize("encoding", ["pcm_mulaw", "pcm_alaw"])
def test_every_code_survives_a_round_trip(encoding: Encoding) -> None:
    levels = decode(bytes(range(256)), encoding)
    assert np.array_equal(decode(encode(levels, encoding), encoding), levels)
