"""When an agent may call somebody."""

from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from app.calls.agent.file import read_agent_file
from app.calls.agent.hours import CallingHours
from app.errors import SettingsError

MOSCOW, KAMCHATKA = ZoneInfo("Europe/Moscow"), ZoneInfo("Asia/Kamchatka")
WEEKDAYS = CallingHours(time(9), time(18), frozenset({"mon", "tue", "wed", "thu", "fri"}))


@pytest.mark.parametrize(
    ("at", "allowed"),
    [
        (datetime(2026, 11, 30, 6, 0, tzinfo=UTC), True),  # Monday, 09:00 in Moscow
        (datetime(2026, 11, 30, 5, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 30, 15, 0, tzinfo=UTC), False),  # 18:00
        (datetime(2026, 11, 29, 10, 0, tzinfo=UTC), False),  # Sunday
    ],
)
def test_hours_are_those_where_the_number_is(at: datetime, allowed: bool) -> None:
    assert WEEKDAYS.allow(at, [MOSCOW]) is allowed


def test_a_number_that_may_be_in_several_zones_is_called_when_it_is_within_the_hours_in_all() -> None:
    noon_in_moscow = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)  # 21:00 in Kamchatka

    assert not WEEKDAYS.allow(noon_in_moscow, [MOSCOW, KAMCHATKA])
    assert CallingHours(time(9), time(18), zone=MOSCOW).allow(noon_in_moscow, [KAMCHATKA])


def test_the_file_of_an_agent_has_them(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("prompt: x\nhours: {from: 09:00, to: '24:00', days: [mon, sat], timezone: Europe/Moscow}\n")

    hours = read_agent_file(path, {}, setting="AGENTS_DIR").hours

    assert hours == CallingHours(time(9), time.max, frozenset({"mon", "sat"}), MOSCOW)
    assert str(hours).endswith("in Europe/Moscow (mon, sat)")


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("{from: 9, to: '18:00'}", "line 2: hours.from: is not a time of day such as 09:00"),
        ("{from: '18:00', to: '09:00'}", "line 2: hours.to: must be later than from"),
        ("{from: '09:00'}", "line 2: hours.to: is missing"),
        ("{from: '09:00', to: '18:00', days: [monday]}", "line 2: hours.days[0]: input should be 'mon'"),
        ("{from: '09:00', to: '18:00', timezone: Mars}", "line 2: hours.timezone: is not a time zone"),
    ],
)
def test_wrong_hours_are_named(tmp_path: Path, written: str, problem: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"prompt: x\nhours: {written}\n")

    with pytest.raises(SettingsError) as caught:
        read_agent_file(path, {}, setting="AGENTS_DIR")

    assert problem in caught.value.problems[0]
