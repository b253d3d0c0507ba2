"""Whole calls whose voice has fallbacks: nothing is silent for two seconds, nothing is said twice or left out."""

import asyncio
from typing import Any

from app.errors import ProviderError, ProviderUnavailable
from tests.calls.fakes import LINES, World, live_call
from tests.calls.far_end import TELEPHONE, FarEnd
from tests.calls.silences import SILENCE_SECONDS, asks, silences
from tests.calls.vendors import Answer, ScriptedModel, Trouble
from tests.clients.fallback.voices import NamedVoice, chain_of

VIRTUAL_TIME = True

STORY = "We open at nine on weekdays. On Saturday we open at ten, and on Sunday we stay closed. Come when you like."


def a_world(*voices: NamedVoice, text: str = STORY) -> World:
    chain: Any = chain_of(*voices)
    return World(model=ScriptedModel(Answer(text)), voice=chain)


async def test_a_call_is_held_by_the_last_link_when_all_before_it_hang_from_the_first_second() -> None:
    hanging = [NamedVoice(name, first_sound=1e6) for name in ("socket", "http", "other")]
    local = NamedVoice("local", first_sound=0.05)
    world = a_world(*hanging, local)
    began = asyncio.get_running_loop().time()

    async with live_call(world, FarEnd()) as call:
        assert max(silences(call, began)) <= SILENCE_SECONDS
        for answers in (2, 3):
            asked = await asks(call, answers)
            assert max(silences(call, asked)) <= SILENCE_SECONDS
            assert silences(call, asked)[0] < 1.0, "nobody waits again for who was late"

    assert call.turns()[0] == ("assistant", LINES.greeting)
    assert [text for role, text in call.turns() if role == "assistant"][1:] == [STORY, STORY]
    answer = call.body.record.turns[-1]
    assert answer.served == {"llm": ["openai"], "tts": ["local"]}
    assert call.body.record.fault == "provider:socket"


async def test_a_voice_that_breaks_off_in_the_middle_is_followed_from_the_last_word_that_has_sound() -> None:
    socket, http = NamedVoice("socket"), NamedVoice("http")
    world = a_world(socket, http)

    async with live_call(world, FarEnd()) as call:
        cut = ProviderUnavailable("socket", "the line was cut")
        socket.troubles = [Trouble(after=1.5, error=cut), Trouble(after=0.1, error=cut)]
        asked = await asks(call, 2)

    assert max(silences(call, asked)) <= SILENCE_SECONDS
    said = [" ".join(utterance.said) for utterance in [*socket.utterances[1:], *http.utterances]]
    assert len(said) == 3, "once more on a new connection, then by the next"
    assert said[2].split() == STORY.split()[-len(said[2].split()) :]
    assert 0 < len(said[2].split()) < len(STORY.split())
    assert call.turns()[-1] == ("assistant", STORY)
    assert call.body.record.turns[-1].served["tts"] == ["socket", "http"]
    assert [row.data["final"] for row in call.rows_of("provider.failed")] == [False, False, False][: len(said) - 1]


async def test_what_a_fallback_has_said_is_not_kept_as_the_voice_of_the_agent() -> None:
    socket, local = NamedVoice("socket"), NamedVoice("local")
    socket.down = ProviderUnavailable("socket", "nobody answers")
    world = a_world(socket, local)

    async with live_call(world, FarEnd()) as call:
        pass

    chain: Any = world.voice
    voice = world.agent.voice("en", TELEPHONE)
    assert call.turns() == [("assistant", LINES.greeting)]
    assert await world.phrases.get(LINES.greeting, voice, chain) is None


async def test_when_every_voice_is_down_the_call_ends_and_says_whose_fault_it_was() -> None:
    socket, local = NamedVoice("socket"), NamedVoice("local")
    world = a_world(socket, local)

    async with live_call(world, FarEnd()) as call:
        down: ProviderError = ProviderUnavailable("socket", "nobody answers")
        socket.down, local.down = down, ProviderUnavailable("local", "nobody answers either")
        call.says("When do you open?")
        await call.ended()

    assert call.body.record.end_reason == "provider_failure"
    assert call.body.record.fault == "provider:socket"
