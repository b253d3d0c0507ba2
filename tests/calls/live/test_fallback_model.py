"""Whole calls whose model has fallbacks, with production's deadlines: nobody waits two seconds for the next sound."""

import asyncio
from typing import Any, cast

from app.clients.entry import LlmSession
from app.clients.fallback.chain import Link
from app.clients.fallback.model import FallbackModel
from app.errors import ProviderTimeout
from tests.calls.fakes import LINES, World, live_call
from tests.calls.far_end import TELEPHONE, FarEnd
from tests.calls.silences import SILENCE_SECONDS, asks, silences
from tests.clients.fallback.test_model import Model

VIRTUAL_TIME = True

ANSWER = "We open at nine on weekdays. On Saturday we open at ten."
NO_TOKEN = "no first token before the deadline"


class Hung(Model):
    """Accepts the request and never answers; its client gives up after production's three seconds."""

    async def stream_reply(self, *args: Any, **kwargs: Any) -> Any:
        self.asked.append(args[0])
        await asyncio.sleep(3.0)
        raise ProviderTimeout(self.provider, NO_TOKEN)
        yield


def a_world(*models: Model) -> World:
    chain: Any = FallbackModel([Link(model.provider, cast(LlmSession, model)) for model in models])
    return World(model=chain)


async def test_a_call_is_held_by_the_last_link_when_all_before_it_hang_from_the_first_second() -> None:
    hung = [Hung(name) for name in ("first", "again", "second")]
    world = a_world(*hung, Model("endpoint", text=ANSWER))
    await world.prepare_phrases(TELEPHONE)

    async with live_call(world, FarEnd()) as call:
        asked = await asks(call, heard=ANSWER)
        assert max(silences(call, asked)) <= SILENCE_SECONDS
        assert len(call.rows_of("agent.reply_started")) == 3, "the greeting, a filler and the answer"
        assert silences(call, asked)[-1] <= SILENCE_SECONDS
        asked = asyncio.get_running_loop().time()
        call.says("And on Sunday?")
        await call.until("agent.finished", 4)
        assert silences(call, asked)[0] < 1.0, "nobody is asked again who was late"

    assert [len(model.asked) for model in hung] == [1, 1, 1]


async def test_when_every_model_hangs_there_are_fillers_and_then_an_honest_line_after_six_seconds() -> None:
    world = a_world(*(Hung(name) for name in ("first", "again", "second", "endpoint")))
    await world.prepare_phrases(TELEPHONE)

    async with live_call(world, FarEnd()) as call:
        asked = await asks(call, heard=LINES.apology)
        lines = call.rows_of("agent.reply_started")
        assert max(silences(call, asked)) <= SILENCE_SECONDS
        assert [row.data["kind"] for row in lines[1:]] == ["filler", "filler", "apology"]
        assert lines[-1].t - (asked - call.began) <= 6.0
        assert call.body.record.fault.startswith("provider:")


async def test_who_has_not_answered_when_the_caller_goes_on_has_served_nobody() -> None:
    first = Model("first", text=ANSWER, first_token=0.8)
    world = a_world(first, Model("again", text=ANSWER))

    async with live_call(world, FarEnd()) as call:
        await call.until("agent.finished")
        call.says("When do you open?")
        await asyncio.sleep(0.3)
        call.says("And on Sunday?")
        await call.until("agent.finished", 2)

    used = [row.data for row in call.rows_of("provider.used") if row.data["stage"] == "think"]
    assert [(row["way"], row["served"]) for row in used] == [("", False), ("first", True)]
    assert [turn.served.get("llm") for turn in call.body.record.turns if turn.role == "assistant"][1:] == [["first"]]


async def test_an_answer_that_stalls_in_the_middle_is_finished_by_another_without_a_gap_of_two_seconds() -> None:
    stalled = ProviderTimeout("first", "no next token before the deadline")
    first = Model("first", text=ANSWER, fails=stalled, fails_after=7, stalls=0.7)
    world = a_world(first, Model("again", text="weekdays. On Saturday we open at ten."))

    async with live_call(world, FarEnd()) as call:
        asked = await asks(call, heard=ANSWER)

    assert max(silences(call, asked)) <= SILENCE_SECONDS
    assert call.turns()[-1] == ("assistant", ANSWER)
    assert call.body.record.turns[-1].served["llm"] == ["first", "again"]
    assert call.body.record.fault == "provider:first"
    used = [row.data for row in call.rows_of("provider.used") if row.data["stage"] == "think"]
    assert sum(row["cost"] for row in used) == call.body.record.costs["llm"]
