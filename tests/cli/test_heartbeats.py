"""How long a worker may be silent, and what a supervisor that was away itself makes of it."""

import asyncio
import os

import pytest

from app.cli.heartbeats import Heart, Look, Pulse


def test_a_worker_whose_loop_turns_is_never_overdue_and_one_that_is_silent_is_within_three_seconds() -> None:
    pulse = Pulse(0.0)
    for beat in range(20):
        pulse.beat(100 + beat / 2)
        assert pulse.overdue(100 + beat / 2 + 1.5) is None  # late by a second
    silent_since = 109.5
    assert pulse.overdue(silent_since + 2.4) is None
    assert pulse.overdue(silent_since + 2.6) == "its event loop did not turn for 2.5 s"


def test_a_start_and_an_end_may_take_longer_but_not_for_ever() -> None:
    pulse = Pulse(0.0)
    assert pulse.overdue(100) is None
    assert pulse.overdue(121) == "it did not start for 120 s"
    pulse.beat(119)
    pulse.closed(200)
    assert pulse.overdue(235) is None
    assert pulse.overdue(241) == "it did not end for 40 s"


def test_a_supervisor_that_was_away_waits_for_a_whole_round_of_beats() -> None:
    pulse, look = Pulse(0.0), Look(0.0)
    pulse.beat(0.0)
    assert not look.was_away(0.25)
    assert look.was_away(60.0)
    pulse.excuse(60.0)
    assert pulse.overdue(62.4) is None
    assert not look.was_away(60.25)
    assert pulse.overdue(62.6) is not None


async def test_a_heart_beats_and_its_end_is_noticed() -> None:
    listening, beating = os.pipe()
    heart = Heart(beating)
    heart.beat()
    loop = asyncio.get_running_loop()
    for _ in range(2):
        assert await loop.run_in_executor(None, os.read, listening, 1) == b"."
    heart.close()
    assert await loop.run_in_executor(None, os.read, listening, 1) == b""
    os.close(listening)


@pytest.mark.parametrize("is_dead", [True, False])
async def test_a_supervisor_that_does_not_read_does_not_stop_a_worker(is_dead: bool) -> None:
    listening, beating = os.pipe()
    os.set_blocking(beating, False)
    if is_dead:
        os.close(listening)
    else:
        while True:
            try:
                os.write(beating, b"." * 4096)
            except BlockingIOError:
                break
    heart = Heart(beating)
    heart.beat()
    heart.close()
    if not is_dead:
        os.close(listening)
