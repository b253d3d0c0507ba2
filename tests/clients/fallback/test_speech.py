"""An utterance is spoken by the first link that gives it sound, whatever the others do."""

import asyncio
from contextlib import aclosing
from typing import cast

import pytest

from app.clients.entry import TtsSession
from app.clients.fallback.race import FallbackFailed
from app.clients.fallback.speech import FallbackVoice, VoiceLink
from app.errors import ProviderError, ProviderRejected, ProviderTimeout, ProviderUnavailable
from app.ports.streams import VoiceAudio
from tests.calls.vendors import Trouble
from tests.clients.fallback.voices import VOICE, NamedVoice, chain_of, failed, sound, speak

VIRTUAL_TIME = True

TEXT = "We open at nine."
DOWN = ProviderUnavailable("one", "nobody answers")


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_the_first_choice_speaks_alone_while_it_is_well() -> None:
    one, two = NamedVoice("one"), NamedVoice("two")
    chain = chain_of(one, two)
    utterance = chain.utterance(VOICE, call_id="call-1")
    await utterance.say(TEXT)
    await utterance.finish()
    events = [event async for event in utterance]

    assert sound(events) == one.utterances[0].audio
    assert failed(events) == []
    assert two.utterances == []
    assert [(charge.way, charge.served, charge.characters) for charge in utterance.charges()] == [("one", True, 16)]


async def test_a_link_that_fails_is_followed_by_the_next_at_once() -> None:
    one, two = NamedVoice("one"), NamedVoice("two")
    one.down = DOWN
    began = now()
    events = await speak(chain_of(one, two), TEXT)

    assert sound(events) == two.utterances[0].audio
    assert failed(events) == [("one", "provider_unavailable")]
    assert now() - began < 1.0


async def test_a_link_that_is_late_goes_on_and_may_still_be_first() -> None:
    one, two = NamedVoice("one", first_sound=1.0), NamedVoice("two", first_sound=0.5)
    events = await speak(chain_of(one, two), TEXT)

    assert sound(events) == one.utterances[0].audio
    assert failed(events) == [("one", "provider_timeout")]
    assert not two.utterances[0].is_open


async def test_each_link_gets_the_whole_text_and_what_follows() -> None:
    one, two = NamedVoice("one", first_sound=100.0), NamedVoice("two")
    chain = chain_of(one, two)
    utterance = chain.utterance(VOICE, call_id="call-1")
    await utterance.say("We open at nine. ")
    events = aiter(utterance)
    first = await anext(events)
    await utterance.say("We close at eight.")
    await utterance.finish()
    rest = [event async for event in events]

    assert two.utterances[0].said == ["We open at nine. ", "We close at eight."]
    assert sound([first, *rest]) == two.utterances[0].audio
    assert [(charge.way, charge.served) for charge in utterance.charges()] == [("one", False), ("two", True)]


async def test_all_that_hang_are_passed_within_two_seconds() -> None:
    hanging = [NamedVoice(name, first_sound=100.0) for name in ("one", "two", "three")]
    last = NamedVoice("last")
    chain = chain_of(*hanging, last)
    utterance = chain.utterance(VOICE, call_id="call-1")
    await utterance.say(TEXT)
    began = now()
    async with aclosing(aiter(utterance)) as events:
        async for event in events:
            if isinstance(event, VoiceAudio):
                break
    assert now() - began < 2.0


async def test_who_was_so_late_that_another_spoke_is_asked_no_more_until_a_probe_says_so() -> None:
    one, two = NamedVoice("one", first_sound=100.0), NamedVoice("two")
    chain = chain_of(one, two)
    await speak(chain, TEXT)
    began = now()
    events = await speak(chain, TEXT)
    assert failed(events) == []
    assert now() - began < 1.0
    assert len(one.utterances) == 1

    await asyncio.sleep(1.1)
    await chain.probe()
    assert len(one.utterances) == 2
    await speak(chain, TEXT)
    assert len(one.utterances) == 2, "it did not speak in the probe"

    one.first_sound = 0.1
    await asyncio.sleep(5)
    charges = await chain.probe()
    assert sum(charge.characters for charge in charges) == len("1, 2, 3.")
    events = await speak(chain, TEXT)
    assert sound(events) == one.utterances[-1].audio


async def test_a_probe_is_heard_to_its_end() -> None:
    one, two = NamedVoice("one", first_sound=100.0), NamedVoice("two")
    chain = chain_of(one, two)
    await speak(chain, TEXT)
    one.first_sound, one.burst = 0.1, 0.02
    one.troubles = [Trouble(after=0.05, stalls=True)]
    await asyncio.sleep(2)
    await chain.probe()
    spoken = len(one.utterances)
    await speak(chain, TEXT)
    assert len(one.utterances) == spoken


async def test_an_answer_that_breaks_off_can_be_asked_for_again_of_others() -> None:
    one, two = NamedVoice("one"), NamedVoice("two")
    one.troubles = [Trouble(after=0.4, error=ProviderRejected("one", "no credit", status=402))]
    chain = chain_of(one, two)
    with pytest.raises(ProviderError) as broken:
        await speak(chain, TEXT)
    assert (broken.value.provider, broken.value.code, broken.value.retryable) == ("one", "provider_rejected", True)
    events = await speak(chain, TEXT)
    assert sound(events) == two.utterances[0].audio


async def test_who_stalled_is_not_asked_again_for_the_rest() -> None:
    """Each attempt would bring a fragment and another gap."""
    one, two = NamedVoice("one"), NamedVoice("two")
    one.troubles = [Trouble(after=0.4, error=ProviderTimeout("one", "no next audio"))]
    chain = chain_of(one, two)
    with pytest.raises(ProviderTimeout) as stalled:
        await speak(chain, TEXT)
    assert stalled.value.retryable
    events = await speak(chain, TEXT)
    assert sound(events) == two.utterances[0].audio
    assert len(one.utterances) == 1

    await asyncio.sleep(1.1)
    await chain.probe()
    events = await speak(chain, TEXT)
    assert sound(events) == one.utterances[-1].audio


async def test_when_all_have_failed_the_failure_of_the_first_is_final() -> None:
    one, two = NamedVoice("one"), NamedVoice("two")
    one.down, two.down = DOWN, ProviderUnavailable("two", "nobody answers either")
    with pytest.raises(FallbackFailed) as final:
        await speak(chain_of(one, two), TEXT)
    assert (final.value.provider, final.value.code, final.value.retryable) == ("one", "provider_unavailable", False)


async def test_a_warm_up_that_fails_puts_the_first_choice_down_before_any_caller_comes() -> None:
    one, two = NamedVoice("one"), NamedVoice("two")
    one.down = DOWN
    chain = chain_of(one, two)
    with pytest.raises(ProviderUnavailable):
        await chain.warm_up()
    events = await speak(chain, TEXT)
    assert failed(events) == []
    assert one.utterances == []


async def test_what_is_kept_is_spoken_by_the_first_choice_or_not_at_all() -> None:
    one, two = NamedVoice("one"), NamedVoice("two")
    one.down = DOWN
    chain = chain_of(one, two)
    for _attempt in range(2):
        utterance = chain.first_choice.utterance(VOICE, call_id="phrases")
        await utterance.say(TEXT)
        await utterance.finish()
        with pytest.raises(ProviderError):
            [event async for event in utterance]
    assert two.utterances == []
    one.down = None
    await speak(chain, TEXT)
    assert len(two.utterances) == 1, "the chain has learnt that the first choice is down"


async def test_text_without_a_letter_is_spoken_by_nobody() -> None:
    one, two = NamedVoice("one"), NamedVoice("two")
    assert await speak(chain_of(one, two), " … ") == []
    assert one.utterances == two.utterances == []


async def test_a_cancelled_utterance_ends_and_is_not_a_failure() -> None:
    one, two = NamedVoice("one", first_sound=0.5), NamedVoice("two")
    chain = chain_of(one, two)
    utterance = chain.utterance(VOICE, call_id="call-1")
    await utterance.say(TEXT)
    asyncio.get_running_loop().call_later(0.1, utterance.cancel)
    assert [event async for event in utterance] == []
    assert not one.utterances[0].is_open
    events = await speak(chain, TEXT)
    assert failed(events) == []


# --- whether anybody can speak ---------------------------------------------------------------------------------------


async def test_a_voice_is_down_when_every_link_is_and_well_when_one_of_them_is() -> None:
    one, two = NamedVoice("one"), NamedVoice("two")
    one.down, two.down = ProviderRejected("one", "the key is wrong"), ProviderRejected("two", "the key is wrong")
    chain = chain_of(one, two)
    assert not chain.is_down_for(VOICE), "nobody was asked yet"

    with pytest.raises(ProviderError):
        await speak(chain, TEXT)
    assert chain.is_down_for(VOICE)
    assert chain.first_choice.is_down_for(VOICE)

    two.down = None
    await asyncio.sleep(1.1)
    await chain.probe()
    assert not chain.is_down_for(VOICE)
    assert chain.first_choice.is_down_for(VOICE)


async def test_who_knows_only_prepared_lines_or_another_language_does_not_count_as_a_voice() -> None:
    one, lines, foreign = NamedVoice("one"), NamedVoice("lines"), NamedVoice("foreign")
    one.down = ProviderRejected("one", "the key is wrong")
    lines.knows_any_text = False
    chain = FallbackVoice(
        [
            VoiceLink("one", cast(TtsSession, one)),
            VoiceLink("lines", cast(TtsSession, lines)),
            VoiceLink("foreign", cast(TtsSession, foreign), voice=lambda _voice: None),
        ]
    )

    await speak(chain, TEXT)

    assert chain.is_down_for(VOICE)
