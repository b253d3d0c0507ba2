"""Which agent answers which number."""

import pytest

from app.calls.agent.numbers import NumberTable, clashes, number_problem

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


AT_HOME = {"clinic": ["8 (495) 123-45-67", "8800*"], "moscow": ["8495*"], "ward": ["100", "11*"], "city": ["+7812*"]}


@pytest.mark.parametrize("home", ["+74950000000", None])
@pytest.mark.parametrize(
    ("called", "agent"),
    [
        ("+74951234567", "clinic"),
        ("84951234567", "clinic"),
        ("74951234567", "clinic"),
        ("+74951234568", "moscow"),
        ("88001112233", "clinic"),
        ("8 812 123-45-67", "city"),
        ("100", "ward"),
        ("112", "ward"),
    ],
)
def test_a_number_is_the_same_as_it_is_dialled_at_home(called: str, agent: str, home: str | None) -> None:
    """Without a number of our own, home is the only country of the numbers with ``+``."""
    assert NumberTable(AT_HOME, home).find(called) == agent


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("84951234567", "+74951234567"),
        ("8 495 123-45-67", "7 (495) 1234567"),
        ("8495*", "+7495*"),
        ("7 495*", "+7 (495)*"),
        ("4951234567", "+7 495 1234567"),
        ("112", "112"),
        ("*", "*"),
    ],
)
def test_a_number_of_two_agents_is_a_clash_however_it_is_written(one: str, other: str) -> None:
    claims = {"clinic": ["+78120000000", one], "shop": ["+7499*", other]}
    assert list(clashes(claims)) == [("shop", 1, "clinic", 1)]
    assert list(clashes({"shop": [other], "clinic": [one]}, "+74950000000")) == [("clinic", 0, "shop", 0)]


def test_other_numbers_are_no_clash() -> None:
    claims = {"clinic": ["8 800 1", "+7495*", "84951234567", "+74951234567"], "shop": ["+74951234568", "+84951234567"]}
    assert list(clashes(claims, "+74950000000")) == []


@pytest.mark.parametrize("written", ["+74951234567", "8 (800) 100-20-30", "112", "+7495*", "*"])
def test_numbers_as_people_write_them(written: str) -> None:
    assert number_problem(written) is None


@pytest.mark.parametrize("written", ["", "+", "clinic", "+7*495", "**", "+7495 1x", "()", "٣٤٥"])
def test_what_is_no_number_is_refused(written: str) -> None:
    assert number_problem(written)
