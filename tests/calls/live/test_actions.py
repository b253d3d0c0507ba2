"""What the agent and the operator do in a call: hand the caller over, and press keys; in virtual time."""

import asyncio
from typing import Any

import pytest

from app.conversation import events as ev
from app.errors import TransferFailed
from tests.calls.fakes import LINES, LiveCall, ScriptedTelephony, World, live_call
from tests.calls.far_end import TELEPHONE, FarEnd
from tests.calls.vendors import Answer, ScriptedModel

VIRTUAL_TIME = True

SALES = "+74950000001"
TARGETS = {"sales": SALES, "help": "sip:help@example.org"}
CONNECT = Answer("I will connect you with our sales team.", tool="transfer", arguments='{"target": "sales"}')


def telephone_world(telephony: ScriptedTelephony, *answers: Answer) -> World:
    return World(model=ScriptedModel(*answers), targets=TARGETS, telephony=telephony)


def heard_until(far_end: FarEnd, samples: int) -> float:
    """When the caller had heard so many samples, by the loop's clock."""
    for stretch in far_end.stretches:
        length = TELEPHONE.samples(stretch.audio)
        if samples <= length:
            return stretch.begins + samples / TELEPHONE.sample_rate
        samples -= length
    raise AssertionError("so much was not heard")


# --- the agent hands over --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["refer", "dialled"])
async def test_the_caller_is_transferred_after_the_last_word_and_the_call_ends(how: Any) -> None:
    telephony = ScriptedTelephony(how)
    far_end = FarEnd()

    async with live_call(telephone_world(telephony, CONNECT), far_end) as call:
        call.says("I want to buy something.")
        await call.ended()

    said = b"".join(utterance.audio for utterance in call.world.voice.of_call("call-1"))
    assert far_end.heard == said
    ((to, called_at),) = telephony.called
    assert to == SALES
    assert called_at >= heard_until(far_end, TELEPHONE.samples(said))
    assert [row.data for row in call.rows_of("transfer.completed")] == [{"how": how}]
    assert (call.body.record.end_reason, call.body.record.fault) == ("transferred", "none")
    assert far_end.ended == "transferred"


async def test_the_transfer_is_committed_before_anybody_is_dialled() -> None:
    telephony = ScriptedTelephony()

    async with live_call(telephone_world(telephony, CONNECT), FarEnd()) as call:
        flushes = len(call.world.journal.flushes)
        call.says("I want to buy something.")
        await call.until("transfer.started")
        while not telephony.called:
            await asyncio.sleep(0.001)

        assert len(call.world.journal.flushes) == flushes + 1
        await call.ended()


async def test_a_caller_who_cannot_be_transferred_hears_so_and_goes_on() -> None:
    telephony = ScriptedTelephony(TransferFailed("no_answer"))
    world = telephone_world(telephony, CONNECT, Answer("I take a message."))

    async with live_call(world, FarEnd()) as call:
        call.says("I want to buy something.")
        await call.until("transfer.failed", reason="no_answer")
        await call.until("agent.finished", 3)
        call.says("Then take a message.")
        await call.until("agent.finished", 4)

    assert call.turns()[-3:] == [
        ("assistant", LINES.transfer_failed),
        ("user", "Then take a message."),
        ("assistant", "I take a message."),
    ]
    assert ("assistant", LINES.transfer_failed) in [(asked.role, asked.content) for asked in world.model.asked[-1]]


async def test_words_while_the_telephone_rings_do_not_cancel_the_transfer() -> None:
    telephony = ScriptedTelephony(takes=10)

    async with live_call(telephone_world(telephony, CONNECT), FarEnd()) as call:
        call.says("I want to buy something.")
        await call.until("transfer.started")
        await asyncio.sleep(1)
        call.says("Hello, is anybody there? Please stop.")
        await call.ended()

    assert telephony.called_off == 0
    assert call.body.record.end_reason == "transferred"


async def test_nobody_is_dialled_after_the_caller_has_hung_up() -> None:
    telephony = ScriptedTelephony(takes=30)

    async with live_call(telephone_world(telephony, CONNECT), FarEnd()) as call:
        call.says("I want to buy something.")
        await call.until("transfer.started")
        call.body.leave("caller_hangup")
        await call.ended()

    assert telephony.called_off == 1
    assert call.body.record.end_reason == "caller_hangup"


async def test_a_transfer_that_rings_for_ever_is_cancelled() -> None:
    telephony = ScriptedTelephony(takes=1000)

    async with live_call(telephone_world(telephony, CONNECT, Answer("As you like.")), FarEnd()) as call:
        call.says("I want to buy something.")
        await call.until("deadline.passed", name="transfer")
        await call.until("agent.finished", 3)
        assert telephony.called_off == 1

    assert call.turns()[-1] == ("assistant", LINES.transfer_failed)


@pytest.mark.parametrize("target", ["", "president", "+79990000000"])
async def test_only_addresses_on_the_list_are_ever_dialled(target: str) -> None:
    telephony = ScriptedTelephony()
    wish = Answer("I will connect you.", tool="transfer", arguments=f'{{"target": "{target}"}}')

    async with live_call(telephone_world(telephony, wish), FarEnd()) as call:
        call.says("Connect me.")
        await call.until("transfer.failed", reason="refused")

    assert telephony.called == []


@pytest.mark.parametrize("is_a_telephone", [True, False])
async def test_a_transfer_that_was_not_offered_is_not_tried(is_a_telephone: bool) -> None:
    telephony = ScriptedTelephony()
    wish = Answer(tool="transfer", arguments='{"target": "+79990000000"}')
    world = World(model=ScriptedModel(wish, Answer("I cannot do that.")))
    world.telephony = telephony if is_a_telephone else None
    world.targets = {} if is_a_telephone else TARGETS

    async with live_call(world, FarEnd()) as call:
        call.says("Connect me.")
        await call.until("agent.finished", 2)
        await asyncio.sleep(5)

        assert call.turns()[-1] == ("assistant", "I cannot do that.")
        assert [row.data["refused"] for row in call.rows_of("agent.tool_called")] == [True]
        assert call.rows_of("transfer.started") == []
        assert telephony.called == []

    results = [message.content for message in world.model.asked[1] if message.role == "tool"]
    assert "there is no such tool" in results[0]


async def test_keys_that_were_not_offered_are_not_pressed_and_the_model_sees_so() -> None:
    world, far_end = World(model=ScriptedModel(PRESS, Answer("I cannot press keys."))), FarEnd()

    async with live_call(world, far_end) as call:
        call.says("Press one.")
        await call.until("agent.finished", 2)

    assert far_end.sends_of("digits") == []
    assert call.turns()[-1] == ("assistant", "I cannot press keys.")


# --- the operator hands over -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("to", "address"), [("help", TARGETS["help"]), (SALES, SALES)])
async def test_an_operator_may_transfer_by_name_or_by_address(to: str, address: str) -> None:
    telephony = ScriptedTelephony()

    async with live_call(telephone_world(telephony), FarEnd()) as call:
        call.body.emit(ev.TransferRequested(to))
        await call.ended()

    assert [called for called, _ in telephony.called] == [address]
    assert call.turns()[-1] == ("assistant", LINES.transfer)


async def test_an_operators_transfer_waits_for_the_last_word_of_the_answer() -> None:
    telephony = ScriptedTelephony()
    far_end = FarEnd()
    world = telephone_world(telephony, Answer("We open at nine on weekdays, and at ten on Saturdays."))

    async with live_call(world, far_end) as call:
        call.says("When do you open?")
        await call.until("agent.reply_started", 2)
        call.body.emit(ev.TransferRequested("sales"))
        await call.ended()

    assert far_end.heard == b"".join(utterance.audio for utterance in world.voice.of_call("call-1"))
    assert call.turns()[-2:] == [
        ("assistant", "We open at nine on weekdays, and at ten on Saturdays."),
        ("assistant", LINES.transfer),
    ]
    assert far_end.ended == "transferred"


async def test_a_call_without_a_telephone_cannot_be_transferred() -> None:
    async with live_call(World(targets=TARGETS), FarEnd()) as call:
        call.body.emit(ev.TransferRequested("sales"))
        await call.until("transfer.failed", reason="not_a_telephone")
        await call.until("agent.finished", 3)

    assert call.turns()[-1] == ("assistant", LINES.transfer_failed)


# --- keys ------------------------------------------------------------------------------------------------------------

PRESS = Answer(tool="send_dtmf", arguments='{"digits": "1w2#"}')


async def test_the_agent_presses_keys_and_knows_that_it_did() -> None:
    world, far_end = World(model=ScriptedModel(PRESS, Answer("Thank you."))), FarEnd(can_send_digits=True)

    async with live_call(world, far_end) as call:
        call.says("For sales, press one, then two.")
        await call.until("agent.tool_called")
        while not far_end.sends_of("digits"):
            await asyncio.sleep(0.01)
        call.says("You are connected.")
        await call.until("agent.finished", 3)

    assert [sent.value for sent in far_end.sends_of("digits")] == ["1w2#"]
    assert "You pressed these keys: 1w2#" in [asked.content for asked in world.model.asked[-1]]
    assert LINES.apology not in [text for _, text in call.turns()]


async def test_keys_follow_the_last_word() -> None:
    far_end = FarEnd(can_send_digits=True)
    answer = Answer("One moment, I will press the keys.", tool="send_dtmf", arguments='{"digits": "1"}')

    async with live_call(World(model=ScriptedModel(answer)), far_end) as call:
        call.says("Press one.")
        await call.until("agent.finished", 2)
        await asyncio.sleep(0.01)

    (pressed,) = far_end.sends_of("digits")
    assert pressed.at >= heard_until(far_end, far_end.heard_samples)


async def test_keys_that_nobody_could_hear_are_not_pressed() -> None:
    far_end = FarEnd()

    async with live_call(World(model=ScriptedModel(PRESS)), far_end) as call:
        call.says("Press one.")
        await call.until("agent.tool_called")
        await asyncio.sleep(1)

    assert far_end.sends_of("digits") == []


# --- the tools -------------------------------------------------------------------------------------------------------


async def offered(world: World, far_end: FarEnd) -> list[str]:
    async with live_call(world, far_end) as call:
        await _asks(call)
    return world.model.offered[-1]


async def _asks(call: LiveCall) -> None:
    call.says("When do you open?")
    await call.until("agent.finished", 2)


async def test_tools_are_offered_where_they_work() -> None:
    telephone = World(targets=TARGETS, telephony=ScriptedTelephony())

    assert await offered(telephone, FarEnd(can_send_digits=True)) == ["end_call", "transfer", "send_dtmf"]


@pytest.mark.parametrize(
    "world", [World(targets=TARGETS), World(telephony=ScriptedTelephony())], ids=["no telephone", "no targets"]
)
async def test_the_transfer_tool_is_not_offered_without_humans(world: World) -> None:
    assert await offered(world, FarEnd()) == ["end_call"]
