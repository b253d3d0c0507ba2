import random
import statistics

import pytest

from sandbox.vendors.profiles import PROFILES, Delay
from sandbox.vendors.stage import Stage


def luck() -> random.Random:
    return random.Random(1)  # noqa: S311 - delays, no secrets


def test_a_delay_has_the_median_and_the_95th_percentile_it_was_given() -> None:
    chance = luck()
    drawn = sorted(Delay(0.4, 0.8).draw(chance) for _ in range(4000))
    assert statistics.median(drawn) == pytest.approx(0.4, rel=0.05)
    assert drawn[int(0.95 * len(drawn))] == pytest.approx(0.8, rel=0.08)


def test_the_instant_profile_never_waits() -> None:
    instant = PROFILES["instant"]
    delays = (instant.end_of_turn, instant.eager_end, instant.first_token, instant.token, instant.first_audio)
    assert {delay.draw(luck()) for delay in delays} == {0.0}
    assert instant.draw_audio_speed(luck()) == float("inf")


def test_the_same_seed_gives_the_same_delays_whatever_other_calls_do() -> None:
    def delays(seed: int, *, others: bool) -> list[float]:
        stage = Stage(profile="typical", seed=seed)
        stage.call("call")  # calls count by their number
        drawn = []
        for _ in range(3):
            if others:
                stage.chance("openai", "another")
            drawn.append(stage.profile.first_token.draw(stage.chance("openai", "call")))
        return drawn

    assert delays(7, others=False) == delays(7, others=True)
    assert delays(7, others=False) != delays(8, others=False)
    assert len(set(delays(7, others=False))) == 3


def test_slow_is_slower_than_typical() -> None:
    typical, slow = PROFILES["typical"], PROFILES["slow"]
    assert slow.first_token.median > typical.first_token.median
    assert slow.end_of_turn.p95 > typical.end_of_turn.p95
