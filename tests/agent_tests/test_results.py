"""How reliably scenarios pass."""

import pytest

from app.agent_tests.expectations import Checked
from app.agent_tests.results import Attempt, ScenarioResult, pass_hat

MET = Checked("turns: 1", True)


def missed(turn: int | None) -> Checked:
    return Checked("said: x", False, "the agent did not say it", turn)


def test_pass_hat_k_is_the_chance_of_k_passes_in_a_row() -> None:
    often = ScenarioResult("f", "often", (Attempt((MET,), 1.0),) * 3 + (Attempt((missed(2),), 1.0),))
    always = ScenarioResult("f", "always", (Attempt((MET,), 1.0),) * 4)
    assert pass_hat([often, always], 1) == pytest.approx((3 / 4 + 1) / 2)
    assert pass_hat([often, always], 2) == pytest.approx((3 / 6 + 1) / 2)
    assert pass_hat([often, always], 4) == pytest.approx((0 + 1) / 2)


def test_the_earliest_turn_is_the_first_failure() -> None:
    attempt = Attempt((missed(None), missed(4), MET, missed(2)), 1.0)
    assert attempt.first_failure is not None
    assert attempt.first_failure.turn == 2
    assert not attempt.passed


def test_a_call_that_could_not_be_held_has_failed() -> None:
    assert not Attempt((), 1.0, problem="openai: provider_unavailable").passed
