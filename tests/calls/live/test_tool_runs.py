"""When a tool is run and when it is not: suspicions, interruptions, the end of the call, and failing models."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.clients.http_tools import Method
from app.conversation import events as ev
from app.errors import ProviderUnavailable
from app.ports.streams import ToolCall, Transcript, TurnEnded, TurnEndedEagerly, TurnResumed, TurnUpdated
from tests.calls.fakes import LiveCall, live_call
from tests.calls.far_end import FarEnd
from tests.calls.tool_talk import ASKS, FREE, TELLS, a_world, asks, exchange, kinds, lines_said
from tests.calls.vendors import Answer

VIRTUAL_TIME = True


async def test_nothing_is_run_before_it_is_certain_that_the_caller_has_finished() -> None:
    world, tool = await a_world(ASKS, TELLS)
    async with live_call(world, FarEnd()) as call:
        call.hears(TurnUpdated(Transcript("Book it")), TurnEndedEagerly(Transcript("Book it")))
        called = await call.until("agent.tool_called")
        await asyncio.sleep(1.0)
        assert tool.asked == []
        assert kinds(call) == ["greeting"]
        call.hears(TurnEnded(Transcript("Book it", confidence=0.9)))
        taken = await call.until("turn.taken")
        await call.until("agent.finished", 3)

    assert called.t < taken.t == pytest.approx(tool.asked_at[0] - call.began, abs=0.01)
    assert lines_said(call) == ["Let me look at the schedule."]
    assert call.turns()[-1] == ("assistant", TELLS.text)


async def test_no_tool_runs_for_a_caller_who_goes_on_after_an_eager_end() -> None:
    world, tool = await a_world(ASKS, Answer("All right, Saturday."), method="POST")
    async with live_call(world, FarEnd()) as call:
        call.hears(TurnUpdated(Transcript("Book it")), TurnEndedEagerly(Transcript("Book it")))
        await call.until("agent.tool_called")
        call.hears(TurnResumed(Transcript("Book it for")))
        call.says("Book it for Saturday, please")
        await call.until("agent.finished", 2)

    assert tool.asked == []
    assert exchange(world.model.asked[-1]) == []


async def test_a_caller_who_cuts_in_stops_a_get_and_not_a_booking() -> None:
    """A question that nobody waits for is given up; of what may have been done, the next prompt tells."""
    for method, cancelled in (("GET", 1), ("POST", 0)):
        world, tool = await a_world(ASKS, Answer("Yes?"), method=method, seconds=3.0)
        async with live_call(world, FarEnd()) as call:
            call.says("Is there a time on Friday?")
            await call.until("agent.reply_started", kind="filler")
            await asyncio.sleep(0.3)
            call.says("No wait, I meant Saturday")
            await call.until("agent.reply_started", kind="reply")
            await call.until("agent.tool_finished")
            call.says("And on Sunday, what about that?")
            await call.until("agent.reply_generated", 6)

        assert tool.cancelled == cancelled
        assert len(tool.asked) == 1
        (finished,) = call.rows_of("agent.tool_finished")
        assert (finished.turn, finished.data["ok"]) == (2, method == "POST")
        during, after = (exchange(messages)[-1] for messages in world.model.asked[1:3])
        if method == "POST":
            assert "Do not call it again" in during[2]
            assert after == ("tool", "tool-1", FREE)
        else:
            assert "given_up" in after[2]


ENDINGS: dict[str, tuple[Callable[[LiveCall], None], str]] = {
    "the caller": (lambda call: call.body.leave("caller_hangup"), "caller_hangup"),
    "an operator": (lambda call: call.body.emit(ev.HangupRequested()), "operator_hangup"),
    "the stopping service": (lambda call: call.body.emit(ev.HangupRequested("shutdown", at_once=True)), "shutdown"),
}


@pytest.mark.parametrize(("hang_up", "reason"), ENDINGS.values(), ids=ENDINGS)
async def test_the_line_closes_at_once_and_a_booking_is_brought_to_its_end_beside_it(
    hang_up: Callable[[LiveCall], None], reason: str
) -> None:
    """The last row of a call is its last: of a tool that runs longer, the journal does not know the outcome."""
    world, tool = await a_world(ASKS, TELLS, method="POST", seconds=7.8)
    with capture_logs() as logs:
        async with live_call(world, FarEnd()) as call:
            call.says("Is there a time on Friday?")
            await call.until("agent.reply_started", kind="filler")
            asked_to_end = call.now
            hang_up(call)
            await call.ended()
            (closed,) = call.far_end.sends_of("end")

            assert closed.at - call.began - asked_to_end < 0.2
            assert call.rows[-1].t - asked_to_end < 0.2
            assert (call.body.record.end_reason, call.rows[-1].type) == (reason, "call.ended")
            assert call.rows_of("agent.tool_finished") == []

    assert tool.cancelled == 0
    (late,) = [line for line in logs if line["event"] == "tool.finished_late"]
    assert (late["tool"], late["ok"], late["status"]) == ("find_times", True, 200)


@pytest.mark.parametrize(("method", "committed"), [("POST", 1), ("PUT", 1), ("DELETE", 1), ("GET", 0)])
async def test_a_tool_that_changes_something_is_called_when_its_row_is_committed(
    method: Method, committed: int
) -> None:
    """A process that dies meanwhile leaves a record that knows of the tool."""
    world, tool = await a_world(ASKS, TELLS, method=method)
    world.journal.flush_takes = 0.1
    async with live_call(world, FarEnd()) as call:
        flushes = len(world.journal.flushes)
        call.says("Is there a time on Friday?")
        called = await call.until("agent.tool_called")
        await call.until("agent.tool_finished")

        assert len(world.journal.flushes) == flushes + committed
    assert tool.asked_at[0] - call.began - called.t == pytest.approx(0.1 * committed, abs=0.01)


async def test_a_database_that_is_locked_delays_a_tool_by_a_quarter_of_a_second() -> None:
    world, tool = await a_world(ASKS, TELLS, method="POST")
    async with live_call(world, FarEnd()) as call:
        world.journal.flush_takes = 60.0
        call.says("Is there a time on Friday?")
        called = await call.until("agent.tool_called")
        await call.until("agent.finished", 3)

    assert tool.asked_at[0] - call.began - called.t == pytest.approx(0.25, abs=0.01)
    assert call.turns()[-1] == ("assistant", TELLS.text)


async def test_a_call_that_another_process_owns_by_now_calls_no_such_tool() -> None:
    world, tool = await a_world(ASKS, TELLS, method="POST")
    async with live_call(world, FarEnd()) as call:
        world.journal.lost.add(call.call_id)
        call.says("Is there a time on Friday?")
        await call.ended()

    assert tool.asked == []


async def test_a_tool_that_was_never_run_is_recorded_as_given_up() -> None:
    """Else it would look like one whose outcome nobody knows."""
    world, tool = await a_world(ASKS, TELLS, method="POST")
    async with live_call(world, FarEnd()) as call:
        call.hears(TurnUpdated(Transcript("Book it")), TurnEndedEagerly(Transcript("Book it")))
        await call.until("agent.tool_called")
        call.body.leave("caller_hangup")
        await call.ended()

    assert tool.asked == []
    (finished,) = call.rows_of("agent.tool_finished")
    assert (finished.data["ok"], finished.data["seconds"]) == (False, 0.0)
    assert "given_up" in finished.data["result"]


async def test_a_model_that_fails_after_a_tool_does_not_run_it_again() -> None:
    cut = Answer(fails=ProviderUnavailable("openai", "cut"))
    world, tool = await a_world(ASKS, cut, TELLS, method="POST")
    async with live_call(world, FarEnd()) as call:
        await asks(call, 3)

    assert len(tool.asked) == 1
    assert exchange(world.model.asked[2]) == exchange(world.model.asked[1])
    assert call.turns()[-1] == ("assistant", TELLS.text)


async def test_later_prompts_have_the_result_of_the_tool_before_the_answer() -> None:
    world, _ = await a_world(ASKS, TELLS)
    async with live_call(world, FarEnd()) as call:
        await asks(call, 3)
        call.says("Then book it, please")
        await call.until("agent.finished", 4)

    roles = [message.role for message in world.model.asked[-1]]
    assert roles == ["system", "assistant", "user", "assistant", "tool", "assistant", "user", "system"]


async def test_invalid_ids_are_replaced() -> None:
    world, tool = await a_world(ASKS, ASKS, TELLS)
    model = world.model
    given = iter(["", "a\r\nX-Evil: 1"])
    stream = model.stream_reply

    async def with_bad_ids(*arguments: Any, **options: Any) -> Any:
        async for event in stream(*arguments, **options):
            yield ToolCall(next(given), event.name, event.arguments) if isinstance(event, ToolCall) else event

    model.stream_reply = with_bad_ids  # type: ignore[method-assign]
    async with live_call(world, FarEnd()) as call:
        await asks(call, 3)

    assert [key for key, _ in tool.asked] == ["call-1:tool", "call-1:tool-2"]


async def test_the_end_of_the_call_does_not_wait_for_a_get() -> None:
    world, tool = await a_world(ASKS, TELLS, seconds=7.0)
    async with live_call(world, FarEnd()) as call:
        call.says("Is there a time on Friday?")
        await call.until("agent.reply_started", kind="filler")
        call.body.emit(ev.HangupRequested())
        began = call.now
        await call.ended()
        assert call.now - began < 0.5

    assert tool.cancelled == 1
