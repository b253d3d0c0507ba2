from math import inf

import pytest

from bench.talk.aims import Result, results
from bench.talk.scoring import Observation


def observed(measure: str, *goods: bool, seconds: float | None = None) -> list[Observation]:
    return [Observation(measure, good, f"plain-ru-{seed}", 1.0, "", seconds) for seed, good in enumerate(goods)]


def result(name: str, observations: list[Observation]) -> Result:
    return next(each for each in results(observations) if each.name == name)


@pytest.mark.parametrize(("goods", "met"), [([True] * 19 + [False], True), ([True] * 9 + [False], False)])
def test_a_share_of_good_ones_is_aimed_at(goods: list[bool], met: bool) -> None:
    found = result("selectivity: backchannels", observed("backchannels", *goods))

    assert found.value == pytest.approx(sum(goods) / len(goods))
    assert found.met is met
    assert [scene for scene, _, _ in found.failed] == [f"plain-ru-{len(goods) - 1}"]


def test_interrupts_are_a_share_of_bad_ones() -> None:
    found = result("agent interrupts", observed("agent interrupts", True, False))

    assert (found.value, found.good, found.count, found.met) == (0.5, 1, 2, False)


def test_a_yield_is_judged_by_the_slowest_of_twenty() -> None:
    slow = [*observed("yields", *[True] * 18, seconds=0.1), *observed("yields", True, True, seconds=0.4)]

    found = result("yield, p95", slow)

    assert (found.value, found.met, len(found.failed)) == (0.4, False, 2)


def test_a_yield_that_never_came_has_no_value_in_json() -> None:
    never = result("yield, p95", observed("yields", False, seconds=inf))

    assert never.met is False
    assert never.as_json()["value"] is None


def test_what_was_not_observed_meets_nothing_and_misses_nothing() -> None:
    assert {(each.value, each.met) for each in results([])} == {(None, None)}


def test_a_measure_without_an_aim_misses_nothing() -> None:
    assert result("false cut-offs", observed("false cut-offs", False)).met is None
