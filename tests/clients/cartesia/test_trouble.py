"""Turns of the agent that are cut short or go wrong."""

import asyncio
import base64
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.clients.cartesia.client import CartesiaTTSClient, CartesiaUtterance
from app.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from app.ports.streams import VoiceAudio, VoiceEvent, VoiceWords
from tests.clients.cartesia.server import (
    CartesiaServer,
    Line,
    Script,
    Speaker,
    sound_of,
)
from tests.clients.cartesia.voice import VOICE, begins, heard, sound, spoken, voice

# --- interruption -----------------------------------------------------------------------------------------------


class Endless:
    """Speaks the first text again and again, whether cancelled or not, until released."""

    def __init__(self) -> None:
        self.spoken: dict[str, int] = {}
        self.speaker = Speaker()

    async def __call__(self, line: Line, request: dict[str, Any]) -> None:
        context_id = request["context_id"]
        if request.get("transcript") == "Долго.":
            await line.sounds(context_id, b"\x01\x02")
        elif request.get("cancel"):
            await line.sounds(context_id, b"\x03\x04")
            await line.ends(context_id)
        else:
            await self.speaker(line, request)


async def test_cancelling_wakes_who_iterates_at_once() -> None:
    async with voice(Endless()) as (server, client):
        utterance = client.utterance(VOICE, call_id="c")
        await utterance.say("Долго.")
        events = aiter(utterance)
        await anext(events)
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(anext(events, None), name="wait")
            await asyncio.sleep(0)
            cancelled_at = loop.time()
            utterance.cancel()
            assert await waiting is None
            assert loop.time() - cancelled_at < 0.05
        await server.until(lambda: server.cancelled == utterance.context_ids)


async def test_cancelling_drops_sound_that_was_received_and_not_read() -> None:
    async with voice() as (_, client):
        utterance = await spoken(client, "Раз. ", "Два.")
        events = aiter(utterance)
        await anext(events)
        await heard(await spoken(client, "Всё пришло."))
        utterance.cancel()
        assert [event async for event in events] == []


async def test_what_comes_after_cancelling_is_dropped() -> None:
    async with voice(Endless()) as (server, client):
        utterance = client.utterance(VOICE, call_id="c")
        await utterance.say("Долго.")
        events = aiter(utterance)
        await anext(events)
        utterance.cancel()
        await utterance.say("Ещё.")
        await utterance.finish()

        assert sound(await heard(await spoken(client, "Да."))) == sound_of("Да.")
        assert [event async for event in events] == []
        assert "Ещё." not in server.texts
        live = await client.live_socket()
        assert live.chunks_dropped == 1


async def test_leaving_the_iteration_cancels() -> None:
    async with voice(Endless()) as (server, client):
        utterance = client.utterance(VOICE, call_id="c")
        await utterance.say("Долго.")
        events = aiter(utterance)
        await anext(events)
        await events.aclose()
        await server.until(lambda: server.cancelled == utterance.context_ids)


async def test_a_cancelled_task_cancels_its_utterance() -> None:
    async with voice(Endless()) as (server, client):
        utterance = client.utterance(VOICE, call_id="c")
        await utterance.say("Долго.")
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(heard(utterance), name="listen")
            await server.until(lambda: server.texts == ["Долго."])
            listening.cancel()
        await server.until(lambda: server.cancelled == utterance.context_ids)


async def test_cancelled_before_the_first_text_it_is_not_a_request() -> None:
    async with voice() as (server, client):
        utterance = client.utterance(VOICE, call_id="c")
        utterance.cancel()
        await utterance.say("Да.")
        assert await heard(utterance) == []
        assert server.handshakes == []
        assert client.get_metrics().requests == 0


async def test_cancelled_while_the_socket_opens_no_text_is_sent() -> None:
    async with voice() as (server, client):
        utterance = client.utterance(VOICE, call_id="c")
        async with asyncio.TaskGroup() as tasks:
            saying = tasks.create_task(utterance.say("Да."), name="say")
            await asyncio.sleep(0)
            utterance.cancel()
            await saying
        assert await heard(utterance) == []
        await client.warm_up()
        assert server.texts == []


async def test_cancelled_before_its_first_sound_it_is_neither_success_nor_failure() -> None:
    async with voice(Endless()) as (_, client):
        utterance = client.utterance(VOICE, call_id="c")
        await utterance.say("Долго.")
        utterance.cancel()
        assert await heard(utterance) == []
        metrics = client.get_metrics()
        assert (metrics.requests, metrics.failures, metrics.latency_p50) == (1, 0, None)


# --- trouble ----------------------------------------------------------------------------------------------------


def sounds_then(trouble: Script) -> Script:
    """One sample, and then trouble, for a text that says so; other texts are spoken."""
    speaker = Speaker()

    async def script(line: Line, request: dict[str, Any]) -> None:
        if request.get("transcript") == "Беда.":
            await line.sounds(request["context_id"], b"\x01\x02")
            await trouble(line, request)
        elif begins(request):
            await speaker(line, request)

    return script


async def fate(utterance: CartesiaUtterance) -> tuple[bytes, ProviderError]:
    """The sound before the error, and the error."""
    events: list[VoiceEvent] = []

    async def listen() -> None:
        async for event in utterance:
            events.append(event)

    with pytest.raises(ProviderError) as caught:
        await listen()
    return sound(events), caught.value


async def test_an_error_of_a_context_fails_it_alone() -> None:
    async def trouble(line: Line, request: dict[str, Any]) -> None:
        await line.fails(request["context_id"], 500, "internal_error")

    async with voice(sounds_then(trouble)) as (server, client):
        healthy = client.utterance(VOICE, call_id="healthy")
        await healthy.say("Раз.")
        audio, error = await fate(await spoken(client, "Беда."))

        assert audio == b"\x01\x02"
        assert isinstance(error, ProviderUnavailable)
        assert error.request_id == "req-1"
        await healthy.say("Два.")
        events = aiter(healthy)
        assert sound([await anext(events) for _ in range(4)]) == sound_of("Раз.Два.")
        assert len(server.handshakes) == 1


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (402, "quota_exceeded", ProviderRejected),
        (429, "concurrency_limited", ProviderRateLimited),
        (400, "model_not_found", ProviderRejected),
    ],
)
async def test_an_error_says_what_it_is(status: int, code: str, expected: type[ProviderError]) -> None:
    async def trouble(line: Line, request: dict[str, Any]) -> None:
        await line.fails(request["context_id"], status, code)

    async with voice(sounds_then(trouble)) as (_, client):
        _, error = await fate(await spoken(client, "Беда."))
        assert type(error) is expected


async def loses(trouble: Script) -> tuple[ProviderError, ProviderError]:
    """The errors of two live utterances when one of them meets trouble; the client must recover."""
    async with voice(sounds_then(trouble)) as (server, client):
        bystander = client.utterance(VOICE, call_id="bystander")
        await bystander.say("Раз.")
        unlucky = await spoken(client, "Беда.")
        audio, error = await fate(unlucky)
        bystander_audio, bystander_error = await fate(bystander)

        assert audio == b"\x01\x02"
        assert bystander_audio == sound_of("Раз.")
        again = client.utterance(VOICE, call_id="again")
        await again.say("Снова.")
        assert await anext(aiter(again)) == VoiceAudio(sound_of("Снова."))
        again.cancel()
        assert len(server.handshakes) == 2
        return error, bystander_error


async def test_a_socket_closed_in_the_middle_reaches_every_context() -> None:
    async def trouble(line: Line, request: dict[str, Any]) -> None:
        await line.closes(1011)

    errors = await loses(trouble)
    assert [str(error) for error in errors] == ["cartesia: the socket was lost, code 1011"] * 2
    assert isinstance(errors[0], ProviderUnavailable)


async def test_a_socket_reset_in_the_middle_reaches_every_context() -> None:
    speaker = Speaker()

    async def resets(line: Line, request: dict[str, Any]) -> None:
        if request["transcript"] == "Беда.":
            line.resets()
        else:
            await speaker(line, request)

    async with voice(resets) as (_, client):
        one, two = client.utterance(VOICE, call_id="one"), client.utterance(VOICE, call_id="two")
        await one.say("Раз.")
        await two.say("Два.")
        events = aiter(two)
        assert isinstance(await anext(events), VoiceAudio)
        assert isinstance(await anext(events), VoiceWords)
        await one.say("Беда.")
        assert isinstance((await fate(one))[1], ProviderUnavailable)
        with pytest.raises(ProviderUnavailable):
            await anext(events)


async def test_a_socket_that_the_vendor_finds_idle_reaches_every_context() -> None:
    async def trouble(line: Line, request: dict[str, Any]) -> None:
        await line.closes(1000)

    errors = await loses(trouble)
    assert [type(error) for error in errors] == [ProviderUnavailable, ProviderUnavailable]


@pytest.mark.parametrize("stray", ['{"type": "done"}', '{"type": "done", "context_id": "x"}', '{"type": "fin"}', "{"])
async def test_a_context_that_waits_in_vain_for_a_message_that_went_astray_keeps_the_socket(stray: str) -> None:
    async def loses_its_end(line: Line, request: dict[str, Any]) -> None:
        if begins(request):
            await Speaker()(line, request | {"continue": True})
            await line.connection.send(stray)

    async with voice(loses_its_end, audio_gap_seconds=0.05) as (server, client):
        _, error = await fate(await spoken(client, "Беда."))
        assert isinstance(error, ProviderTimeout)
        await fate(await spoken(client, "Раз."))
        assert len(server.handshakes) == 1


async def test_no_first_sound_before_the_deadline_is_a_timeout() -> None:
    async def hangs(line: Line, request: dict[str, Any]) -> None:
        """Takes the text and says nothing."""

    async with voice(hangs, first_audio_seconds=0.03) as (server, client):
        utterance = await spoken(client, "Беда.")
        audio, error = await fate(utterance)
        assert audio == b""
        assert isinstance(error, ProviderTimeout)
        assert "first audio" in str(error)
        assert error.request_id == utterance.context_ids[0]
        await server.until(lambda: server.is_closed(0))  # a socket that may be half-open is not used again


async def test_sound_that_comes_more_slowly_than_it_is_heard_is_a_timeout() -> None:
    async def drips(line: Line, request: dict[str, Any]) -> None:
        for _ in range(100):
            await asyncio.sleep(0.01)
            await line.sounds(request["context_id"], b"\x01\x02")

    async with voice(drips, audio_gap_seconds=0.05, first_audio_seconds=0.5) as (_, client):
        _audio, error = await fate(await spoken(client, "Беда."))
        assert isinstance(error, ProviderTimeout)


async def test_a_stall_in_the_middle_is_a_timeout() -> None:
    async def stalls(line: Line, request: dict[str, Any]) -> None:
        """Nothing more."""

    async with voice(sounds_then(stalls), audio_gap_seconds=0.03) as (_, client):
        utterance = client.utterance(VOICE, call_id="c")
        await utterance.say("Беда.")
        await utterance.say("Не сказано.")
        await utterance.finish()
        audio, error = await fate(utterance)
        assert isinstance(error, ProviderTimeout)
        assert "next audio" in str(error)
        assert audio.startswith(b"\x01\x02")


async def test_an_end_that_never_comes_is_a_timeout() -> None:
    speaker = Speaker()

    async def does_not_end(line: Line, request: dict[str, Any]) -> None:
        if begins(request):
            await speaker(line, request)

    async with voice(does_not_end, audio_gap_seconds=0.03) as (_, client):
        audio, error = await fate(await spoken(client, "Да."))
        assert audio == sound_of("Да.")
        assert isinstance(error, ProviderTimeout)


async def test_a_text_that_ends_without_sound_is_an_error() -> None:
    async def skips(line: Line, request: dict[str, Any]) -> None:
        if not request["continue"]:
            await line.ends(request["context_id"])

    async with voice(skips) as (_, client):
        _, error = await fate(await spoken(client, "Да."))
        assert isinstance(error, ProviderProtocolError)


async def test_a_timeout_of_one_call_leaves_the_others_on_their_socket() -> None:
    async def hangs(line: Line, request: dict[str, Any]) -> None:
        """Takes the text and says nothing."""

    async with voice(sounds_then(hangs), audio_gap_seconds=0.03, first_audio_seconds=0.5) as (server, client):
        healthy = client.utterance(VOICE, call_id="healthy")
        await healthy.say("Раз.")
        await fate(await spoken(client, "Беда."))
        await healthy.say("Два.")
        events = aiter(healthy)
        assert sound([await anext(events) for _ in range(4)]) == sound_of("Раз.Два.")
        assert not server.is_closed(0)


async def test_after_an_error_text_is_ignored() -> None:
    async def trouble(line: Line, request: dict[str, Any]) -> None:
        await line.fails(request["context_id"], 500, "internal_error")

    async with voice(sounds_then(trouble)) as (server, client):
        utterance = client.utterance(VOICE, call_id="c")
        await utterance.say("Беда.")
        await fate(utterance)
        await utterance.say("Ещё.")
        await utterance.finish()
        await heard_nothing_new(server, client)


async def heard_nothing_new(server: CartesiaServer, client: CartesiaTTSClient) -> None:
    last = client.utterance(VOICE, call_id="last")
    await last.say("Конец.")
    assert await anext(aiter(last)) == VoiceAudio(sound_of("Конец."))
    last.cancel()
    assert server.texts == ["Беда.", "Конец."]


async def test_unknown_contexts_and_types_are_passed_over() -> None:
    speaker = Speaker()

    async def chatters(line: Line, request: dict[str, Any]) -> None:
        await line.sends({"type": "chunk", "context_id": "stranger", "data": base64.b64encode(b"12").decode()})
        await line.sends({"type": "flush_done", "context_id": request["context_id"], "flush_id": 1})
        await line.fails("stranger", 500, "internal_error")
        await speaker(line, request)

    async with voice(chatters) as (_, client):
        assert sound(await heard(await spoken(client, "Да."))) == sound_of("Да.")


async def test_no_word_of_the_call_is_logged() -> None:
    async def trouble(line: Line, request: dict[str, Any]) -> None:
        await line.fails(request["context_id"], 400, "bad_transcript", message=request["transcript"])

    with capture_logs() as entries:
        async with voice(sounds_then(trouble)) as (_, client):
            _, error = await fate(await spoken(client, "Беда."))
    assert "provider.failed" in [entry["event"] for entry in entries]
    assert "Беда" not in f"{entries} {error} {error.__cause__}"
