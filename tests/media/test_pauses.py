"""Speech without word times is cut where it is quietest."""

import numpy as np
import pytest

from media.formats import AudioFormat
from media.g711 import pcm_to_mulaw
from media.pauses import quietest_near

RATE = 8000


def words(*lengths: float, gap: float = 0.04, encoding: str = "pcm_s16le") -> bytes:
    """Tones of these lengths with short gaps between them; all in seconds."""
    pieces = []
    for length in lengths:
        t = np.arange(int(length * RATE)) / RATE
        pieces += [8000 * np.sin(2 * np.pi * 220 * t), np.zeros(int(gap * RATE))]
    pcm = np.concatenate(pieces).astype("<i2").tobytes()
    return pcm_to_mulaw(pcm) if encoding == "mulaw" else pcm


@pytest.mark.parametrize("encoding", ["pcm_s16le", "mulaw"])
@pytest.mark.parametrize("about", [0.22, 0.3, 0.32, 0.36, 0.41])
def test_the_gap_between_two_words_is_found(encoding: str, about: float) -> None:
    """The first word takes 0.3 s."""
    audio = words(0.3, 0.4, 0.5, encoding=encoding)

    at = quietest_near(audio, AudioFormat(encoding, RATE), int(about * RATE), int(0.12 * RATE))  # type: ignore[arg-type]  # one of both

    assert 0.3 < at / RATE < 0.34


def test_sound_without_a_gap_is_cut_where_it_was_wanted() -> None:
    audio = np.full(RATE, 1000, dtype="<i2").tobytes()

    assert quietest_near(audio, AudioFormat("pcm_s16le", RATE), 3000, 800) == 3000


@pytest.mark.parametrize("position", [0, 4000, 99999])
def test_where_there_is_no_sound_around_nothing_is_moved(position: int) -> None:
    assert quietest_near(b"", AudioFormat("pcm_s16le", RATE), position, 100) == position
