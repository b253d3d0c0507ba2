"""Whole calls whose recogniser has fallbacks: every turn is heard and answered, and the record says by whom."""

import asyncio
from typing import Any

import numpy as np
import pytest

from app.errors import ProviderRejected
from tests.calls.fakes import LINES, LiveCall, World, live_call
from tests.calls.far_end import TELEPHONE, FarEnd
from tests.clients.fallback.ears import Ear, chain_of

VIRTUAL_TIME = True

QUESTION = "when do you open"


class HeardWorld(World):
    """Its calls are heard by a chain."""

    ears: tuple[Ear, ...] = ()

    def stt(self, *_options: Any) -> Any:
        self.hearing = getattr(self, "hearing", None) or chain_of(*self.ears)
        return self.hearing


def a_world(*ears: Ear) -> HeardWorld:
    world = HeardWorld()
    world.ears = ears
    return world


async def speak(call: LiveCall, seconds: float = 1.5) -> None:
    """The caller makes a sound of that length, and is quiet again."""
    tone = (8000 * np.sin(np.arange(round(8000 * seconds)) * 2 * np.pi * 300 / 8000)).astype("<i2").tobytes()
    sound = TELEPHONE.silence(4000) + tone + TELEPHONE.silence(8000)
    for start in range(0, len(sound), 320):
        await call.frames(sound[start : start + 320])
        await asyncio.sleep(0.02)


async def test_a_vendor_that_is_down_from_the_first_second_costs_no_turn() -> None:
    wrong_key = ProviderRejected("first", "wrong key", status=401)
    world = a_world(Ear("first", fails=wrong_key), Ear("second", text=QUESTION))

    async with live_call(world, FarEnd()) as call:
        await speak(call)
        await call.until("agent.finished", 2)

    assert call.turns() == [("assistant", LINES.greeting), ("user", QUESTION), ("assistant", "All right.")]
    asked = call.body.record.turns[1]
    assert asked.served == {"stt": ["second"]}
    assert call.body.record.fault == "provider:first"
    assert [row.data["provider"] for row in call.rows_of("provider.restored")] == ["second"]


async def test_a_vendor_that_hangs_is_replaced_within_the_turn_and_both_are_billed() -> None:
    first, second = Ear("first"), Ear("second", text=QUESTION)
    first.hangs = True
    world = a_world(first, second)

    async with live_call(world, FarEnd()) as call:
        await speak(call)
        await call.until("agent.finished", 2)

    assert call.turns()[1:] == [("user", QUESTION), ("assistant", "All right.")]
    used = {row.data["way"]: row.data for row in call.rows_of("provider.used") if row.data["stage"] == "listen"}
    assert {way: row["served"] for way, row in used.items()} == {"first": False, "second": True}
    assert sum(row["cost"] for row in used.values()) == pytest.approx(call.body.record.costs["stt"])
