"""The vendor refuses what was said, the model is cut or says nothing: the caller hears a line, and the call goes on."""

import pytest

from app.clients.openai.requests import OpenAIOptions, request_body
from app.errors import ContentRejected, ProviderRejected, ProviderUnavailable
from app.ports.streams import Transcript, TurnEnded, TurnEndedEagerly, TurnResumed, TurnUpdated
from tests.calls.fakes import LINES, LiveCall, World, live_call
from tests.calls.far_end import FarEnd
from tests.calls.tool_talk import CHECKS, a_world, exchange
from tests.calls.vendors import Answer, ScriptedModel

VIRTUAL_TIME = True

PHRASE = "Say the forbidden word"
REFUSED = ContentRejected("openai", "the content was refused", status=400)
CUT = ProviderUnavailable("openai", "the connection was cut")
WRONG_KEY = ProviderRejected("openai", "the key is wrong", status=401)


def seems_over(call: LiveCall, text: str) -> None:
    call.hears(TurnUpdated(Transcript(text)), TurnEndedEagerly(Transcript(text, language="en")))


def is_over(call: LiveCall, text: str) -> None:
    call.hears(TurnEnded(Transcript(text, confidence=0.9, language="en")))


def shown(world: World, request: int = -1) -> list[str]:
    """What the model was shown of the conversation."""
    return [message.content for message in world.model.asked[request] if message.role != "system"]


async def test_a_refused_turn_is_answered_once_and_never_sent_again() -> None:
    world = World(model=ScriptedModel(Answer(fails=REFUSED), Answer("At nine.")))
    async with live_call(world, FarEnd()) as call:
        call.says(PHRASE)
        await call.until("agent.finished", 2)
        call.says("When do you open?")
        await call.until("agent.finished", 3)
        call.says("And when do you close?")
        await call.until("agent.finished", 4)

    assert len(world.model.asked) == 3, "no request was made again"
    assert call.turns()[1:4] == [("user", PHRASE), ("assistant", LINES.refused), ("user", "When do you open?")]
    assert shown(world)[1:] == ["When do you open?", "At nine.", "And when do you close?"]
    assert call.body.record.fault == "none"
    (row,) = call.rows_of("provider.failed")
    assert (row.data["answer"], row.data["code"], row.data["final"]) == ("refused", "content_rejected", True)


async def test_a_turn_whose_preemptive_answer_is_refused_is_asked_once() -> None:
    world = World(model=ScriptedModel(Answer(fails=REFUSED)))
    async with live_call(world, FarEnd()) as call:
        seems_over(call, PHRASE)
        await call.until("caller.turn_ended_eagerly")
        is_over(call, PHRASE)
        await call.until("agent.finished", 2)

    assert len(world.model.asked) == 1
    assert call.turns()[-1] == ("assistant", LINES.refused)


@pytest.mark.parametrize(("error", "requests"), [(CUT, 2), (WRONG_KEY, 1)])
@pytest.mark.parametrize("fails_before", [True, False])
async def test_a_preemptive_answer_that_fails_costs_no_more_requests_than_another(
    error: Exception, requests: int, fails_before: bool
) -> None:
    world = World(model=ScriptedModel(Answer(fails=error, first_token=0.1 if fails_before else 0.6)))
    async with live_call(world, FarEnd()) as call:
        seems_over(call, "When do you open?")
        await call.until("caller.turn_ended_eagerly")
        call.hears(TurnUpdated(Transcript("When do you open?")))
        if fails_before and requests == 2:
            await call.until("provider.failed")
        is_over(call, "When do you open?")
        await call.until("agent.finished", 2)

    assert len(world.model.asked) == requests
    assert [row.data["final"] for row in call.rows_of("provider.failed")] == [False, True][-requests:]
    assert call.turns()[-1] == ("assistant", LINES.apology)
    assert call.body.record.end_reason == "caller_hangup"


async def test_a_failed_preemptive_answer_to_a_turn_that_went_on_is_not_a_failure() -> None:
    world = World(model=ScriptedModel(Answer(fails=WRONG_KEY), Answer("At nine.")))
    async with live_call(world, FarEnd()) as call:
        seems_over(call, "When do you")
        await call.until("caller.turn_ended_eagerly")
        call.hears(TurnResumed(Transcript("When do you open")))
        await call.until("caller.turn_resumed")
        is_over(call, "When do you open?")
        await call.until("agent.finished", 2)

    assert call.turns()[-1] == ("assistant", "At nine.")
    assert call.body.record.fault == "none"


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_that_is_cut_is_closed_by_a_line_and_recorded(reason: str) -> None:
    world = World(model=ScriptedModel(Answer("We open at nine and close", reason=reason), Answer("At ten.")))
    async with live_call(world, FarEnd()) as call:
        call.says("When do you open?")
        await call.until("agent.finished", 3)
        assert call.turns()[-2:] == [("assistant", "We open at nine and close"), ("assistant", LINES.cut_off)]
        call.says("And when do you close?")
        await call.until("agent.finished", 4)

    assert len(world.model.asked) == 2, "it was not asked again for the same"
    assert call.body.record.fault == "provider:openai"
    (row,) = call.rows_of("provider.failed")
    assert (row.data["answer"], row.data["code"]) == ("cut", reason)
    assert "We open at nine and close" in shown(world)


async def test_an_empty_answer_is_the_vendors_failure_and_requested_once_more() -> None:
    world = World(model=ScriptedModel(Answer("")))
    async with live_call(world, FarEnd()) as call:
        call.says("When do you open?")
        await call.until("agent.finished", 2)

    assert len(world.model.asked) == 2
    assert [row.data["code"] for row in call.rows_of("provider.failed")] == ["empty_answer"] * 2
    assert call.turns()[-1] == ("assistant", LINES.apology)
    assert call.body.record.fault == "provider:openai"


async def test_an_answer_of_which_all_is_filtered_is_a_refused_turn() -> None:
    world = World(model=ScriptedModel(Answer("", reason="content_filter"), Answer("At nine.")))
    async with live_call(world, FarEnd()) as call:
        call.says(PHRASE)
        await call.until("agent.finished", 2)
        call.says("When do you open?")
        await call.until("agent.finished", 3)

    assert call.turns()[2] == ("assistant", LINES.refused)
    assert shown(world)[1:] == ["When do you open?"]


async def test_a_tool_that_works_without_words_is_not_an_empty_answer() -> None:
    world = World(model=ScriptedModel(Answer("", tool="end_call")))
    async with live_call(world, FarEnd()) as call:
        call.says("Goodbye")
        await call.ended()

    assert len(world.model.asked) == 1
    assert (call.body.record.end_reason, call.body.record.fault) == ("agent_hangup", "none")


async def test_thoughts_that_are_taken_back_are_not_heard_nor_kept() -> None:
    thoughts = "The caller asks for the hours. I should look them up. They open at nine."
    model = ScriptedModel(Answer("At nine.", thinks=thoughts, each_token=0.005))
    world = World(model=model)
    async with live_call(world, FarEnd()) as call:
        call.says("When do you open?")
        await call.until("agent.finished", 2)
        call.says("Thank you")
        await call.until("agent.finished", 3)

    assert [text for role, text in call.turns() if role == "assistant"] == [LINES.greeting, "At nine.", "At nine."]
    assert shown(world)[1:] == ["When do you open?", "At nine.", "Thank you"]
    assert [row.data["text"] for row in call.rows_of("agent.reply_generated")][1:] == ["At nine."] * 2
    thought = [utterance for utterance in world.voice.of_call("call-1") if "caller asks" in "".join(utterance.said)]
    assert len(thought) == 2, "they were long enough to be voiced"
    assert not any(utterance.audio and utterance.audio in call.far_end.heard for utterance in thought)


async def test_thoughts_that_were_heard_before_they_were_known_are_broken_off() -> None:
    thoughts = "The caller asks for the hours. I should look them up. They open at nine."
    world = World(model=ScriptedModel(Answer("At nine.", thinks=thoughts, each_token=0.2)))
    async with live_call(world, FarEnd()) as call:
        call.says("When do you open?")
        await call.until("agent.finished", 3)

    assert call.turns()[-1] == ("assistant", LINES.cut_off)
    assert call.body.record.fault == "provider:openai"


async def test_what_was_written_before_a_thought_is_not_taken_back_with_it() -> None:
    thinking = Answer(
        "Ten o'clock is free.", thinks="The schedule says ten o'clock. I should tell so.", each_token=0.005
    )
    world, _ = await a_world(CHECKS, thinking, seconds=0.1)
    world.voice.first_sound = 2.0
    async with live_call(world, FarEnd()) as call:
        call.says("Is there a time on Friday?")
        await call.until("agent.finished", generated="Let me check that. Ten o'clock is free.")

    assert call.turns()[-1] == ("assistant", "Let me check that. Ten o'clock is free.")


async def test_the_model_sees_that_its_arguments_are_unreadable_and_the_call_goes_on() -> None:
    broken = Answer("Let me check.", tool="find_times", arguments='{"day": "2026')
    world, tool = await a_world(broken, Answer("I could not look it up."))
    async with live_call(world, FarEnd()) as call:
        call.says("Is there a time on Friday?")
        await call.until("agent.reply_generated", 2)
        await call.until("agent.finished", 2)

    assert tool.asked == []
    shown = exchange(world.model.asked[-1])
    assert "the arguments are not JSON" in shown[-1][2]
    body = request_body(OpenAIOptions(api="chat"), world.model.asked[-1], ())
    (sent,) = [call for message in body["messages"] for call in message.get("tool_calls", ())]
    assert sent["function"]["arguments"] == "{}"
