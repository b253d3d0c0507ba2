"""The variables that an agent declares."""

from typing import Any

import pytest

from app.calls.agent.variables import Variable, check_variables, defaults
from app.errors import InvalidRequest

DECLARED = (Variable("doctor", "Smith"), Variable("floor", 3), Variable("order", required=True), Variable("note"))


def test_what_nobody_sets_has_its_default() -> None:
    assert defaults(DECLARED) == {"doctor": "Smith", "floor": 3, "order": "", "note": ""}


@pytest.mark.parametrize("given", [{"order": "77"}, {"order": 77, "note": ""}, {"order": False, "doctor": "Jones"}])
def test_a_request_sets_what_is_declared(given: dict[str, Any]) -> None:
    check_variables(DECLARED, given)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "variables.order: is missing"),
        ({"order": ""}, "variables.order: is missing"),
        ({"order": " \n\u200b"}, "variables.order: is missing"),
        ({"order": None}, "variables.order: must be a text, a number, true or false"),
        ({"order": 1, "doktor": "x"}, "variables.doktor: is not known; the agent has doctor, floor, note, order"),
        ({"order": {"a": "secret"}}, "variables.order: must be a text, a number, true or false"),
    ],
)
def test_what_a_request_may_not_set_is_named_without_its_value(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_variables(DECLARED, given)

    assert problem in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_agent_without_variables_says_so() -> None:
    with pytest.raises(InvalidRequest, match="the agent has none"):
        check_variables((), {"a": "b"})
