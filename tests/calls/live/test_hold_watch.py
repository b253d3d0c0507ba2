"""A caller whom a carrier holds: no sound comes, not even silence, and the line stands; in virtual time."""

import asyncio

import pytest

from tests.calls.fakes import LINES, LiveCall, World, live_call
from tests.calls.far_end import FarEnd

VIRTUAL_TIME = True


async def sends_silence(call: LiveCall, seconds: float) -> None:
    """As a line does on which nobody speaks."""
    frame = bytes(call.far_end.audio_format.frame_samples * call.far_end.audio_format.sample_bytes)
    for _ in range(round(seconds / 0.02)):
        await call.frames(frame)
        await asyncio.sleep(0.02)


async def test_a_held_caller_is_not_asked_whether_they_are_there_and_the_call_goes_on() -> None:
    async with live_call(World(), FarEnd()) as call:
        await call.until("agent.finished", 1)
        await sends_silence(call, 1)
        held_at = call.now
        await asyncio.sleep(45)
        await sends_silence(call, 1)
        assert [text for role, text in call.turns() if role == "assistant"] == [LINES.greeting]
        await sends_silence(call, 8.5)
        assert [row.data["name"] for row in call.rows_of("deadline.passed")][-1] == "idle"

    (held,), (returned,) = call.rows_of("caller.held"), call.rows_of("caller.returned")
    assert held.data["since_t"] == pytest.approx(held_at, abs=0.05)
    assert held.t == pytest.approx(held_at + 2, abs=0.05)
    assert returned.data["held_seconds"] == pytest.approx(45, abs=0.1)
    (hold,) = call.body.record.holds
    assert hold.ended_at is not None
    assert hold.ended_at - hold.started_at == pytest.approx(45, abs=0.1)


async def test_a_caller_who_never_comes_back_was_gone() -> None:
    async with live_call(World(), FarEnd()) as call:
        await call.until("agent.finished", 1)
        await sends_silence(call, 1)
        await asyncio.sleep(10)
        call.body.leave("media_timeout", "media_timeout")
        await call.ended()

    record = call.body.record
    assert (record.end_reason, record.fault, record.end_detail) == ("media_timeout", "carrier", "media_timeout")
    assert [hold.ended_at for hold in record.holds] == [None]


async def test_a_network_that_stalls_for_a_second_is_not_a_hold() -> None:
    async with live_call(World(), FarEnd()) as call:
        await call.until("agent.finished", 1)
        for _ in range(3):
            await sends_silence(call, 0.5)
            await asyncio.sleep(1.5)

    assert call.rows_of("caller.held") == []


async def test_a_far_end_that_says_so_holds_though_silence_comes() -> None:
    async with live_call(World(), FarEnd()) as call:
        await call.until("agent.finished", 1)
        await sends_silence(call, 1)
        call.body.hold(True)
        await sends_silence(call, 20)
        call.body.hold(False)
        await sends_silence(call, 1)

    (returned,) = call.rows_of("caller.returned")
    assert returned.data["held_seconds"] == pytest.approx(20, abs=0.1)
    assert [text for role, text in call.turns() if role == "assistant"] == [LINES.greeting]
