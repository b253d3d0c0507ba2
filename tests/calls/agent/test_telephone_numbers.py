"""Telephone numbers as people and carriers write them."""

from zoneinfo import ZoneInfo

import pytest

from app.calls.agent.telephone_numbers import common_home, same_beginning, same_spelling, time_zones

RUSSIAN, GERMAN = "+74950000000", "+49301234567"


@pytest.mark.parametrize(
    ("written", "home", "spelling"),
    [
        ("+7 (495) 123-45-67", RUSSIAN, "+74951234567"),
        ("8 495 123-45-67", RUSSIAN, "+74951234567"),
        ("74951234567", RUSSIAN, "+74951234567"),
        ("4951234567", RUSSIAN, "+74951234567"),
        ("74951234567", None, "+74951234567"),
        ("0170 1234567", GERMAN, "+491701234567"),
        ("0049 170 1234567", GERMAN, "+491701234567"),
        ("+1 212 555 1234", GERMAN, "+12125551234"),
    ],
)
def test_one_number_has_one_spelling(written: str, home: str | None, spelling: str) -> None:
    assert same_spelling(written, home) == spelling


@pytest.mark.parametrize("written", ["", "anonymous", "100", "sip:a@b", "+", "+7", "1" * 40, "\u0000"])
def test_what_is_no_number_has_none(written: str) -> None:
    assert same_spelling(written, RUSSIAN) is None


def test_a_number_is_in_every_time_zone_that_it_may_be_in() -> None:
    assert time_zones("+74951234567") == [ZoneInfo("Europe/Moscow")]
    assert {ZoneInfo("Europe/Moscow"), ZoneInfo("Asia/Kamchatka")} <= set(time_zones("+79161234567"))
    assert time_zones("+70000000001") == []
    assert time_zones("nonsense") == []


@pytest.mark.parametrize(
    ("written", "home", "beginning"),
    [
        ("+7 (495)", RUSSIAN, "7495"),
        ("8 495", RUSSIAN, "7495"),
        ("8800", "+7495*", "7800"),
        ("7495", RUSSIAN, "7495"),
        ("810 49", RUSSIAN, "49"),
        ("8495", None, "8495"),
        ("030", GERMAN, "4930"),
        ("0049 30", GERMAN, "4930"),
        ("1212", "+12125551234", "1212"),
        ("11", RUSSIAN, "11"),
        ("", RUSSIAN, ""),
    ],
)
def test_one_beginning_has_one_spelling(written: str, home: str | None, beginning: str) -> None:
    assert same_beginning(written, home) == beginning


def test_home_is_our_own_number_or_the_one_country_of_all_numbers() -> None:
    assert common_home(GERMAN, [RUSSIAN]) == GERMAN
    assert common_home(None, ["8495*", RUSSIAN, "+7812*"]) in {RUSSIAN, "+7812*"}
    assert common_home(None, [RUSSIAN, GERMAN]) is None
    assert common_home(None, ["8495*", "*"]) is None
