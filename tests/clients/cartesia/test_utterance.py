"""Turns of the agent over a real socket: what goes in, what comes out, and every way it can go wrong."""

import asyncio
from typing import Any

import pytest

from app.errors import (
    ProviderProtocolError,
)
from app.ports.streams import VoiceAudio, VoiceWords
from tests.clients.cartesia.server import (
    Line,
    Speaker,
    seconds_of,
    sound_of,
)
from tests.clients.cartesia.voice import VOICE, begins, heard, sound, spoken, voice, words

# --- speaking ---------------------------------------------------------------------------------------------------


async def test_clauses_continue_one_context_and_their_words_have_times() -> None:
    async with voice() as (server, client):
        events = await heard(await spoken(client, "Добрый день, ", "чем помочь?"))

        assert sound(events) == sound_of("Добрый день, чем помочь?")
        assert [(word.text, word.start) for word in words(events)] == [
            ("Добрый", seconds_of(0)),
            ("день,", seconds_of(7)),
            ("чем", seconds_of(13)),
            ("помочь?", seconds_of(17)),
        ]
        assert len({request["context_id"] for request in server.received}) == 1
        assert [(request["transcript"], request["continue"]) for request in server.received] == [
            ("Добрый день, ", True),
            ("чем помочь?", True),
            ("", False),
        ]


async def test_a_context_is_named_after_its_call_and_never_twice() -> None:
    async with voice() as (server, client):
        first, second = [await spoken(client, "Да.", call_id="call-7") for _ in range(2)]
        await heard(first)
        await heard(second)

        [one], [two] = first.context_ids, second.context_ids
        assert one.startswith("call-7:")
        assert two.startswith("call-7:")
        assert one != two
        assert {request["context_id"] for request in server.received} == {one, two}


async def test_the_first_sound_comes_while_the_text_is_still_being_written() -> None:
    async with voice() as (_, client):
        utterance = client.utterance(VOICE, call_id="c")
        await utterance.say("Минуту, ")
        events = aiter(utterance)
        assert await anext(events) == VoiceAudio(sound_of("Минуту, "))
        await utterance.say("смотрю.")
        await utterance.finish()
        assert sound([event async for event in events]) == sound_of("смотрю.")


async def test_who_iterates_first_waits_for_the_first_text() -> None:
    async with voice() as (_, client):
        utterance = client.utterance(VOICE, call_id="c")
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(heard(utterance), name="listen")
            await asyncio.sleep(0)
            await utterance.say("Да.")
            await utterance.finish()
        assert sound(listening.result()) == sound_of("Да.")


async def test_an_utterance_without_text_is_not_a_request() -> None:
    async with voice() as (server, client):
        assert await heard(await spoken(client, "", " ")) == []
        assert client.get_metrics().requests == 0
        assert server.handshakes == []


async def test_text_that_makes_no_sound_goes_with_the_text_after_it() -> None:
    async with voice() as (server, client):
        utterance = await spoken(client, "Да", "… ", "нет.", "\n")
        await heard(utterance)
        assert server.texts == ["Да", "… нет."]
        assert utterance.characters_sent == len("Да… нет.")


async def test_two_calls_share_the_socket_and_hear_only_themselves() -> None:
    async with voice() as (server, client):
        one, two = client.utterance(VOICE, call_id="one"), client.utterance(VOICE, call_id="two")
        for clause_of_one, clause_of_two in (("Раз, ", "Ein, "), ("два.", "zwei.")):
            await one.say(clause_of_one)
            await two.say(clause_of_two)
        await one.finish()
        await two.finish()

        assert sound(await heard(two)) == sound_of("Ein, zwei.")
        assert sound(await heard(one)) == sound_of("Раз, два.")
        assert len(server.handshakes) == 1


async def test_a_sample_cut_in_two_is_put_together() -> None:
    async def cuts(line: Line, request: dict[str, Any]) -> None:
        if begins(request):
            for piece in (b"\x01", b"\x02\x03", b"\x04\x05\x06\x07"):
                await line.sounds(request["context_id"], piece)
            await line.ends(request["context_id"])

    async with voice(cuts) as (_, client):
        events = await heard(await spoken(client, "Да."))
        assert events == [VoiceAudio(b"\x01\x02"), VoiceAudio(b"\x03\x04\x05\x06")]


async def test_a_call_that_does_not_read_delays_no_other_call() -> None:
    async with voice() as (_, client):
        unread = await spoken(client, "Меня никто не слушает. " * 200)
        assert sound(await heard(await spoken(client, "Да."))) == sound_of("Да.")
        assert len(sound(await heard(unread))) == len(sound_of("Меня никто не слушает. " * 200))


async def test_sound_without_end_that_nobody_reads_fails_the_utterance_alone() -> None:
    minute, flood = bytes(60 * 8000 * 2), "Потоп " * 100

    async def floods(line: Line, request: dict[str, Any]) -> None:
        if request.get("transcript") == flood:
            for _ in range(3):
                await line.sounds(request["context_id"], minute)
        else:
            await speaker(line, request)

    speaker = Speaker()
    async with voice(floods) as (server, client):
        flooded = await spoken(client, flood)
        assert sound(await heard(await spoken(client, "Да."))) == sound_of("Да.")
        with pytest.raises(ProviderProtocolError, match="unread"):
            await heard(flooded)
        await server.until(lambda: server.cancelled == flooded.context_ids)


# --- contexts that expire ---------------------------------------------------------------------------------------


async def test_after_a_long_pause_a_new_context_goes_on_with_the_same_clock() -> None:
    async with voice(context_idle_seconds=0.0) as (server, client):
        utterance = client.utterance(VOICE, call_id="c")
        await utterance.say("Минуту.")
        events = aiter(utterance)
        before = [await anext(events), await anext(events)]
        await utterance.say("Готово.")
        await utterance.finish()
        after = [event async for event in events]

        assert sound(before + after) == sound_of("Минуту.Готово.")
        assert [(word.text, word.start, word.end) for word in words(before + after)] == [
            ("Минуту.", 0.0, seconds_of(7)),
            ("Готово.", seconds_of(7), seconds_of(14)),
        ]
        assert len(utterance.context_ids) == 2
        assert {request["context_id"] for request in server.received} == set(utterance.context_ids)
        assert client.get_metrics().requests == 1


async def test_a_context_that_the_vendor_ended_is_not_used_again() -> None:
    async def forgets(line: Line, request: dict[str, Any]) -> None:
        await speaker(line, request)
        if begins(request):
            await line.ends(request["context_id"])

    speaker = Speaker()
    async with voice(forgets) as (_, client):
        utterance = client.utterance(VOICE, call_id="c")
        await utterance.say("Раз.")
        events = aiter(utterance)
        first = [await anext(events), await anext(events)]
        async with asyncio.timeout(2):
            while len(utterance.context_ids) < 2:  # until its end has been read
                await utterance.say("Два.")
                await asyncio.sleep(0)
        await utterance.finish()
        rest = [event async for event in events]
        assert sound(first) == sound_of("Раз.")
        assert sound(rest).endswith(sound_of("Два."))


async def test_the_end_of_the_text_after_a_long_pause_asks_for_nothing() -> None:
    async with voice(context_idle_seconds=0.0) as (server, client):
        utterance = client.utterance(VOICE, call_id="c")
        await utterance.say("Да.")
        events = aiter(utterance)
        assert [await anext(events), await anext(events)] != []
        await utterance.finish()
        assert [event async for event in events] == []
        assert [request["continue"] for request in server.received] == [True]


async def test_a_slow_model_is_not_a_fault_of_the_vendor() -> None:
    async with voice(audio_gap_seconds=0.02, first_audio_seconds=0.5) as (_, client):
        utterance = client.utterance(VOICE, call_id="c")
        await utterance.say("Минуту.")
        events = aiter(utterance)
        assert isinstance(await anext(events), VoiceAudio)
        assert isinstance(await anext(events), VoiceWords)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await anext(events)
