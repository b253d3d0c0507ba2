"""The turns of the bench of turn ends: the same for a seed, with pauses where the script says so."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from bench.turn_set import RATE, TURNS_OF_A_KIND, turns

_KINDS = ("plain", "hesitation", "number", "yes_no")


@pytest.mark.parametrize("language", ["ru", "en"])
def test_a_language_has_a_hundred_turns_that_a_seed_decides(language: str) -> None:
    first = turns(language, 1)

    assert Counter(turn.kind for turn in first) == dict.fromkeys(_KINDS, TURNS_OF_A_KIND)
    assert turns(language, 1) == first
    assert turns(language, 2) != first


@pytest.mark.parametrize("language", ["ru", "en"])
def test_the_script_has_the_pauses_and_as_many_silences_as_it_may_end_at(language: str) -> None:
    for turn in turns(language, 1):
        script = turn.script
        words = script.text.split()
        bounds = [0, *script.pauses_at, len(words)]
        assert [" ".join(words[start:end]) for start, end in pairwise(bounds)] == list(turn.chunks)
        assert len(script.sure_after) == len(turn.chunks)


def test_the_end_is_where_the_sound_ends_and_the_pauses_are_silent() -> None:
    turn = next(turn for turn in turns("en", 1) if len(turn.pauses) == 1)
    audio, end = turn.sound()
    loud = np.flatnonzero(np.abs(np.frombuffer(audio, "<i2").astype(int)) > 100) / RATE

    assert loud[-1] == pytest.approx(end, abs=0.02)
    assert np.diff(loud).max() >= turn.pauses[0]
