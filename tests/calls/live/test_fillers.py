"""Prepared phrases: they cover a late answer, and make way for it at the end of a word."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from app.calls.agent.facts import BUILT_IN, UNKNOWN_CALL
from app.calls.agent.templates import names_of
from app.calls.agent.texts import AgentTexts
from app.calls.live.phrase_cache import Phrase
from app.conversation import events as ev
from app.errors import ProviderUnavailable
from tests.calls.fakes import AGENT, LINES, POLICY, LiveCall, World, live_call
from tests.calls.far_end import TELEPHONE, FarEnd
from tests.calls.tool_talk import ASKS, TELLS, a_world, asks
from tests.calls.vendors import Answer, ScriptedModel, ScriptedVoice

VIRTUAL_TIME = True

BUDGET = AGENT.policy.max_response_seconds


def a_late_world(seconds: float) -> World:
    return World(model=ScriptedModel(Answer("At nine.", first_token=seconds)))


async def test_a_late_answer_is_covered_before_the_budget_is_spent() -> None:
    world = a_late_world(3.5)
    await world.prepare_phrases(TELEPHONE)
    async with live_call(world, FarEnd()) as call:
        asked_at = call.now
        call.says("When do you open?")
        filler = await call.until("agent.reply_started", kind="filler")
        await call.until("agent.finished", 3)

    assert BUDGET - 0.2 < filler.t - asked_at < BUDGET
    assert call.turns()[-1] == ("assistant", "At nine."), "a filler is no part of the text"


async def test_a_model_that_writes_a_word_each_half_second_is_heard_while_it_writes() -> None:
    """The answer begins before it would be given up, and all of it is heard."""
    text = "We are open every day of the week from nine in the morning to eight in the evening"
    world = World(model=ScriptedModel(Answer(text, each_token=0.5)))
    await world.prepare_phrases(TELEPHONE)
    async with live_call(world, FarEnd()) as call:
        asked_at = call.now
        call.says("When do you open?")
        answer = await call.until("agent.reply_started", kind="reply")
        await call.until("agent.finished", 3)

    assert answer.t - asked_at < 3.0
    assert call.turns()[-1] == ("assistant", text)


TOKENS = [1.45, 1.6, 1.75, 1.9, 2.0, 2.1, 2.25, 2.4, 2.55]
"""Seconds from the question to the first token."""
FROM_TOKEN_TO_SOUND = 0.16
LINES_OF_CALLS = {"near": {}, "far": {"delay": 0.15}, "without marks": {"echoes_marks": False, "answers_clear": False}}


@pytest.mark.parametrize("line", LINES_OF_CALLS.values(), ids=LINES_OF_CALLS)
@pytest.mark.parametrize("first_token", TOKENS)
async def test_an_answer_that_comes_during_a_filler_waits_for_the_end_of_its_word(
    first_token: float, line: dict[str, Any]
) -> None:
    """Nothing of the answer is lost, no word of the filler is cut in half, and they do not mix."""
    far_end = FarEnd(**line)
    world, call = await heard_through(far_end, first_token)

    filler = await phrase_of(world, LINES.fillers[0])
    greeting, answer = (await phrase_of(world, LINES.greeting)).audio, world.voice.of_call("call-1")[0].audio
    assert far_end.heard.startswith(greeting)
    assert far_end.heard.endswith(answer)
    said = far_end.heard[len(greeting) : -len(answer)]
    assert filler.audio.startswith(said)
    ends = TELEPHONE.seconds(said)
    assert any(word.end <= ends + 0.001 and ends <= word.end + 0.04 for word in filler.words)
    assert [row.data["kind"] for row in call.rows_of("agent.reply_started")] == ["greeting", "filler", "reply"]
    assert call.turns()[-1] == ("assistant", "At nine."), "a filler is no part of the text"


async def test_an_answer_that_comes_during_a_filler_is_heard_about_when_it_could_be() -> None:
    waits = []
    for first_token in TOKENS:
        _, call = await heard_through(FarEnd(), first_token)
        latency = call.body.record.turns[-1].latency
        assert latency is not None
        waits.append(latency["total"] - first_token - FROM_TOKEN_TO_SOUND)

    assert sum(waits) / len(waits) < 0.1
    assert waits[TOKENS.index(2.0)] < 0.15
    assert max(waits) < 0.3, "the longest word takes 0.36 s"


@pytest.mark.parametrize("first_token", [1.0, 1.25, 1.32, 1.39])
async def test_no_filler_begins_in_front_of_an_answer_whose_first_words_are_written(first_token: float) -> None:
    world = World(
        model=ScriptedModel(Answer("At nine.", first_token=first_token)), voice=ScriptedVoice(first_sound=0.3)
    )
    await world.prepare_phrases(TELEPHONE)
    async with live_call(world, FarEnd()) as call:
        call.says("When do you open?")
        await call.until("agent.finished", 2)

    assert [row.data["kind"] for row in call.rows_of("agent.reply_started")] == ["greeting", "reply"]


async def test_an_answer_that_speech_synthesis_delays_is_bridged_all_the_same() -> None:
    world = World(model=ScriptedModel(Answer("At nine.", first_token=1.3)), voice=ScriptedVoice(first_sound=2.5))
    await world.prepare_phrases(TELEPHONE)
    async with live_call(world, FarEnd()) as call:
        call.says("When do you open?")
        await call.until("agent.finished", 3)

    assert [row.data["kind"] for row in call.rows_of("agent.reply_started")] == ["greeting", "filler", "reply"]
    finished = call.rows_of("agent.finished")[1].data
    assert finished["heard"] == finished["generated"] == LINES.fillers[0], "there was no answer to make way for"


async def test_a_tools_line_makes_way_for_its_answer_too() -> None:
    world, _ = await a_world(ASKS, TELLS, seconds=0.8)
    async with live_call(world, FarEnd()) as call:
        await asks(call, 3)

    line = call.rows_of("agent.finished")[1].data
    assert line["generated"] == "Let me look at the schedule."
    assert line["heard"] in ("Let me", "Let me look", "Let me look at", "Let me look at the")


async def heard_through(far_end: FarEnd, first_token: float) -> tuple[World, LiveCall]:
    """A call with a question and its late answer."""
    world = a_late_world(first_token)
    await world.prepare_phrases(TELEPHONE)
    async with live_call(world, far_end) as call:
        call.says("When do you open?")
        await call.until("agent.finished", 3)
        await asyncio.sleep(0.5)  # its last sound is on its way to the caller
    return world, call


@pytest.mark.parametrize("answer_is_ready", [True, False])
async def test_a_caller_who_cuts_in_on_a_filler_stops_the_answer_that_waits_for_its_end(answer_is_ready: bool) -> None:
    world = a_late_world(1.5 if answer_is_ready else 9.0)
    await world.prepare_phrases(TELEPHONE)
    async with live_call(world, FarEnd()) as call:
        call.says("When do you open?")
        await call.until("agent.reply_started", kind="filler")
        await asyncio.sleep(0.12)
        call.body.emit(ev.CallerWords("no wait, tomorrow please"))
        await asyncio.sleep(3)
        running = [task.get_name() for task in asyncio.all_tasks() if ":speech:" in task.get_name()]
        assert running == []
        assert world.model.open_streams == 0

    kinds = [row.data["kind"] for row in call.rows_of("agent.reply_started")]
    assert kinds == ["greeting", "filler"]
    assert [row.data["provider"] for row in call.rows_of("provider.used")].count("openai") == 1


async def phrase_of(world: World, text: str) -> Phrase:
    phrase = await world.phrases.get(text, world.agent.voice("en", TELEPHONE), world.voice)
    assert phrase is not None
    return phrase


async def test_an_answer_in_time_needs_no_filler() -> None:
    world = a_late_world(1.0)
    async with live_call(world, FarEnd()) as call:
        call.says("When do you open?")
        await call.until("agent.finished", 2)

    assert [row.data["kind"] for row in call.rows_of("agent.reply_started")] == ["greeting", "reply"]


async def test_the_latency_of_an_answer_counts_to_the_answer_and_names_the_filler() -> None:
    world = a_late_world(3.5)
    async with live_call(world, FarEnd()) as call:
        call.says("When do you open?")
        await call.until("agent.finished", 3)

    latency = call.body.record.turns[-1].latency
    assert latency is not None
    assert latency["total"] == pytest.approx(3.66, abs=0.01)
    assert not latency["budget_kept"]
    assert latency["filler_at"] is not None


async def test_a_line_that_was_said_once_is_a_prepared_phrase_the_next_time() -> None:
    world = World(model=ScriptedModel(Answer("At nine.", first_token=3.5)))
    async with live_call(world, FarEnd()) as call:
        for question in range(2):
            call.says("When do you open?")
            await call.until("agent.finished", 3 + 2 * question)

    said = [text for utterance in world.voice.of_call("call-1") for text in utterance.said]
    assert [text.strip() for text in said] == [LINES.greeting, LINES.fillers[0], "At nine.", "At nine."]


@pytest.mark.parametrize("first_token", [0.05, 1.0])
async def test_an_operators_text_goes_before_the_answer_that_is_being_made(first_token: float) -> None:
    world = World(model=ScriptedModel(Answer("At nine.", first_token=first_token)))
    async with live_call(world, FarEnd()) as call:
        call.says("When do you open?")
        await call.until("turn.taken", 1)
        call.operator_says("Your taxi is here.")
        await call.until("agent.finished", 3)

    assert [(row.data["kind"]) for row in call.rows_of("agent.reply_started")] == ["greeting", "say", "reply"]
    assert [row.data["heard"] for row in call.rows_of("agent.finished")][1:] == ["Your taxi is here.", "At nine."]
    assert call.rows_of("provider.failed") == []


async def test_an_operators_text_is_not_kept_as_a_prepared_phrase() -> None:
    world = World()
    async with live_call(world, FarEnd()) as call:
        call.operator_says("Your code is 1234.")
        await call.until("agent.finished", 2)

    assert await world.phrases.get("Your code is 1234.", world.agent.voice("en", TELEPHONE), world.voice) is None


async def test_a_line_with_values_of_the_call_is_said_and_not_kept() -> None:
    lines = replace(LINES, greeting="Hello {{ caller_number }}.", goodbye="Bye for now.")
    policy = replace(POLICY, lines={"en": lines})
    texts = AgentTexts(AGENT.prompt, policy.lines, names_of(BUILT_IN), AGENT.facts(UNKNOWN_CALL, "inbound"))
    world = World(agent=replace(AGENT, policy=policy, texts=texts))

    async with live_call(world, FarEnd()) as call:
        assert call.turns() == [("assistant", "Hello .")]

    voice = world.agent.voice("en", TELEPHONE)
    plan = world.planner.plan(TELEPHONE)
    assert plan.may_keep("Bye for now.")
    assert [language for language, said in plan.phrases() if "Bye for now." in said] == ["en"]
    assert not any("Hello ." in said for _, said in plan.phrases())
    assert await world.phrases.get("Hello .", voice, world.voice) is None


async def test_phrases_that_cannot_be_prepared_are_logged_and_prepared_later() -> None:
    world = World()
    voice = world.agent.voice("en", TELEPHONE)
    world.voice.down = ProviderUnavailable("cartesia", "the line was cut")

    assert not await world.phrases.prepare([LINES.greeting], voice, world.voice)
    world.voice.down = None
    assert await world.phrases.prepare([LINES.greeting], voice, world.voice)

    assert await world.phrases.get(LINES.greeting, voice, world.voice) is not None
