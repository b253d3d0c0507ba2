"""What a live call costs is added up while it lives, and the limit ends it with a goodbye."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.calls.live.call_clock import CallClock
from app.calls.live.spending import SpendingMeter
from app.conversation import events as ev
from tests.calls.fakes import AGENT, LINES, World, live_call
from tests.calls.far_end import FarEnd
from tests.calls.vendors import Answer, ScriptedModel

VIRTUAL_TIME = True

USED = ev.ProviderUsed("vendor", "model", stage="think", cost=0.1)


async def metered(
    limit: float | None,
    per_minute: float | None,
    seconds: float,
    *,
    listening: Callable[[], list[float | None]] = list,
    used: tuple[ev.ProviderUsed, ...] = (),
) -> list[tuple[float, float, bool]]:
    """When and what the meter reports: seconds, amount, and whether that is all."""
    reported: list[tuple[float, float, bool]] = []
    clock = CallClock(datetime(2026, 11, 22, tzinfo=UTC))

    def emit(event: ev.Event) -> None:
        assert isinstance(event, ev.SpendingReached)
        assert event.limit_usd == limit
        reported.append((round(clock.call_seconds(), 3), event.spent_usd, event.is_complete))

    meter = SpendingMeter(limit, per_minute, clock=clock, emit=emit)
    clock.answer()
    for event in used:
        meter.note(event)
    watching = asyncio.get_running_loop().create_task(meter.watch(listening))
    await asyncio.sleep(seconds)
    watching.cancel()
    await asyncio.wait([watching])
    return reported


async def test_the_line_is_metered_while_the_call_lives_and_warned_of_once() -> None:
    assert await metered(1.0, 0.6, 300) == [(80.0, 0.8, True), (100.0, 1.0, True)]


async def test_recognition_is_metered_while_the_call_lives() -> None:
    clock = asyncio.get_running_loop().time
    reported = await metered(1.0, 0.0, 300, listening=lambda: [clock() / 100])
    assert reported == [(80.0, 0.8, True), (100.0, 1.0, True)]


async def test_everything_that_is_billed_counts_also_what_nobody_heard() -> None:
    overtaken = replace(USED, served=False, way="again")
    assert await metered(0.2, 0.0, 5, used=(USED, overtaken)) == [(0.0, 0.2, True)]


async def test_one_step_beyond_both_marks_is_reported_once() -> None:
    assert await metered(0.05, 0.0, 5, used=(USED,)) == [(0.0, 0.1, True)]


@pytest.mark.parametrize(
    ("per_minute", "used", "listening"),
    [(None, (USED,), []), (0.0, (USED, replace(USED, cost=None)), []), (0.0, (USED,), [None, 0.0])],
    ids=["the line", "a model", "recognition"],
)
async def test_what_has_no_price_does_not_count_and_the_report_says_so(
    per_minute: float | None, used: tuple[ev.ProviderUsed, ...], listening: list[float | None]
) -> None:
    assert await metered(0.1, per_minute, 5, used=used, listening=lambda: listening) == [(0.0, 0.1, False)]


async def test_without_a_limit_nothing_is_reported() -> None:
    assert await metered(None, 100.0, 300, used=(USED,)) == []


async def test_a_call_whose_limit_is_reached_ends_with_a_goodbye_and_its_record_says_why() -> None:
    model = ScriptedModel(Answer("We open at nine. " * 5), Answer("On Saturday we open at ten. " * 5))
    policy = replace(AGENT.policy, max_cost_usd=0.008)
    world = World(model=model, agent=replace(AGENT, policy=policy))
    far_end = FarEnd()
    async with live_call(world, far_end) as call:
        call.says("When do you open?")
        await call.until("agent.finished", 2)
        call.says("And on Saturday?")
        await call.ended()

    reached = [row.data for row in call.rows_of("spending.reached")]
    assert reached[-1]["spent_usd"] >= reached[-1]["limit_usd"] == 0.008
    assert call.turns()[-1] == ("assistant", LINES.limit_goodbye)
    assert (call.body.record.end_reason, call.body.record.fault) == ("spending_limit", "policy")
    assert call.body.record.costs["total"] == pytest.approx(reached[-1]["spent_usd"], abs=0.004)
