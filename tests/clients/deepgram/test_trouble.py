"""Live streams that are cut, refused, stalled, or get nonsense."""

import asyncio
import itertools
import logging
import traceback
from typing import Any

import pytest

from app.clients.breaker import CircuitBreaker
from app.clients.limiter import RequestLimiter
from app.errors import (
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    Throttled,
)
from app.ports.streams import (
    StreamLost,
    StreamRestored,
    TurnEnded,
    TurnUpdated,
)
from tests.clients.deepgram.listening import NOVA, client_of, listening, read, rest, sound, speak
from tests.clients.deepgram.server import (
    answers,
    closes,
    deepgram,
    drops_after,
    flux,
    hangs,
    hears,
    nova,
    opens_only,
    stalls,
)

STEADY: dict[str, Any] = {"steady_seconds": 0.03}
"""The sockets of most of these tests hear without a word."""
LATE: dict[str, Any] = {"steady_seconds": 60.0}


# --- the loss of a socket ----------------------------------------------------------------------------------------


async def test_a_loss_in_a_turn_is_healed_without_a_gap_and_without_an_echo() -> None:
    first = drops_after(
        1.0,
        (0.4, flux("EndOfTurn", "алло", end=0.4)),
        (0.8, flux("Update", "запишите", start=0.4, end=0.8)),
    )
    second = hears((0.8, flux("EndOfTurn", "запишите меня", start=0.0, end=0.8)))
    async with deepgram(first, second) as server, listening(server, **STEADY) as stream:
        speak(stream, 0.0, 0.4)
        (ended,) = await read(stream, TurnEnded)
        speak(stream, 0.4, 1.0)
        lost, restored = await read(stream, StreamLost, StreamRestored)
        assert isinstance(lost.error, ProviderUnavailable)
        assert not lost.final
        assert 0 <= restored.gap_seconds < 1
        speak(stream, 1.0, 1.2)
        (ended,) = await read(stream, TurnEnded)
        assert ended.transcript.text == "запишите меня"
        assert [round(word.start, 2) for word in ended.transcript.words] == [0.4, 0.8]
        assert bytes(server.sessions[0].audio) == sound(0.0, 1.0)
        assert bytes(server.sessions[1].audio) == sound(0.4, 1.2)
        assert stream.dropped_seconds == 0.0
        assert stream.audio_seconds_sent == pytest.approx(1.8)


async def test_nova_repeats_only_what_was_not_final() -> None:
    first = drops_after(0.6, (0.4, nova("запишите меня", end=0.4, final=True)))
    second = hears((0.4, nova("на среду", start=0.0, end=0.4, final=True, speech_final=True)))
    async with deepgram(first, second) as server, listening(server, **STEADY, **NOVA) as stream:
        speak(stream, 0.0, 0.4)
        await read(stream, TurnUpdated)
        speak(stream, 0.4, 0.6)
        await read(stream, StreamLost, StreamRestored)
        speak(stream, 0.6, 0.8)
        (ended,) = await read(stream, TurnEnded)
        assert ended.transcript.text == "запишите меня на среду"
        assert [round(word.start, 2) for word in ended.transcript.words] == [0.0, 0.2, 0.4, 0.6]
        assert bytes(server.sessions[1].audio) == sound(0.4, 0.8)


async def test_a_turn_that_the_new_socket_hears_nothing_of_is_ended() -> None:
    first = drops_after(0.4, (0.4, nova("запишите меня", end=0.4, final=True)))
    async with deepgram(first) as server, listening(server, **STEADY, **NOVA, orphan_seconds=0.05) as stream:
        speak(stream, 0.0, 0.4)
        _, _, ended = await read(stream, StreamLost, StreamRestored, TurnEnded)
        assert ended.transcript.text == "запишите меня"


async def test_what_is_said_while_there_is_no_socket_is_kept_and_beyond_the_bound_counted() -> None:
    async with (
        deepgram(hangs(), hears()) as server,
        listening(server, **STEADY, replay_seconds=0.4, connect_seconds=0.1) as stream,
    ):
        speak(stream, 0.0, 1.0)
        await read(stream, StreamLost, StreamRestored)
        await server.until(lambda: server.sessions[-1].seconds >= 0.4)
        assert bytes(server.sessions[1].audio) == sound(0.6, 1.0)
        assert stream.dropped_seconds == pytest.approx(0.6)


async def test_a_socket_that_does_not_open_in_time_is_tried_again() -> None:
    async with deepgram(hangs(), hears()) as server, listening(server, **STEADY, connect_seconds=0.1) as stream:
        lost, restored = await read(stream, StreamLost, StreamRestored)
        assert isinstance(lost.error, ProviderTimeout)
        assert restored.gap_seconds >= 0.1


async def test_a_connection_that_died_without_a_word_is_found_by_its_missing_pong() -> None:
    async with (
        deepgram(stalls(), hears((0.2, flux("EndOfTurn", "алло")))) as server,
        listening(server, **STEADY, ping_interval_seconds=0.05, ping_timeout_seconds=0.05) as stream,
    ):
        speak(stream, 0.0, 0.2)
        lost, _, ended = await read(stream, StreamLost, StreamRestored, TurnEnded)
        assert isinstance(lost.error, ProviderTimeout)
        assert ended.transcript.text == "алло"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
async def test_a_refusal_for_good_ends_the_stream_at_once(status: int) -> None:
    refusal = answers(status, dg_error="Invalid credentials.", dg_request_id="abc")
    async with deepgram(refusal) as server, listening(server, **STEADY) as stream:
        (lost,) = await rest(stream)
        assert isinstance(lost, StreamLost)
        assert lost.final
        assert isinstance(lost.error, ProviderRejected)
        assert lost.error.status == status
        assert "Invalid credentials." in str(lost.error)
        assert len(server.sessions) == 1


async def test_a_time_to_wait_is_honoured() -> None:
    loop = asyncio.get_running_loop()
    async with deepgram(answers(429, retry_after="0.3"), hears()) as server, listening(server, **STEADY) as stream:
        began = loop.time()
        (lost,) = await read(stream, StreamLost)
        assert isinstance(lost.error, ProviderRateLimited)
        assert lost.error.retry_after == 0.3
        await read(stream, StreamRestored)
        assert loop.time() - began >= 0.3
        assert len(server.sessions) == 2


async def test_a_stream_waits_for_a_socket_where_the_plan_has_no_more() -> None:
    limiter = RequestLimiter(concurrent=1)
    async with deepgram(hears(), hears()) as server:
        client = client_of(server, limiter=limiter, **STEADY)
        async with client.listen(call_id="call-1") as first:
            await asyncio.sleep(0)  # the first to ask
            async with client.listen(call_id="call-2") as second:
                (lost,) = await read(second, StreamLost)
                assert isinstance(lost.error, Throttled)
                assert not lost.final
                assert len(server.sessions) == 1
                await first.aclose()
                await read(second, StreamRestored)
        assert repr(limiter).startswith("<RequestLimiter provider 0 of 1")
        await client.aclose()


async def test_a_time_to_wait_beyond_the_end_of_all_attempts_is_not_waited_for() -> None:
    async with deepgram(answers(429, retry_after="60")) as server, listening(server, **STEADY) as stream:
        (lost,) = await rest(stream)
        assert isinstance(lost, StreamLost)
        assert lost.final


@pytest.mark.parametrize("wish", ["soon", "-1", "inf"])
async def test_a_time_to_wait_that_is_none_is_passed_over(wish: str) -> None:
    async with deepgram(answers(429, retry_after=wish), hears()) as server, listening(server, **STEADY) as stream:
        lost, _ = await read(stream, StreamLost, StreamRestored)
        assert lost.error.retry_after is None


async def test_a_vendor_that_recovers_is_one_outage() -> None:
    stages = [answers(503), answers(500), hears((0.1, flux("EndOfTurn", "алло")))]
    async with deepgram(*stages) as server, listening(server, **STEADY) as stream:
        speak(stream, 0.0, 0.1)
        lost, _, _ = await read(stream, StreamLost, StreamRestored, TurnEnded)
        assert isinstance(lost.error, ProviderUnavailable)
        assert len(server.sessions) == 3


async def test_an_open_breaker_does_not_end_a_stream_that_it_lets_through_in_time() -> None:
    breaker = CircuitBreaker(threshold=1, recovery_seconds=0.2)
    async with deepgram(answers(503), hears()) as server, listening(server, **STEADY, breaker=breaker) as stream:
        await read(stream, StreamLost, StreamRestored)
        assert len(server.sessions) == 2
        assert breaker.opens == 1


async def test_attempts_end_after_the_time_for_them() -> None:
    async with deepgram(*[answers(503)] * 50) as server, listening(server, **STEADY, give_up_seconds=0.3) as stream:
        first, last = await rest(stream)
        assert isinstance(first, StreamLost)
        assert isinstance(last, StreamLost)
        assert (first.final, last.final) == (False, True)


async def test_sockets_that_open_only_to_close_are_one_outage() -> None:
    async with (
        deepgram(*[closes(1011, "NET-0001")] * 50) as server,
        listening(server, **LATE, give_up_seconds=0.4) as stream,
    ):
        first, last = await rest(stream)
        assert isinstance(first, StreamLost)
        assert isinstance(last, StreamLost)
        assert (first.final, last.final) == (False, True)
        assert len(server.sessions) < 10


async def test_sockets_that_are_cut_as_soon_as_they_hear_are_spaced_and_given_up_too() -> None:
    cut = drops_after(0.1, (0.1, flux("Update", "алло", end=0.1)))
    async with deepgram(*[cut] * 500) as server, listening(server, **LATE, give_up_seconds=1.0) as stream:
        speak(stream, 0.0, 0.1)
        events = await rest(stream)
        assert isinstance(events[-1], StreamLost)
        assert events[-1].final
        assert len(server.sessions) < 10
        assert len(events) < 30


async def test_a_socket_that_opens_and_does_not_greet_is_not_restored() -> None:
    """It is steady enough, but Flux greets, and what does not greet does not hear."""
    async with (
        deepgram(*[opens_only()] * 9) as server,
        listening(server, **STEADY, connect_seconds=0.2, give_up_seconds=0.6) as stream,
    ):
        first, last = await rest(stream)
        assert isinstance(first, StreamLost)
        assert isinstance(last, StreamLost)
        assert (first.final, last.final) == (False, True)


async def test_a_socket_that_hears_is_restored_before_its_words_are_told() -> None:
    stages = [answers(503), hears((0.1, flux("EndOfTurn", "алло")))]
    async with deepgram(*stages) as server, listening(server, **LATE) as stream:
        speak(stream, 0.0, 0.1)
        await read(stream, StreamLost, StreamRestored, TurnEnded)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("NET-0000", ProviderTimeout),
        ("NET-0001: no audio", ProviderUnavailable),
        ("DATA-0000", ProviderRejected),
        ("мой номер", ProviderUnavailable),
        ("", ProviderUnavailable),
    ],
)
async def test_a_close_is_distinguished_by_its_reason(reason: str, kind: type[Exception]) -> None:
    async with deepgram(closes(1011, reason)) as server, listening(server, **STEADY) as stream:
        event = await anext(stream)
        assert isinstance(event, StreamLost)
        assert type(event.error) is kind
        assert "номер" not in str(event.error)


async def test_a_normal_close_that_nobody_asked_for_is_a_loss() -> None:
    async with deepgram(closes(1000, "")) as server, listening(server, **STEADY) as stream:
        await read(stream, StreamLost, StreamRestored)
        assert len(server.sessions) == 2


# --- messages that are none --------------------------------------------------------------------------------------


async def test_garbage_is_passed_over_until_it_is_all_there_is() -> None:
    once = ("{", {"type": "SomethingNew"}, "[]", b"\x00", {"type": "Connected"}, "{", "{")
    says = [(0.0, message) for message in once]
    async with (
        deepgram(hears(*says, (0.1, flux("EndOfTurn", "алло")), *[(0.2, "<html>")] * 3)) as server,
        listening(server, **STEADY) as stream,
    ):
        speak(stream, 0.0, 0.1)
        await read(stream, TurnEnded)
        assert stream.ignored_messages == 6
        speak(stream, 0.1, 0.3)
        lost, _ = await read(stream, StreamLost, StreamRestored)
        assert isinstance(lost.error, ProviderProtocolError)
        assert len(server.sessions) == 2


async def test_a_fatal_error_of_flux_is_a_loss() -> None:
    says = [(0.0, {"type": "Error", "code": "INTERNAL_SERVER_ERROR", "description": "", "sequence_id": 1})]
    async with deepgram(hears(*says)) as server, listening(server, **STEADY) as stream:
        await read(stream, StreamLost, StreamRestored)
        assert len(server.sessions) == 2


# --- the end -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [hears(), stalls(), hangs(), answers(503)], ids=["hears", "stalls", "hangs", "503"])
async def test_leaving_takes_less_than_a_second_whatever_the_server_does(stage: Any) -> None:
    loop = asyncio.get_running_loop()
    async with deepgram(*itertools.repeat(stage, 5)) as server:
        async with listening(server, **STEADY, replay_seconds=0.2) as stream:
            speak(stream, 0.0, 0.2)
            await server.until(lambda: bool(server.sessions))
            if stage in (hears(), stalls()):
                async with asyncio.timeout(5):
                    await stream.room()
            began = loop.time()
            await stream.aclose()
            assert loop.time() - began < 1.0
            assert all(isinstance(event, StreamLost) for event in await rest(stream))
        assert {task.get_name() for task in asyncio.all_tasks()}.isdisjoint({"deepgram-stream", "deepgram-write"})


async def test_a_bug_of_ours_ends_the_iteration_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, position: int) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("app.clients.replay_buffer.ReplayBuffer.acknowledge", broken)
    async with deepgram(hears((0.1, flux("EndOfTurn", "алло")))) as server, listening(server, **STEADY) as stream:
        speak(stream, 0.0, 0.1)
        with pytest.raises(ExceptionGroup) as caught:
            await rest(stream)
        assert caught.group_contains(ZeroDivisionError)


async def test_the_client_counts_sockets_and_losses() -> None:
    async with deepgram(drops_after(0.1), hears()) as server:
        client = client_of(server, **STEADY)
        async with client.listen(call_id="call-1") as stream:
            speak(stream, 0.0, 0.1)
            await read(stream, StreamLost, StreamRestored)
        metrics = client.get_metrics()
        assert (metrics.requests, metrics.failures) == (2, 1)
        assert (await client.health_check()).status == "ok"
        await client.aclose()


async def test_the_callers_words_and_the_key_are_in_no_log(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    says = ((0.1, flux("EndOfTurn", "тайна")), (0.2, "тайна"), (0.2, "тайна"), (0.2, "тайна"))
    async with deepgram(hears(*says), answers(401)) as server, listening(server, **STEADY) as stream:
        speak(stream, 0.0, 0.2)
        lost = [event for event in await rest(stream) if isinstance(event, StreamLost)]
    said = [record.getMessage() for record in caplog.records if record.name != "websockets.server"]
    assert "stream.closed" in (output := "".join([*said, *capsys.readouterr()]))
    for secret in ("тайна", "Token key"):
        assert secret not in output
        assert all(secret not in "".join(traceback.format_exception(event.error)) for event in lost)
