"""A voice that sends what is no speech, that ends early, or that loses its socket together with others."""

import pytest

from app.errors import ProviderProtocolError, ProviderUnavailable, WrongSound
from tests.calls.fakes import LINES, World, live_call
from tests.calls.far_end import TELEPHONE, FarEnd
from tests.calls.live.test_trouble import asks, failures
from tests.calls.vendors import Answer, ScriptedModel, Trouble

VIRTUAL_TIME = True

STORY = (
    "We are open from nine to six on weekdays, and on Saturdays until two. "
    "On Sundays and on public holidays nobody is here, so please call again on the next working day."
)


async def test_sound_that_was_wrong_is_not_played_on() -> None:
    world = World(model=ScriptedModel(Answer(STORY)))
    world.voice.burst = 3.0
    async with live_call(world, FarEnd()) as call:
        world.voice.troubles = [Trouble(3.0, WrongSound("cartesia", "another rate"))]
        await asks(call)

    wrong, right = world.voice.of_call("call-1")[1:]
    assert right.said[0].startswith("We are open from nine")
    assert call.far_end.heard[-len(right.audio) :] == right.audio
    heard_of_wrong = len(call.far_end.heard) - len(right.audio) - len(world.voice.utterances[0].audio)
    assert TELEPHONE.seconds(wrong.audio) > 2.0
    assert TELEPHONE.seconds(bytes(heard_of_wrong)) <= 1.0
    assert failures(call, "speak") == [False]
    assert call.turns()[-1] == ("assistant", STORY)


async def test_sound_that_stays_wrong_is_apologised_for_and_nothing_of_it_is_on_the_record() -> None:
    world = World(model=ScriptedModel(Answer(STORY)))
    await world.prepare_phrases(TELEPHONE)
    world.voice.burst = 3.0
    async with live_call(world, FarEnd()) as call:
        world.voice.troubles = [Trouble(3.0, WrongSound("cartesia", "another rate")) for _ in range(2)]
        await asks(call, answers=3)

    assert failures(call, "speak") == [False, True]
    assert [row.data["heard"] for row in call.rows_of("agent.finished")][1:] == ["", LINES.cut_off]


@pytest.mark.parametrize("after", [1.5, 1.8, 2.1])
async def test_a_voice_that_ends_early_again_and_again_says_it_all_as_long_as_it_gets_on(after: float) -> None:
    world = World(model=ScriptedModel(Answer(STORY)))
    async with live_call(world, FarEnd()) as call:
        early = ProviderProtocolError("cartesia", "the sound ended before its text")
        world.voice.troubles = [Trouble(after, early) for _ in range(4)]
        await asks(call)

    assert call.turns()[-1] == ("assistant", STORY)
    assert failures(call, "speak") == [False] * 4


async def test_a_new_attempt_names_the_failure_that_it_replaces() -> None:
    world = World(model=ScriptedModel(Answer(STORY)))
    lost = ProviderUnavailable("cartesia", "the socket was lost")
    lost.is_shared = True
    async with live_call(world, FarEnd()) as call:
        world.voice.troubles = [Trouble(1.5, lost)]
        world.voice.followed.clear()
        await asks(call)

    assert world.voice.followed == [None, lost]
