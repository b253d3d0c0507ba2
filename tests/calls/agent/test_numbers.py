"""Which agent answers which number."""

import pytest

from app.calls.agent.numbers import NumberTable, number_problem

TABLE = NumberTable({"clinic": ["+7 (495) 123-45-67", "+7800*"], "moscow": ["+7495*"], "rest": ["*"]})


@pytest.mark.parametrize(
    ("called", "agent"),
    [
        ("+74951234567", "clinic"),
        ("74951234567", "clinic"),
        ("+7 495 123 45 67", "clinic"),
        ("+74951234568", "moscow"),
        ("+78001112233", "clinic"),
        ("+79161112233", "rest"),
        ("anonymous", "rest"),
        ("", "rest"),
        (None, "rest"),
    ],
)
def test_the_longest_that_fits_answers(called: str | None, agent: str) -> None:
    assert TABLE.find(called) == agent


@pytest.mark.parametrize("called", ["+4930123", "", None, "*", "+7495*"])
def test_a_number_that_nobody_claims_has_no_agent(called: str | None) -> None:
    assert NumberTable({"moscow": ["+7495123*"]}).find(called) is None


def test_a_number_of_another_agent_is_a_clash_however_it_is_written() -> None:
    assert list(TABLE.clashes(["8 800 1", "+7495*", "7(495)1234567", "+7499*"])) == [
        "+7495* is a number of the agent moscow, too",
        "7(495)1234567 is a number of the agent clinic, too",
    ]


@pytest.mark.parametrize("written", ["+74951234567", "8 (800) 100-20-30", "112", "+7495*", "*"])
def test_numbers_as_people_write_them(written: str) -> None:
    assert number_problem(written) is None


@pytest.mark.parametrize("written", ["", "+", "clinic", "+7*495", "**", "+7495 1x", "()", "٣٤٥"])
def test_what_is_no_number_is_refused(written: str) -> None:
    assert number_problem(written)
