"""One socket carries many calls: what goes wrong for one of them costs that one at most."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.clients.breaker import CircuitBreaker
from app.clients.cartesia.client import CartesiaOptions, CartesiaTTSClient, CartesiaUtterance
from app.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderUnavailable,
    WrongSound,
)
from app.ports.streams import VoiceAudio, VoiceEvent, VoiceWords
from tests.clients.cartesia.server import CartesiaServer, Line, Script, Speaker, cartesia_server, sound_of
from tests.clients.cartesia.voice import VOICE, heard, sound, spoken, voice, words


def strikes(trouble: Script) -> Script:
    """Speaks; for the text "Беда." there is trouble first."""
    speaker = Speaker()

    async def script(line: Line, request: dict[str, Any]) -> None:
        if request.get("transcript") == "Беда.":
            await trouble(line, request)
        if not request.get("cancel"):
            await speaker(line, request)

    return script


async def outcome(utterance: CartesiaUtterance) -> tuple[list[VoiceEvent], ProviderError | None]:
    events: list[VoiceEvent] = []
    try:
        async for event in utterance:
            events.append(event)
    except ProviderError as error:
        return events, error
    return events, None


DAMAGED: dict[str, tuple[str | bytes, type[ProviderError] | None]] = {
    # what is sent for the call A, as {A}, and how A fails, if it does
    "unequal lengths": (
        '{"type":"timestamps","context_id":"{A}","word_timestamps":{"words":["a","b"],"start":[0],"end":[0.2,0.4]}}',
        None,
    ),
    "no data": ('{"type":"chunk","context_id":"{A}","data":null}', None),
    "no base64": ('{"type":"chunk","context_id":"{A}","data":"тайна"}', ProviderProtocolError),
    "half a message": ('{"type":"chunk","context_id":"{A}","data":"AAAA', ProviderProtocolError),
    "no context": ('{"type":"chunk","data":"AAAA"}', None),
    "unknown context": ('{"type":"chunk","context_id":"stranger","data":"AAAA"}', None),
    "unknown type": ('{"type":"тайна","context_id":"{A}"}', None),
    "no type": ('{"context_id":"{A}"}', None),
    "no json": ("тайна", None),
    "binary": (b"\x00\xff\x01", None),
    "binary for a call": (b'{"context_id":"{A}","type":"chunk","data":"\xff"}', ProviderProtocolError),
    "deep": ('{"type":"chunk","x":' + "[" * 200_000, None),
    "digits": ('{"type":"flush_done","context_id":"{A}","flush_id":' + "9" * 5000 + "}", None),
    "huge times": (
        '{"type":"timestamps","context_id":"{A}","word_timestamps":{"words":["a"],"start":[1e308],"end":[NaN]}}',
        None,
    ),
    "half a pair": ('{"type":"timestamps","context_id":"{A}","word_timestamps":{"words":["\\ud83d"]}}', None),
    "text as sound": (
        '{"type":"chunk","context_id":"{A}","data":"' + "eyJlcnJvciI6ICJzb21ldGhpbmcgYnJva2UifSAgICAg" + '"}',
        WrongSound,
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
async def test_a_damaged_message_costs_its_own_context_at_most(kind: str) -> None:
    message, expected = DAMAGED[kind]

    async def trouble(line: Line, request: dict[str, Any]) -> None:
        if isinstance(message, str):
            await line.connection.send(message.replace("{A}", request["context_id"]))
        else:
            await line.connection.send(message.replace(b"{A}", request["context_id"].encode()))

    with capture_logs() as entries:
        async with voice(strikes(trouble)) as (server, client):
            others = [client.utterance(VOICE, call_id=name) for name in ("b", "c")]
            for other in others:
                await other.say("Раз, ")
            unlucky, error = await outcome(await spoken(client, "Беда.", call_id="a"))
            for other in others:
                await other.say("два.")
                await other.finish()
                events = await heard(other)
                assert sound(events) == sound_of("Раз, два.")
                assert [word.text for word in words(events)] == ["Раз,", "два."]
                assert all(word.is_exact for word in words(events))

            assert type(error) is (expected or type(None))
            assert expected is not None or sound(unlucky) == sound_of("Беда.")
            assert len(server.handshakes) == 1
            assert client.get_metrics().failures == (expected is not None)
    assert "тайна" not in f"{entries} {error}"


async def test_text_that_is_not_utf8_costs_no_socket() -> None:
    async def trouble(line: Line, request: dict[str, Any]) -> None:
        await line.connection.send(b'{"type":"\xff\xfe"}', text=True)

    async with voice(strikes(trouble)) as (server, client):
        assert sound(await heard(await spoken(client, "Беда."))) == sound_of("Беда.")
        assert not server.is_closed(0)


async def test_half_a_surrogate_pair_in_a_text_costs_no_socket() -> None:
    async with voice() as (server, client):
        assert sound(await heard(await spoken(client, "Да \ud83d, нет."))) == sound_of("Да , нет.")
        assert server.texts == ["Да , нет."]
        assert sound(await heard(await spoken(client, "Раз."))) == sound_of("Раз.")
        assert len(server.handshakes) == 1


async def test_a_flood_of_unreadable_messages_is_logged_once() -> None:
    async def trouble(line: Line, request: dict[str, Any]) -> None:
        for _ in range(200):
            await line.connection.send("тайна")

    with capture_logs() as entries:
        async with voice(strikes(trouble)) as (_, client):
            assert sound(await heard(await spoken(client, "Беда."))) == sound_of("Беда.")
    assert [entry["event"] for entry in entries].count("provider.unreadable_message") == 1
    assert next(entry for entry in entries if entry["event"] == "socket.closed")["unreadable"] == 200


# --- an error that names no context -------------------------------------------------------------------------------


def says_error(status: int, code: str, *, answers: bool) -> Script:
    """The error without a context for "Беда.", which is spoken, or not."""
    speaker = Speaker()
    dead: set[str] = set()

    async def script(line: Line, request: dict[str, Any]) -> None:
        if request.get("transcript") == "Беда.":
            await line.fails(None, status, code)
            if not answers:
                dead.add(request["context_id"])
        if not request.get("cancel") and request["context_id"] not in dead:
            await speaker(line, request)

    return script


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "bad_request", ProviderProtocolError),
        (422, "bad_request", ProviderProtocolError),
        (429, "concurrency_limited", ProviderRateLimited),
        (500, "internal_error", ProviderUnavailable),
        (503, "unavailable", ProviderUnavailable),
    ],
)
async def test_an_error_without_context_is_asked_again_by_who_gets_no_sound(
    status: int, code: str, expected: type[ProviderError]
) -> None:
    async with voice(says_error(status, code, answers=False), suspect_seconds=0.05) as (server, client):
        other = client.utterance(VOICE, call_id="b")
        await other.say("Раз, ")
        _, error = await outcome(await spoken(client, "Беда.", call_id="a"))
        await other.say("два.")
        await other.finish()

        assert type(error) is expected
        assert error.retryable
        assert sound(await heard(other)) == sound_of("Раз, два.")
        assert len(server.handshakes) == 1


async def test_a_context_that_the_vendor_forgot_with_such_an_error_is_asked_for_again() -> None:
    async def forgets(line: Line, request: dict[str, Any]) -> None:
        if request.get("transcript") == "Беда.":
            await line.fails(None, 500, "internal_error")
        elif not request.get("cancel"):
            await line.fails(request["context_id"], 400, "context_closed")

    async with voice(forgets) as (_, client):
        _, error = await outcome(await spoken(client, "Беда.", "Ещё."))
        assert type(error) is ProviderProtocolError


async def test_an_error_without_context_is_passed_over_by_who_goes_on_getting_sound() -> None:
    async with voice(says_error(400, "bad_request", answers=True), suspect_seconds=0.05) as (_, client):
        assert sound(await heard(await spoken(client, "Беда."))) == sound_of("Беда.")
        assert client.get_metrics().failures == 0


@pytest.mark.parametrize(("status", "code"), [(401, "unauthorized"), (402, "quota_exceeded"), (403, "forbidden")])
async def test_who_is_refused_for_good_is_told_at_once(status: int, code: str) -> None:
    async with voice(says_error(status, code, answers=False)) as (_, client):
        other = client.utterance(VOICE, call_id="b")
        await other.say("Раз, ")
        _, error = await outcome(await spoken(client, "Беда.", call_id="a"))
        assert type(error) is ProviderRejected
        with pytest.raises(ProviderRejected):
            await heard(other)


# --- the socket is lost while five calls speak --------------------------------------------------------------------


async def five_lose_their_socket(client: CartesiaTTSClient, server: CartesiaServer) -> list[ProviderError]:
    """Five calls have been given a part of their text; then the socket is reset."""

    async def speaks(name: str) -> ProviderError | None:
        utterance = client.utterance(VOICE, call_id=name)
        await utterance.say("Раз, ")
        events = aiter(utterance)
        try:
            assert isinstance(await anext(events), VoiceAudio)
            assert isinstance(await anext(events), VoiceWords)
            begun.append(name)
            await anext(events)
        except ProviderError as error:
            return error
        return None

    begun: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(speaks(f"call-{index}"), name=f"call-{index}") for index in range(5)]
        while len(begun) < len(calls):
            await asyncio.sleep(0)
        server.lines[0].resets()
    return [error for call in calls if (error := call.result()) is not None]


async def test_a_lost_socket_is_one_failure_and_the_retries_of_all_are_let_through() -> None:
    async with cartesia_server() as server:
        client = CartesiaTTSClient(
            api_key="key-1", base_url=server.url, options=CartesiaOptions(), breaker=CircuitBreaker(threshold=1)
        )
        errors = await five_lose_their_socket(client, server)

        assert [type(error) for error in errors] == [ProviderUnavailable] * 5
        assert client.get_metrics().failures == 1
        assert (await client.health_check()).breaker == "open"
        for error in errors:
            again = client.utterance(VOICE, call_id="again", after=error)
            await again.say("два.")
            await again.finish()
            assert sound(await heard(again)) == sound_of("два.")
        assert len(server.handshakes) == 2
        await client.aclose()


async def test_a_socket_that_cannot_be_opened_again_is_one_failure_for_all_who_wait() -> None:
    async with cartesia_server() as server:
        client = CartesiaTTSClient(api_key="key-1", base_url=server.url, options=CartesiaOptions())
        errors = await five_lose_their_socket(client, server)
        server.refuses = (503, {})

        async def tries(error: ProviderError) -> ProviderError | None:
            again = client.utterance(VOICE, call_id="again", after=error)
            await again.say("два.")
            return (await outcome(again))[1]

        async with asyncio.TaskGroup() as tasks:
            retries = [tasks.create_task(tries(error), name="retry") for error in errors]
        assert [type(retry.result()) for retry in retries] == [ProviderUnavailable] * 5
        assert client.get_metrics().failures == 2
        assert (await client.health_check()).breaker == "closed"
        await client.aclose()


# --- sound that is not what was asked for --------------------------------------------------------------------------


def sounds_as(pieces: list[bytes], *, has_times: bool = True) -> Script:
    """The pieces for any text, each with the next word at 0.4 s a word."""

    async def script(line: Line, request: dict[str, Any]) -> None:
        if not request.get("transcript"):
            return
        spoken = request["transcript"].split()
        for index, piece in enumerate(pieces):
            await line.sounds(request["context_id"], piece)
            if has_times and index < len(spoken):
                await line.times(request["context_id"], [(spoken[index], index * 0.4, (index + 1) * 0.4)])
        await line.ends(request["context_id"])

    return script


LONG = "Мы открыты каждый день с девяти утра"


async def test_sound_of_another_rate_is_thrown_away() -> None:
    async with voice(sounds_as([bytes([1, 2]) * 8000 * 2] * 7)) as (_, client):  # 2 s for a word of 0.4 s
        events, error = await outcome(await spoken(client, LONG))
    assert type(error) is WrongSound
    assert len(sound(events)) <= 2 * 8000 * 2 * 2


@pytest.mark.parametrize("has_times", [True, False])
async def test_an_end_before_the_text_is_said_is_a_failure_after_its_sound(has_times: bool) -> None:
    async with voice(sounds_as([bytes([1, 2]) * 3200] * 2, has_times=has_times)) as (_, client):  # 0.8 s
        events, error = await outcome(await spoken(client, LONG))
    assert type(error) is ProviderProtocolError
    assert error.retryable
    assert len(sound(events)) == 2 * 6400
    assert [word.text for word in words(events)] == (LONG.split()[:2] if has_times else [])
