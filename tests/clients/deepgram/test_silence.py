"""Live streams whose socket takes audio and falls silent."""

import asyncio
from typing import Any

import pytest

from app.errors import ProviderTimeout
from app.ports.streams import StreamLost, StreamRestored, TurnEnded, TurnUpdated
from tests.clients.deepgram.listening import NOVA, listening, read, rest, sound, speak
from tests.clients.deepgram.server import deepgram, drops_after, flux, hears

IMPATIENT: dict[str, Any] = {"steady_seconds": 0.03, "flux_stall_seconds": 0.1, "nova_stall_seconds": 0.1}


async def test_a_socket_that_falls_silent_in_a_turn_is_given_up_and_the_turn_sent_again() -> None:
    first = hears((0.2, flux("StartOfTurn", "запишите", end=0.2)))
    second = hears((0.4, flux("EndOfTurn", "запишите меня", end=0.4)))
    async with deepgram(first, second) as server, listening(server, **IMPATIENT) as stream:
        speak(stream, 0.0, 0.4)
        lost, restored, ended = await read(stream, StreamLost, StreamRestored, TurnEnded)
        assert isinstance(lost.error, ProviderTimeout)
        assert not lost.final
        assert restored.gap_seconds >= 0
        assert ended.transcript.text == "запишите меня"
        assert bytes(server.sessions[1].audio)[: 32000 * 4 // 10] == sound(0.0, 0.4)


@pytest.mark.parametrize("options", [{}, NOVA], ids=["flux", "nova"])
async def test_a_socket_that_says_nothing_of_a_sound_does_not_hear(options: dict[str, Any]) -> None:
    async with deepgram(hears(), hears()) as server, listening(server, **IMPATIENT, **options) as stream:
        stream.note_sound(is_heard=True)
        speak(stream, 0.0, 0.4)
        (lost,) = await read(stream, StreamLost)
        assert isinstance(lost.error, ProviderTimeout)
        await server.until(lambda: len(server.sessions) == 2 and server.sessions[1].seconds >= 0.4)


@pytest.mark.parametrize("sound", ["none", "over", "of which no audio comes"])
async def test_a_socket_that_has_nothing_to_say_may_be_silent(sound: str) -> None:
    heard = hears((0.5, flux("EndOfTurn", "алло")))
    async with deepgram(heard) as server, listening(server, **IMPATIENT, flows_seconds=0.05) as stream:
        if sound != "none":
            stream.note_sound(is_heard=True)
        if sound == "over":
            stream.note_sound(is_heard=False)
        speak(stream, 0.0, 0.1)
        await asyncio.sleep(0.3)
        stream.note_sound(is_heard=False)
        speak(stream, 0.1, 0.5)
        await read(stream, TurnEnded)
        assert len(server.sessions) == 1


async def test_a_message_in_the_middle_of_a_sound_is_no_answer_to_all_of_it() -> None:
    beat = flux("Update", "", end=0.1)
    async with deepgram(hears((0.1, beat), (0.4, beat))) as server, listening(server) as stream:
        stream.note_sound(is_heard=True)
        speak(stream, 0.0, 0.1)
        await server.until(lambda: bool(server.sessions) and server.sessions[0].seconds >= 0.1)
        await asyncio.sleep(0.05)  # the beat arrives
        speak(stream, 0.1, 0.3)
        stream.note_sound(is_heard=False)
        await asyncio.sleep(0.05)
        assert stream.owed_seconds >= 0.05
        speak(stream, 0.3, 0.5)
        async with asyncio.timeout(5):
            while stream.owed_seconds:
                await asyncio.sleep(0)


async def test_sockets_that_fall_silent_one_after_the_other_are_one_outage_and_given_up() -> None:
    silent = hears((0.2, flux("StartOfTurn", "запишите", end=0.2)))
    async with deepgram(*[silent] * 50) as server, listening(server, **IMPATIENT, give_up_seconds=0.8) as stream:
        speak(stream, 0.0, 0.2)
        events = [event for event in await rest(stream) if not isinstance(event, TurnUpdated)]
        assert [type(event) for event in events] == [StreamLost, StreamLost]
        assert isinstance(events[-1], StreamLost)
        assert events[-1].final
        assert 2 < len(server.sessions) < 10


async def test_signs_of_life_between_turns_are_no_turn() -> None:
    """Flux sends them all the time; an open turn would be filled with silence, and end without a word."""
    beat = flux("Update", "", end=0.2)
    async with (
        deepgram(drops_after(0.2, (0.1, beat)), hears((0.2, beat))) as server,
        listening(server, **IMPATIENT, orphan_seconds=0.05) as stream,
    ):
        speak(stream, 0.0, 0.2)
        await read(stream, StreamLost, StreamRestored)
        await server.until(lambda: len(server.sessions) == 2 and server.sessions[1].seconds >= 0.2)
        await stream.finish()
        assert await rest(stream) == []
