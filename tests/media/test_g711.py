"""μ-law against the standard library where it still has it, and against its fingerprints everywhere."""

import importlib
import warnings
from hashlib import sha256
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.errors import BadAudio
from media.g711 import mulaw_to_pcm, pcm_to_mulaw

EVERY_SAMPLE = np.arange(1 << 16, dtype="<u2").tobytes()
EVERY_CODE = bytes(range(256))


def audioop() -> ModuleType | None:
    """The standard library's converter; gone since Python 3.13."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return importlib.import_module("audioop")
        except ModuleNotFoundError:
            return None


def test_every_sample_has_the_code_that_the_standard_library_gives_it() -> None:
    codes = pcm_to_mulaw(EVERY_SAMPLE)
    reference = audioop()
    if reference:
        assert codes == reference.lin2ulaw(EVERY_SAMPLE, 2)
    assert sha256(codes).hexdigest() == "617fa4850d68d3906597e949f7625fb2fc46db479e29707f33159b3d131721cb"


def test_every_code_has_the_sample_that_the_standard_library_gives_it() -> None:
    samples = mulaw_to_pcm(EVERY_CODE)
    reference = audioop()
    if reference:
        assert samples == reference.ulaw2lin(EVERY_CODE, 2)
    assert sha256(samples).hexdigest() == "3dab54339e520bb2c924826e3b72a917a2b612e9fd12fc867500f1d983a75827"


@pytest.mark.parametrize(
    ("sample", "code"), [(0, 0xFF), (-1, 0x7E), (32767, 0x80), (-32768, 0x00), (1000, 0xCE), (-1000, 0x4E)]
)
def test_known_samples_have_known_codes(sample: int, code: int) -> None:
    assert pcm_to_mulaw(sample.to_bytes(2, "little", signed=True)) == bytes([code])


@given(st.binary(max_size=400))
def test_a_code_survives_the_way_through_pcm(codes: bytes) -> None:
    again = pcm_to_mulaw(mulaw_to_pcm(codes))

    assert again == codes.replace(b"\x7f", b"\xff")  # both are zero


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(BadAudio) as refused:
        pcm_to_mulaw(b"\0\0\0")

    assert refused.value.code == "audio_invalid"


def test_an_empty_message_gives_no_audio() -> None:
    assert (pcm_to_mulaw(b""), mulaw_to_pcm(b"")) == (b"", b"")
