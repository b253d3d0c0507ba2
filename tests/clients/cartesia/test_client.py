"""The client over real sockets: opening, sharing, replacing and closing them, and whole texts over HTTP."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.clients.breaker import CircuitBreaker, Permit
from app.clients.cartesia.client import CartesiaOptions, CartesiaTTSClient
from app.clients.limiter import RequestLimiter
from app.clients.resilient import RetryPolicy
from app.errors import (
    BreakerOpen,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    Throttled,
)
from app.models import VoiceConfig
from app.ports.streams import VoiceAudio
from tests.clients.cartesia.server import CartesiaServer, Line, bytes_server, cartesia_server, sound_of

VOICE = VoiceConfig(voice_id="voice-1", model="sonic-3.5", language="ru", sample_rate=8000)
MULAW = VoiceConfig(voice_id="voice-1", model="sonic-3.5", language="ru", encoding="mulaw", sample_rate=8000)
IMPATIENT = RetryPolicy(attempts=2, initial_seconds=0.001, max_seconds=0.05, jitter_seconds=0.0)
OK = (200, {"Content-Type": "audio/pcm"}, b"\x01\x02" * 50)


@asynccontextmanager
async def client_of(url: str, **options: Any) -> AsyncIterator[CartesiaTTSClient]:
    breaker, limiter = options.pop("breaker", None), options.pop("limiter", None)
    client = CartesiaTTSClient(
        api_key="key-1",
        base_url=url,
        options=CartesiaOptions(**options),
        retry=IMPATIENT,
        breaker=breaker,
        limiter=limiter,
    )
    try:
        yield client
    finally:
        await client.aclose()


async def sound(client: CartesiaTTSClient, text: str = "Да.", voice: VoiceConfig = VOICE) -> bytes:
    return b"".join([audio async for audio in client.synthesize_stream(text, voice)])


async def says_nothing(_line: Line, _request: dict[str, Any]) -> None:
    """A vendor that takes text and is silent."""


# --- the socket -------------------------------------------------------------------------------------------------


async def test_a_text_becomes_sound() -> None:
    async with cartesia_server() as server, client_of(server.url) as client:
        assert await sound(client, "Добрый день!") == sound_of("Добрый день!")


async def test_telephone_sound_is_asked_for_as_such() -> None:
    async with cartesia_server() as server, client_of(server.url) as client:
        assert await sound(client, "Да.", MULAW) == sound_of("Да.", sample_bytes=1)
        assert server.received[0]["output_format"] == {
            "container": "raw",
            "encoding": "pcm_mulaw",
            "sample_rate": 8000,
        }


async def test_a_format_that_does_not_exist_is_not_asked_for() -> None:
    async with cartesia_server() as server, client_of(server.url) as client:
        with pytest.raises(ValueError, match="sample rate"):
            client.utterance(VoiceConfig("v", "m", "ru", sample_rate=44100), call_id="c")
        assert server.handshakes == []


async def test_an_empty_text_is_silence_and_loses_nothing() -> None:
    async with cartesia_server() as server, client_of(server.url) as client:
        assert await sound(client, " … ") == b""
        assert server.handshakes == []
        assert client.get_metrics().requests == 0


async def test_the_handshake_carries_key_and_version_below_the_prefix() -> None:
    async with cartesia_server() as server, client_of(server.url) as client:
        await client.warm_up()

        assert server.paths == ["/cartesia/tts/websocket"]
        assert server.handshakes[0]["Authorization"] == "Bearer key-1"
        assert server.handshakes[0]["Cartesia-Version"] == "2026-08-14"
        assert "Sec-WebSocket-Extensions" not in server.handshakes[0]


async def test_one_socket_serves_warm_up_and_every_utterance() -> None:
    async with cartesia_server() as server, client_of(server.url) as client:
        await client.warm_up()
        await client.warm_up()
        for _ in range(3):
            await sound(client)
        assert len(server.handshakes) == 1


async def test_all_who_wait_for_a_socket_share_one_opening() -> None:
    async with cartesia_server() as server, client_of(server.url) as client:
        async with asyncio.TaskGroup() as tasks:
            sounds = [tasks.create_task(sound(client), name=f"speak-{n}") for n in range(5)]
        assert {task.result() for task in sounds} == {sound_of("Да.")}
        assert len(server.handshakes) == 1


async def test_a_waiter_that_leaves_does_not_take_the_opening_from_the_others() -> None:
    async with cartesia_server() as server, client_of(server.url) as client:
        async with asyncio.TaskGroup() as tasks:
            leaving = tasks.create_task(client.warm_up(), name="leaves")
            staying = tasks.create_task(sound(client), name="stays")
            await asyncio.sleep(0)
            leaving.cancel()
        assert staying.result() == sound_of("Да.")
        assert len(server.handshakes) == 1


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (400, {}, ProviderRejected),
        (401, {}, ProviderRejected),
        (402, {}, ProviderRejected),
        (403, {}, ProviderRejected),
        (429, {"Retry-After": "3"}, ProviderRateLimited),
        (503, {}, ProviderUnavailable),
    ],
)
async def test_a_refused_handshake_is_the_utterances_error(
    status: int, headers: dict[str, str], expected: type[ProviderError]
) -> None:
    async with cartesia_server() as server, client_of(server.url) as client:
        server.refuses = (status, headers)
        with pytest.raises(expected) as caught:
            await sound(client)
        assert type(caught.value) is expected
        assert "key-1" not in str(caught.value)


async def test_a_refusal_with_a_wish_to_wait_keeps_everybody_away_for_that_long() -> None:
    async with cartesia_server() as server, client_of(server.url) as client:
        server.refuses = (429, {"Retry-After": "3"})
        with pytest.raises(ProviderRateLimited) as caught:
            await client.warm_up()
        assert caught.value.retry_after == 3.0
        with pytest.raises(BreakerOpen):
            await sound(client)
        assert len(server.handshakes) == 1


async def test_after_a_refused_handshake_the_next_utterance_tries_again() -> None:
    async with cartesia_server() as server, client_of(server.url) as client:
        server.refuses = (503, {})
        with pytest.raises(ProviderUnavailable):
            await sound(client)
        server.refuses = None
        assert await sound(client) == sound_of("Да.")


async def test_nobody_at_the_address_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with client_of(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(ProviderUnavailable):
            await sound(client)


async def test_a_handshake_that_is_not_answered_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with client_of(f"http://127.0.0.1:{silent.getsockname()[1]}", connect_seconds=0.05) as client:
            with pytest.raises(ProviderTimeout):
                await sound(client)


async def test_a_lost_socket_is_replaced_by_the_next_utterance() -> None:
    async with cartesia_server() as server, client_of(server.url) as client:
        await sound(client)
        await server.lines[0].closes(1000)
        await server.until(lambda: server.is_closed(0))
        assert await sound(client) == sound_of("Да.")
        assert len(server.handshakes) == 2


async def test_an_old_socket_lives_until_its_contexts_have_ended() -> None:
    async with cartesia_server() as server, client_of(server.url, recycle_seconds=0.0) as client:
        old = client.utterance(VOICE, call_id="old")
        await old.say("Раз.")
        await server.until(lambda: server.texts == ["Раз."])

        assert await sound(client, "Новый.") == sound_of("Новый.")
        assert not server.is_closed(0)
        await old.say(" Два.")
        await old.finish()

        heard = b"".join([event.audio async for event in old if isinstance(event, VoiceAudio)])
        assert heard == sound_of("Раз. Два.")
        await server.until(lambda: server.is_closed(0))
        assert len(server.handshakes) == 2


async def test_an_old_socket_that_was_used_lately_serves_on_while_its_successor_opens() -> None:
    async with cartesia_server() as server, client_of(server.url, recycle_seconds=0.1) as client:
        await client.warm_up()
        live = client.utterance(VOICE, call_id="live")
        while not server.texts or server.lines[0].connection.close_code is not None or len(server.handshakes) < 2:
            await live.say("Раз. ")
            assert await sound(client) == sound_of("Да.")
        await live.finish()

        heard = b"".join([event.audio async for event in live if isinstance(event, VoiceAudio)])
        assert heard == sound_of("Раз. " * (len(heard) // len(sound_of("Раз. "))))


async def test_warm_up_replaces_a_socket_that_is_old() -> None:
    async with cartesia_server() as server, client_of(server.url, recycle_seconds=0.0) as client:
        await client.warm_up()
        await client.warm_up()
        await server.until(lambda: len(server.lines) == 2 and server.is_closed(0))


# --- breaker and figures ----------------------------------------------------------------------------------------


async def test_while_the_breaker_is_open_no_text_is_sent() -> None:
    breaker = CircuitBreaker(threshold=1)
    async with cartesia_server() as server, client_of(server.url, breaker=breaker) as client:
        now = asyncio.get_running_loop().time()
        breaker.failed(Permit(now), now)
        utterance = client.utterance(VOICE, call_id="c")
        await utterance.say("Да.")
        await utterance.finish()
        with pytest.raises(BreakerOpen):
            [event async for event in utterance]
        assert server.handshakes == []
        assert client.get_metrics().requests == 0


async def test_every_utterance_is_one_attempt_measured_to_its_first_sound() -> None:
    async with cartesia_server() as server, client_of(server.url) as client:
        await sound(client)
        await sound(client)
        metrics = client.get_metrics()
        assert (metrics.requests, metrics.failures) == (2, 0)
        assert metrics.latency_p50 is not None
        assert 0 < metrics.latency_p50 < 1


async def test_health_tells_of_the_last_failure() -> None:
    async with cartesia_server(says_nothing) as server, client_of(server.url, first_audio_seconds=0.02) as client:
        with pytest.raises(ProviderTimeout):
            await sound(client)
        health = await client.health_check()
        assert (health.name, health.status, health.detail) == ("cartesia", "degraded", "provider_timeout")


# --- closing ----------------------------------------------------------------------------------------------------


async def closes_at_once(client: CartesiaTTSClient) -> None:
    async with asyncio.timeout(0.9):
        await client.aclose()


async def test_closing_fails_what_is_live() -> None:
    async with cartesia_server(says_nothing) as server, client_of(server.url) as client:
        utterance = client.utterance(VOICE, call_id="c")
        await utterance.say("Да.")
        async with asyncio.TaskGroup() as tasks:
            closing = tasks.create_task(closes_at_once(client), name="close")
            with pytest.raises(ProviderUnavailable):
                [event async for event in utterance]
        assert closing.done()
        await server.until(lambda: server.is_closed(0))


async def test_closing_does_not_wait_for_a_vendor_that_does_not_answer() -> None:
    async with cartesia_server() as server, client_of(server.url) as client:
        await client.warm_up()
        await server.until(lambda: len(server.lines) == 1)
        server.lines[0].connection.transport.pause_reading()
        await closes_at_once(client)
        server.lines[0].resets()


async def test_closing_ends_an_opening_that_is_under_way() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with client_of(f"http://127.0.0.1:{silent.getsockname()[1]}") as client, asyncio.TaskGroup() as tasks:
            speaking = tasks.create_task(unavailable_sound(client), name="speak")
            await asyncio.sleep(0)
            await closes_at_once(client)
        assert speaking.done()


async def unavailable_sound(client: CartesiaTTSClient) -> None:
    with pytest.raises(ProviderUnavailable):
        await sound(client)


async def test_a_closed_client_opens_nothing() -> None:
    async with cartesia_server() as server, client_of(server.url) as client:
        await client.aclose()
        with pytest.raises(ProviderUnavailable):
            await sound(client)
        assert server.handshakes == []


async def test_closing_twice_is_closing_once() -> None:
    async with cartesia_server() as server, client_of(server.url) as client:
        await client.warm_up()
        await client.aclose()
        await server.until(lambda: server.is_closed(0))


# --- HTTP -------------------------------------------------------------------------------------------------------


async def test_a_whole_text_is_spoken_by_http() -> None:
    async with bytes_server(OK) as server, client_of(server.url) as client:
        assert await client.synthesize_batch("Добрый день!", VOICE) == OK[2]

        line, headers, body = server.requests[0]
        assert line == "POST /cartesia/tts/bytes HTTP/1.1"
        assert headers["authorization"] == "Bearer key-1"
        assert headers["cartesia-version"] == "2026-08-14"
        assert body == {
            "model_id": "sonic-3.5",
            "transcript": "Добрый день!",
            "voice": {"id": "voice-1"},
            "language": "ru",
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
        }


async def test_half_a_sample_at_the_end_is_left_out() -> None:
    async with bytes_server((200, {}, b"\x01\x02\x03")) as server, client_of(server.url) as client:
        assert await client.synthesize_batch("Да.", VOICE) == b"\x01\x02"


async def test_an_empty_body_is_not_speech() -> None:
    async with bytes_server((200, {}, b"")) as server, client_of(server.url) as client:
        with pytest.raises(ProviderProtocolError):
            await client.synthesize_batch("Да.", VOICE)


async def test_a_server_error_is_tried_again() -> None:
    async with bytes_server((500, {}, b"{}"), OK) as server, client_of(server.url) as client:
        assert await client.synthesize_batch("Да.", VOICE) == OK[2]
        assert len(server.requests) == 2
        assert client.get_metrics().retries == 1


async def test_a_wrong_key_is_not_tried_again() -> None:
    async with bytes_server((401, {}, b"{}")) as server, client_of(server.url) as client:
        with pytest.raises(ProviderRejected) as caught:
            await client.synthesize_batch("Да.", VOICE)
        assert caught.value.status == 401
        assert len(server.requests) == 1


async def test_a_rate_limit_is_waited_for_and_tried_again() -> None:
    limited = (429, {"Retry-After": "0.02"}, b"{}")
    async with bytes_server(limited, OK) as server, client_of(server.url) as client:
        assert await client.synthesize_batch("Да.", VOICE) == OK[2]
        assert len(server.requests) == 2


async def test_what_the_vendor_says_about_the_text_is_in_no_error() -> None:
    prose = b'{"error_code":"bad_transcript","message":"cannot say my secret","request_id":"req-3"}'
    answer = (400, {"Content-Type": "application/json"}, prose)
    async with bytes_server(answer) as server, client_of(server.url) as client:
        with pytest.raises(ProviderRejected) as caught:
            await client.synthesize_batch("my secret", VOICE)
        assert str(caught.value) == "cartesia: status 400, bad_transcript"
        assert caught.value.request_id == "req-3"
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


async def test_a_lost_http_connection_is_unavailable_and_a_silent_one_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with client_of(url, batch_seconds=0.05) as client:
            with pytest.raises(ProviderTimeout):
                await client.synthesize_batch("Да.", VOICE)
    async with client_of(url) as client:
        with pytest.raises(ProviderUnavailable):
            await client.synthesize_batch("Да.", VOICE)


def test_the_scripted_server_speaks_every_character_apart() -> None:
    assert len(sound_of("ab")) == 2 * len(sound_of("a"))
    assert sound_of("ab") != sound_of("ba")
    assert CartesiaServer(says_nothing).texts == []


# --- the vendor's limit -----------------------------------------------------------------------------------------


async def test_texts_wait_for_one_another_where_the_plan_has_one_context() -> None:
    limiter = RequestLimiter(concurrent=1)
    async with cartesia_server() as server, client_of(server.url, limiter=limiter) as client:
        spoken = await asyncio.gather(*(sound(client, text) for text in ("Да.", "Нет.", "Хорошо.")))
    assert spoken == [sound_of(text) for text in ("Да.", "Нет.", "Хорошо.")]
    assert repr(limiter).startswith("<RequestLimiter provider 0 of 1, 0 wait")


@pytest.mark.parametrize("ends", ["cancelled", "failed", "closed"])
async def test_a_context_is_free_again_however_its_utterance_ends(ends: str) -> None:
    limiter = RequestLimiter(concurrent=1)
    options = {"first_audio_seconds": 0.05} if ends == "failed" else {}
    async with cartesia_server(says_nothing) as server, client_of(server.url, limiter=limiter, **options) as client:
        first = client.utterance(VOICE, call_id="call-1")
        await first.say("Секунду.")
        second = client.utterance(VOICE, call_id="call-2")
        if ends == "cancelled":
            await second.say("Да.")
            with pytest.raises(Throttled):
                [event async for event in second]
            first.cancel()
        elif ends == "failed":
            with pytest.raises(ProviderTimeout):
                [event async for event in first]
        else:
            await client.aclose()
        assert repr(limiter).startswith("<RequestLimiter provider 0 of 1")
        assert client.get_metrics().failures == (1 if ends == "failed" else 0)
