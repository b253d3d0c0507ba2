from random import Random

import pytest

from bench.soak.callers import KINDS, WORDS, drawn
from sandbox.carrier.carrier import TELEPHONE


def chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - not a secret


def test_everything_follows_from_the_chance() -> None:
    assert [drawn(chance(3)) for _ in range(2)] == [drawn(chance(3))] * 2
    assert drawn(chance(3), TELEPHONE).telephone is TELEPHONE
    kinds = {drawn(chance(seed)).kind for seed in range(100)}
    assert kinds == set(KINDS)


@pytest.mark.parametrize("seed", range(40))
def test_the_model_has_an_answer_to_everything_and_ends_a_call_that_waits_for_the_end(seed: int) -> None:
    call = drawn(chance(seed))
    asked = [step for step in call.score.steps if step.do in ("says", "interrupts", "presses")]
    assert len(call.score.replies) == len(asked)
    waits = call.score.steps[-1].do == "waits_for_end"
    assert waits == bool(call.score.replies and "tool_calls" in call.score.replies[-1])
    assert call.score.language in WORDS
    assert call.owes_turns == (call.kind != "silent")
