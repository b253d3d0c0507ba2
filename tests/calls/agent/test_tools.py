"""The agent's own tools in a call: what the caller hears meanwhile, and what the model sees."""

import json
from typing import Any

import pytest

from app.calls.agent.tools import BadArguments
from app.clients.http_tools import ToolAnswer
from app.conversation.commands import RunTool
from app.errors import ProviderTimeout, ProviderUnavailable
from app.journal.replay import replay
from tests.calls.fakes import LINES, LiveCall, live_call
from tests.calls.far_end import FarEnd
from tests.calls.live.test_journal_rows import as_read
from tests.calls.tool_talk import ASKS, CHECKS, FREE, TELLS, a_world, asks, exchange, kinds, lines_said
from tests.calls.vendors import Answer, ScriptedTool

VIRTUAL_TIME = True


async def test_the_model_continues_with_the_result_of_the_tool() -> None:
    world, tool = await a_world(ASKS, TELLS)
    async with live_call(world, FarEnd()) as call:
        await asks(call, 3)

    assert tool.asked == [("call-1:tool-1", {"day": "2026-11-27"})]
    assert call.turns() == [
        ("assistant", LINES.greeting),
        ("user", "Is there a time on Friday?"),
        ("assistant", "Ten o'clock is free."),
    ]
    first, second = world.model.asked
    assert second[: len(first)] == first
    assert exchange(second) == [("assistant", "tool-1", ASKS.arguments), ("tool", "tool-1", FREE)]
    assert call.body.record.fault == "none"


async def test_the_journal_has_the_call_of_the_tool_and_its_outcome() -> None:
    world, _ = await a_world(ASKS, TELLS)
    async with live_call(world, FarEnd()) as call:
        await asks(call, 3)

    (called,), (finished,) = call.rows_of("agent.tool_called"), call.rows_of("agent.tool_finished")
    assert called.turn == finished.turn == 2
    assert called.data == {
        "speech": 2,
        "id": "tool-1",
        "name": "find_times",
        "arguments": ASKS.arguments,
        "timeout_seconds": 8.0,
        "line": "Let me look at the schedule.",
        "line_after_seconds": 0.4,
        "refused": False,
    }
    assert finished.data == {
        "speech": 2,
        "id": "tool-1",
        "name": "find_times",
        "ok": True,
        "status": 200,
        "seconds": 1.0,
        "result": FREE,
        "given_up": False,
    }
    assert [row.data["prompt_tokens"] for row in call.rows_of("provider.used") if row.data["prompt_tokens"]] == [
        100
    ] * 2


async def test_the_replay_of_the_call_runs_the_tool_at_the_same_place() -> None:
    world, _ = await a_world(ASKS, TELLS)
    async with live_call(world, FarEnd()) as call:
        await asks(call, 3)

    running = [(row.type, command) for row, commands in replay(as_read(call.rows)) for command in commands]
    assert [(row, command) for row, command in running if isinstance(command, RunTool)] == [
        ("agent.tool_called", RunTool(2, 2, "tool-1"))
    ]


async def test_the_caller_hears_the_waiting_phrase_when_the_tool_has_run_for_a_moment() -> None:
    world, tool = await a_world(ASKS, TELLS, seconds=3.0)
    async with live_call(world, FarEnd()) as call:
        await asks(call, 3)

    assert kinds(call) == ["greeting", "filler", "reply"]
    assert lines_said(call) == ["Let me look at the schedule."]
    started = call.rows_of("agent.reply_started")[1].t
    assert started - (tool.asked_at[0] - call.began) == pytest.approx(0.4, abs=0.02)
    latency = call.body.record.turns[-1].latency
    assert latency is not None
    assert latency["filler_at"] is not None
    assert latency["total"] > 3.0, "the line is no answer"
    assert (latency["bridged"], latency["budget_kept"]) == (True, True), "it was meant to wait"
    assert world.figure("voice_turn_budget_total", result="kept") == 1
    assert world.figure("voice_turn_latency_seconds_count", stage="total") == 0
    assert call.body.record.fault == "none"


@pytest.mark.parametrize("seconds", [0.005, 0.39])
async def test_a_tool_that_is_done_at_once_needs_no_phrase(seconds: float) -> None:
    world, _ = await a_world(ASKS, TELLS, seconds=seconds)
    async with live_call(world, FarEnd()) as call:
        await asks(call, 2)

    assert kinds(call) == ["greeting", "reply"]
    latency = call.body.record.turns[-1].latency
    assert latency is not None
    assert (latency["bridged"], latency["budget_kept"]) == (False, True)


async def test_each_tool_has_its_own_patience() -> None:
    world, tool = await a_world(ASKS, TELLS, seconds=3.0, waiting_phrase_after_seconds=2.0)
    async with live_call(world, FarEnd()) as call:
        await asks(call, 3)

    assert lines_said(call) == ["Let me look at the schedule."]
    started = call.rows_of("agent.reply_started")[1].t
    assert started - (tool.asked_at[0] - call.began) == pytest.approx(2.0, abs=0.02)


async def test_a_tool_that_takes_long_has_a_line_after_six_seconds_and_then_every_ten() -> None:
    world, tool = await a_world(ASKS, TELLS, seconds=31.0, timeout_seconds=60.0)
    async with live_call(world, FarEnd()) as call:
        await asks(call, 6)

    started = [row.t - (tool.asked_at[0] - call.began) for row in call.rows_of("agent.reply_started")[1:-1]]
    assert started == [pytest.approx(due, abs=0.2) for due in (0.4, 6.0, 16.0, 26.0)]
    assert lines_said(call) == ["Let me look at the schedule.", *LINES.long_wait[:3]]
    assert call.turns()[-1] == ("assistant", TELLS.text)
    assert call.body.record.fault == "none"


async def test_a_tool_without_a_waiting_phrase_gets_a_filler() -> None:
    world, _ = await a_world(ASKS, TELLS, waiting_phrase=None, seconds=3.0)
    async with live_call(world, FarEnd()) as call:
        await asks(call, 3)

    assert lines_said(call) == [LINES.fillers[0]]


async def test_fillers_bridge_a_slow_tool_and_the_answer_is_not_given_up() -> None:
    """With the model's time the answer takes longer than an answer without a tool may."""
    slow = Answer(ASKS.text, first_token=4.5, tool=ASKS.tool)
    world, _ = await a_world(slow, Answer(TELLS.text, first_token=2.9), seconds=7.9)
    async with live_call(world, FarEnd()) as call:
        asked_at = call.now
        call.says("Is there a time on Friday?")
        reply = await call.until("agent.reply_started", kind="reply")
        await call.until("agent.finished", kind_of_last(call))

    assert reply.t - asked_at > world.agent.policy.reply_seconds
    assert call.body.record.fault == "none"
    assert call.turns()[-1] == ("assistant", TELLS.text)
    assert lines_said(call)[0] == LINES.fillers[0]
    assert "Let me look at the schedule." in lines_said(call)
    assert longest_silence(call, asked_at) < 5.1


def kind_of_last(call: LiveCall) -> int:
    return len(call.rows_of("agent.finished")) + 1


def longest_silence(call: LiveCall, since: float) -> float:
    """Between the ends and beginnings of what is heard, in seconds."""
    ends = [since, *(row.t for row in call.rows_of("agent.finished") if row.t > since)]
    begins = [row.t for row in call.rows_of("agent.reply_started") if row.t > since]
    return max(begin - max(end for end in ends if end <= begin) for begin in begins)


async def test_an_answer_that_has_said_something_needs_no_waiting_phrase() -> None:
    world, _ = await a_world(CHECKS, TELLS, seconds=2.0)
    async with live_call(world, FarEnd()) as call:
        await asks(call, 2)

    assert kinds(call) == ["greeting", "reply"]
    assert call.rows_of("agent.tool_called")[0].data["line"] is None
    assert call.turns()[-1] == ("assistant", "Let me check that. Ten o'clock is free.")
    assert call.body.record.turns[-1].text_generated == "Let me check that. Ten o'clock is free."
    assert exchange(world.model.asked[1])[-1] == ("tool", "tool-1", FREE)
    assert next(message.content for message in world.model.asked[1] if message.metadata) == "Let me check that."


async def test_an_answer_that_has_started_is_not_silent_while_a_tool_is_slow() -> None:
    world, _ = await a_world(CHECKS, TELLS, seconds=17.0, timeout_seconds=60.0)
    async with live_call(world, FarEnd()) as call:
        await asks(call, 2)

    waiting = " ".join(LINES.long_wait[:2])
    assert call.turns()[-1] == ("assistant", f"Let me check that. {waiting} Ten o'clock is free.")
    assert call.body.record.fault == "none"


async def test_a_second_tool_of_the_same_answer_has_its_waiting_phrase_too() -> None:
    world, tool = await a_world(CHECKS, ASKS, TELLS, seconds=0.5)
    async with live_call(world, FarEnd()) as call:
        await asks(call, 2)

    assert call.turns()[-1] == ("assistant", "Let me check that. Let me look at the schedule. Ten o'clock is free.")
    assert [key for key, _ in tool.asked] == ["call-1:tool-1", "call-1:tool-1-2"]


@pytest.mark.parametrize(
    ("failure", "message"),
    [(ProviderTimeout("tools", "late"), "no answer in time"), (ProviderUnavailable("tools", "down"), "did not work")],
)
async def test_the_model_sees_that_a_tool_failed_and_can_say_so(failure: Any, message: str) -> None:
    world, _ = await a_world(ASKS, Answer("I could not look it up."), answer=failure)
    async with live_call(world, FarEnd()) as call:
        await asks(call, 3)

    result = json.loads(exchange(world.model.asked[1])[-1][2])
    assert result["error"] == failure.code
    assert message in result["message"]
    assert "never claim that it worked" in result["message"]
    (finished,) = call.rows_of("agent.tool_finished")
    assert (finished.data["ok"], finished.data["status"]) == (False, None)
    assert call.rows_of("provider.failed")[0].data["stage"] == "act"
    assert (call.turns()[-1][1], call.body.record.fault) == ("I could not look it up.", "provider:tools")


async def test_a_late_booking_may_have_been_made() -> None:
    world, _ = await a_world(ASKS, TELLS, method="POST", answer=ProviderTimeout("tools", "late"))
    async with live_call(world, FarEnd()) as call:
        await asks(call, 3)

    assert "not known whether it was done" in exchange(world.model.asked[1])[-1][2]


async def test_the_model_sees_a_refusal_in_full_and_it_counts_as_no_failure() -> None:
    world, _ = await a_world(ASKS, TELLS, answer=ToolAnswer(409, "taken"))
    async with live_call(world, FarEnd()) as call:
        await asks(call, 3)

    result = json.loads(exchange(world.model.asked[1])[-1][2])
    assert (result["status"], result["answer"]) == (409, "taken")
    assert call.body.record.fault == "none"


@pytest.mark.parametrize(
    ("call_of", "message"),
    [
        (Answer(tool="unheard_of"), "no such tool"),
        (Answer(tool="find_times", arguments="{"), "not JSON"),
        (Answer(tool="find_times", arguments="[]"), "is not of type 'object'"),
        (Answer(tool="find_times", arguments='{"day": 5}'), "day: 5 is not of type 'string'"),
        (Answer(tool="find_times", arguments='{"day": NaN}'), "not JSON"),
        (Answer(tool="find_times", arguments='{"day": "\\ud800"}'), "not JSON"),
    ],
)
async def test_a_wrong_call_of_a_tool_is_not_run_and_the_model_may_try_again(call_of: Answer, message: str) -> None:
    world, tool = await a_world(call_of, ASKS, TELLS)
    async with live_call(world, FarEnd()) as call:
        await asks(call, 3)

    assert message in json.loads(exchange(world.model.asked[1])[1][2])["message"]
    assert len(tool.asked) == 1
    assert call.turns()[-1] == ("assistant", TELLS.text)
    assert [row.data["ok"] for row in call.rows_of("agent.tool_finished")] == [False, True]


def test_the_error_of_wrong_arguments_does_not_quote_the_caller() -> None:
    with pytest.raises(BadArguments) as refused:
        ScriptedTool().described.read('{"day": ["my daughter Anna"]}')

    assert "my daughter Anna" in refused.value.explanation
    assert "Anna" not in f"{refused.value} {refused.value!r}"


async def test_after_three_rounds_the_model_must_say_what_it_knows() -> None:
    world, tool = await a_world(ASKS, ASKS, ASKS, TELLS, seconds=0.2)
    async with live_call(world, FarEnd()) as call:
        await asks(call, 2)

    assert len(tool.asked) == 3
    assert [names == ["end_call"] for names in world.model.offered] == [False, False, False, True]
    assert call.turns()[-1] == ("assistant", TELLS.text)


async def test_a_model_that_never_stops_calling_is_apologised_for() -> None:
    world, tool = await a_world(ASKS, seconds=0.2)
    async with live_call(world, FarEnd()) as call:
        call.says("Is there a time on Friday?")
        await call.until("agent.reply_started", kind="apology")

    assert len(tool.asked) == 3
