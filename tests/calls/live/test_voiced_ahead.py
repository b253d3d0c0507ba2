"""A greeting with values of the call, such as a name, is voiced while the line rings."""

import asyncio
from dataclasses import replace

from tests.calls.fakes import AGENT, LINES, POLICY, World, live_call
from tests.calls.far_end import FarEnd
from tests.calls.vendors import ScriptedVoice, Trouble

VIRTUAL_TIME = True

RINGS_SECONDS = 4.0
SLOW = 0.9
"""Seconds until a voice has the first sound of a text."""
PERSONAL = replace(AGENT, personal=frozenset({LINES.greeting}))


class RingingLine(FarEnd):
    """Its far end answers after a while."""

    async def answer(self, call_id: str) -> None:
        await asyncio.sleep(RINGS_SECONDS)
        await super().answer(call_id)


def world(*troubles: Trouble | None) -> World:
    voice = ScriptedVoice(first_sound=SLOW)
    voice.troubles = list(troubles)
    return World(voice=voice, agent=PERSONAL)


async def test_it_is_heard_the_moment_the_call_is_answered() -> None:
    house, line = world(), RingingLine()
    async with live_call(house, line) as call:
        answered = call.rows_of("call.answered")[0]

    [greeting] = call.rows_of("agent.reply_started")
    assert greeting.t - answered.t < 0.05
    assert call.turns() == [("assistant", LINES.greeting)]
    [voiced] = house.voice.of_call("call-1")
    assert voiced.audio.startswith(line.heard)
    assert len(line.heard) > 0.9 * len(voiced.audio)
    [charge] = call.rows_of("provider.used")[:1]
    assert (charge.data["stage"], charge.turn) == ("speak", 0)
    assert charge.t < answered.t
    assert len(house.voice.utterances) == 1


async def test_one_whose_voice_is_still_at_it_begins_as_soon_as_there_is_sound() -> None:
    house = world()
    async with live_call(house, FarEnd()) as call:
        pass

    [greeting] = call.rows_of("agent.reply_started")
    assert abs(greeting.t - SLOW) < 0.05
    assert call.turns() == [("assistant", LINES.greeting)]


async def test_a_voice_that_failed_while_it_rang_is_asked_again_when_the_call_is_answered() -> None:
    house, line = world(*[Trouble()] * 2), RingingLine()
    async with live_call(house, line) as call:
        pass

    assert call.turns() == [("assistant", LINES.greeting)]
    failures = [(row.data["stage"], row.data["final"], row.turn) for row in call.rows_of("provider.failed")]
    assert failures == [("speak", False, 0)]
    assert call.rows_of("agent.reply_started")[0].t >= RINGS_SECONDS + SLOW


async def test_a_voice_that_fails_in_the_middle_of_it_goes_on_from_the_last_word() -> None:
    async with live_call(world(Trouble(after=0.5)), FarEnd()) as call:
        pass

    assert call.turns() == [("assistant", LINES.greeting)]


async def test_one_that_nobody_answers_is_paid_and_never_heard() -> None:
    house, line = world(), RingingLine()
    async with live_call(house, line, greeted=False) as call:
        await asyncio.sleep(RINGS_SECONDS / 2)
        call.body.leave("no_answer")
        await call.ended()

    assert line.heard == b""
    assert [row.data["cost"] > 0 for row in call.rows_of("provider.used") if row.data["stage"] == "speak"] == [True]


async def test_a_disclosure_with_values_is_voiced_beside_the_greeting() -> None:
    disclosure = "Hello Anna, I am an automatic assistant."
    lines = replace(LINES, disclosure=disclosure)
    agent = replace(
        AGENT, policy=replace(POLICY, lines={"en": lines}), personal=frozenset({disclosure, LINES.greeting})
    )
    house = World(voice=ScriptedVoice(first_sound=SLOW), agent=agent)
    async with live_call(house, RingingLine()) as call:
        await call.until("agent.finished", 2)

    first, second = call.rows_of("agent.reply_started")
    assert first.t - RINGS_SECONDS < 0.05
    assert second.t - call.rows_of("agent.finished")[0].t < 0.05
    assert len(house.voice.utterances) == 2


async def test_lines_that_every_call_has_are_not_voiced_for_one_of_them() -> None:
    house = World(voice=ScriptedVoice(first_sound=SLOW), agent=AGENT)
    async with live_call(house, RingingLine()) as call:
        pass

    assert call.rows_of("agent.reply_started")[0].t >= RINGS_SECONDS + SLOW
    assert len(house.voice.utterances) == 1
