"""Hanging up closes the line within half a second, whatever else hangs. In virtual time."""

import ast
import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from app.calls.live import event_loop
from app.conversation import events as ev
from app.models import Message
from app.ports.streams import ModelEvent, ToolSpec
from tests.calls.fakes import AGENT, LINES, POLICY, LiveCall, StuckTelephony, World, live_call
from tests.calls.far_end import FarEnd
from tests.calls.tool_talk import ASKS, a_world
from tests.calls.vendors import Answer, ScriptedModel

VIRTUAL_TIME = True

WITHIN_SECONDS = 0.5
FOR_EVER = 1e6
TARGETS = {"sales": "+74950000001"}
STORY = "We open at nine on weekdays. On Saturday we open at ten, and on Sunday we stay closed. Come when you like."
CONNECT = Answer("I will connect you.", tool="transfer", arguments='{"target": "sales"}')

ENDINGS: dict[str, tuple[Callable[[LiveCall], None], str]] = {
    "the caller": (lambda call: call.body.leave("caller_hangup"), "caller_hangup"),
    "a broken line": (lambda call: call.body.leave("media_lost"), "media_lost"),
    "an operator": (lambda call: call.body.emit(ev.HangupRequested()), "operator_hangup"),
    "a service that stops at once": (
        lambda call: call.body.emit(ev.HangupRequested("shutdown", at_once=True)),
        "shutdown",
    ),
}
every_ending = pytest.mark.parametrize(("hang_up", "reason"), ENDINGS.values(), ids=ENDINGS)
HangUp = Callable[[LiveCall], None]


class NeverAnswered(FarEnd):
    """A telephone that rings."""

    async def answer(self, call_id: str) -> None:
        await asyncio.get_running_loop().create_future()


class StuckModel(ScriptedModel):
    """Has begun to answer, goes silent, and cannot even be left."""

    async def stream_reply(
        self, messages: list[Message], *, tools: Sequence[ToolSpec] = (), call_id: str | None = None
    ) -> AsyncIterator[ModelEvent]:  # type: ignore[override]  # it is an async generator all the same
        async for event in super().stream_reply(messages, tools=tools, call_id=call_id):
            yield event
            break
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(20)


async def closes_in_time(
    world: World, hang_up: HangUp, reason: str, until: Callable[[LiveCall], Awaitable[Any]], **leg: Any
) -> LiveCall:
    """The call, once it has ended; ``until`` waits for the moment."""
    far_end = leg.pop("far_end", None) or FarEnd(**leg)
    async with live_call(world, far_end, greeted=False) as call:
        await until(call)
        began = call.now
        hang_up(call)
        while not far_end.sends_of("end"):
            await asyncio.sleep(0.01)
        assert call.now - began < WITHIN_SECONDS
        await call.ended()
        assert (call.body.record.end_reason, call.rows[-1].type) == (reason, "call.ended")
    return call


@every_ending
async def test_while_it_rings(hang_up: HangUp, reason: str) -> None:
    await closes_in_time(World(), hang_up, reason, lambda _call: asyncio.sleep(2), far_end=NeverAnswered())


@every_ending
async def test_while_it_is_greeted(hang_up: HangUp, reason: str) -> None:
    await closes_in_time(World(), hang_up, reason, lambda call: call.until("agent.reply_started"))


@every_ending
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_while_a_tool_never_answers(hang_up: HangUp, reason: str, method: str) -> None:
    world, _ = await a_world(ASKS, method=method, seconds=FOR_EVER)

    async def until(call: LiveCall) -> None:
        await call.greeted()
        call.says("Is there a time on Friday?")
        await call.until("agent.reply_started", kind="filler")

    await closes_in_time(world, hang_up, reason, until)


@every_ending
async def test_while_a_model_cannot_be_left(hang_up: HangUp, reason: str) -> None:
    async def until(call: LiveCall) -> None:
        await call.greeted()
        call.says("When do you open?")
        await call.until("turn.taken")
        await asyncio.sleep(0.8)

    await closes_in_time(World(model=StuckModel(Answer(STORY))), hang_up, reason, until)


@every_ending
async def test_while_the_humans_telephone_rings_and_cannot_be_stopped(hang_up: HangUp, reason: str) -> None:
    telephony = StuckTelephony(dials=True)
    world = World(model=ScriptedModel(CONNECT), targets=TARGETS, telephony=telephony)

    await closes_in_time(world, hang_up, reason, ringing(telephony))
    assert telephony.called_off == 1


@pytest.mark.parametrize("who", ["an operator", "a service that stops at once"])
async def test_while_the_carrier_is_asked_to_move_the_caller(who: str) -> None:
    """A caller who leaves then may have been moved by the carrier: two seconds decide."""
    telephony = StuckTelephony(dials=False)
    world = World(model=ScriptedModel(CONNECT), targets=TARGETS, telephony=telephony)

    await closes_in_time(world, *ENDINGS[who], ringing(telephony))


@every_ending
@pytest.mark.parametrize("moment", ["greeting", "transfer", "talk"])
async def test_while_nothing_can_be_committed(hang_up: HangUp, reason: str, moment: str) -> None:
    telephony = StuckTelephony(dials=True)
    world = World(model=ScriptedModel(CONNECT), targets=TARGETS, telephony=telephony)
    world.journal.flush_takes = FOR_EVER
    moments: dict[str, Callable[[LiveCall], Awaitable[Any]]] = {
        "greeting": lambda call: call.until("agent.reply_started"),
        "transfer": ringing(telephony),
        "talk": lambda call: call.greeted(),
    }

    await closes_in_time(world, hang_up, reason, moments[moment])


@pytest.mark.parametrize("where", ["the event loop", "the voice recogniser", "the leg", "another owner"])
async def test_a_bug_while_a_model_cannot_be_left(where: str) -> None:
    bug = ZeroDivisionError("a bug")
    bugs: dict[str, Callable[[LiveCall], None]] = {
        "the event loop": lambda call: call.body.emit(ev.CallerWords(None)),  # type: ignore[arg-type]  # the bug
        "the voice recogniser": lambda call: call.hears(bug),
        "the leg": lambda call: call.body._events.fail(bug),
        "another owner": lambda call: call.body.ownership_lost(),
    }
    far_end = FarEnd()
    async with live_call(World(model=StuckModel(Answer(STORY))), far_end) as call:
        call.says("When do you open?")
        await call.until("turn.taken")
        await asyncio.sleep(0.8)
        began, rows = call.now, len(call.rows)
        bugs[where](call)
        while not far_end.sends_of("end"):
            await asyncio.sleep(0.01)
        assert call.now - began < WITHIN_SECONDS
        await call.ended()

    if where == "another owner":
        assert len(call.rows) == rows
    else:
        assert [row.type for row in call.rows].count("call.ended") == 1
        assert (call.body.record.end_reason, call.rows[-1].type) == ("internal_error", "call.ended")


def ringing(telephony: StuckTelephony) -> Callable[[LiveCall], Awaitable[None]]:
    async def until(call: LiveCall) -> None:
        await call.greeted()
        call.says("I want to buy something.")
        await telephony.rings.wait()
        await asyncio.sleep(1)

    return until


async def test_a_limit_ends_a_call_in_which_everything_hangs() -> None:
    telephony = StuckTelephony(dials=True)
    world = World(model=ScriptedModel(CONNECT), targets=TARGETS, telephony=telephony)
    world.agent = replace(AGENT, policy=replace(POLICY, max_duration_seconds=15.0))
    world.journal.flush_takes = FOR_EVER
    async with live_call(world, FarEnd()) as call:
        await ringing(telephony)(call)
        limit = await call.until("deadline.passed", name="limit")
        await call.ended()

    assert (call.body.record.end_reason, call.turns()[-1]) == ("max_duration", ("assistant", LINES.limit_goodbye))
    assert call.rows[-1].t - limit.t < 5, "the goodbye, and nothing else"


async def test_a_store_that_never_commits_holds_up_neither_the_conversation_nor_a_transfer() -> None:
    telephony = StuckTelephony(dials=True)
    world = World(model=ScriptedModel(Answer("At nine."), CONNECT), targets=TARGETS, telephony=telephony)
    world.journal.flush_takes = FOR_EVER
    async with live_call(world, FarEnd()) as call:
        asked = call.now
        call.says("When do you open?")
        await call.until("agent.reply_started", 2)
        assert call.now - asked < 2
        await call.until("agent.finished", 2)
        call.says("I want to buy something.")
        started = await call.until("transfer.started")
        await telephony.rings.wait()
        assert call.now - started.t == pytest.approx(1.0, abs=0.05)


async def test_a_transfer_that_cannot_be_cancelled_does_not_keep_the_agent_from_talking() -> None:
    telephony = StuckTelephony(dials=True)
    answers = (CONNECT, Answer("I take a message."))
    world = World(model=ScriptedModel(*answers), targets=TARGETS, telephony=telephony)
    async with live_call(world, FarEnd()) as call:
        call.says("I want to buy something.")
        overdue = await call.until("deadline.passed", name="transfer")
        sorry = await call.until("agent.reply_started", kind="apology")
        assert sorry.t - overdue.t < 1
        await call.until("agent.finished", 3)
        call.says("Then take a message.")
        await call.until("agent.finished", 4)
        assert call.turns()[-1] == ("assistant", "I take a message.")


# --- why it cannot be otherwise --------------------------------------------------------------------------------------


def awaited_by(function: ast.AsyncFunctionDef) -> list[str]:
    """What the function waits for, as source."""
    waits: list[str] = []
    for node in ast.walk(function):
        match node:
            case ast.Await(value=ast.Call(func=called)):
                waits.append(ast.unparse(called))
            case ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                waits.append(ast.unparse(node))
    return waits


def test_the_event_loop_of_a_call_awaits_the_next_event_and_nothing_else() -> None:
    (body,) = ast.parse(inspect.getsource(event_loop.CallEventLoop)).body
    coroutines = {node.name: awaited_by(node) for node in ast.walk(body) if isinstance(node, ast.AsyncFunctionDef)}

    assert coroutines == {
        "run": ["self._next_event"],
        "_queued_event": ["self._events.next"],
        "finish": ["asyncio.wait"],
    }
    assert "next_event or self._queued_event" in inspect.getsource(event_loop.CallEventLoop.__init__)
    assert "timeout=_CANCELLED_WITHIN_SECONDS" in inspect.getsource(event_loop.CallEventLoop.finish)


async def test_after_two_mutual_farewells_the_line_closes_though_the_model_does_not_hang_up() -> None:
    world = World(model=ScriptedModel(Answer("You are welcome. Goodbye!"), Answer("Take care, bye!")))
    async with live_call(world, FarEnd()) as call:
        call.says("That is all I wanted to know, thank you")
        await call.until("agent.finished", 2)
        call.says("Thanks, bye")
        await call.until("agent.finished", 3)
        asked_to_end = call.now
        call.says("Bye bye")
        await call.ended()
        assert call.now - asked_to_end < 0.5

    assert (call.body.record.end_reason, call.body.record.fault) == ("agent_hangup", "none")
    assert len(world.model.asked) == 2, "the last goodbye is not answered"
    assert world.figure("voice_unanswered_turns_total") == 0


async def test_a_goodbye_over_the_agents_goodbye_closes_the_line() -> None:
    world = World(
        model=ScriptedModel(Answer("Goodbye! Thank you so much for your call, it was a pleasure.", tool="end_call"))
    )
    async with live_call(world, FarEnd()) as call:
        call.says("That is all I wanted to know")
        await call.until("agent.reply_started", kind="reply")
        await asyncio.sleep(1.0)
        asked_to_end = call.now
        call.says("uh-huh, thanks, bye")
        await call.ended()
        assert call.now - asked_to_end < 0.5

    assert call.body.record.end_reason == "agent_hangup"
    assert call.body.record.turns[-1].text == "uh-huh, thanks, bye"
