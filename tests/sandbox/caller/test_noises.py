from typing import get_args

import numpy as np
import pytest

from sandbox.caller.noises import BURSTS, NoiseKind, burst, noise
from sandbox.caller.span_detector import spans_of

RATE = 8000


@pytest.mark.parametrize("kind", get_args(NoiseKind))
def test_noise_has_the_wanted_level_and_is_the_same_again(kind: NoiseKind) -> None:
    made = noise(kind, 8 * RATE, RATE, -30.0, seed=1)

    level = 20 * np.log10(np.sqrt(np.mean(made.astype(np.float64) ** 2)) / 32768)
    assert level == pytest.approx(-30.0, abs=0.1)
    assert np.array_equal(made, noise(kind, 8 * RATE, RATE, -30.0, seed=1))
    assert not np.array_equal(made, noise(kind, 8 * RATE, RATE, -30.0, seed=2))


@pytest.mark.parametrize("kind", BURSTS)
def test_a_burst_is_loud_for_about_as_long_as_it_lasts(kind: str) -> None:
    made = burst(kind, 0.4, RATE)  # type: ignore[arg-type]  # a literal of the tuple

    assert len(made) == round(0.4 * RATE)
    spans = spans_of(made, RATE)
    assert spans[-1].end - spans[0].start > 0.25
