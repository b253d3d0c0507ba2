"""Clients that send nonsense, send too much, do not read, or vanish, while a good call goes on beside them."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Any

import pytest

from sandbox.caller.score import interrupts, says, waits_for_agent, waits_for_end
from tests.end_to_end.calls import END_CALL, QUIET, Held, hold, score, speak
from tests.end_to_end.lines import START, Line, ended_record_of, new_line, record_of, start
from tests.end_to_end.service import RunningService, service_in_thread

LONG_GREETING = "Расскажу вам всё по порядку, слушайте внимательно и не перебивайте. " * 4
GOOD = score(
    interrupts("Постойте!", after=0.3),
    waits_for_agent(QUIET),
    says("Расскажите ещё, пожалуйста."),
    waits_for_agent(QUIET),
    says("До свидания!"),
    waits_for_end(),
    replies=(
        {"text": "Хорошо, спрашивайте."},
        {"text": "Мы открыты каждый день с девяти утра до восьми вечера, приходите к нам."},
        {"text": "Всего доброго!", "tool_calls": END_CALL},
    ),
)

Outcome = tuple[str | None, int, dict[str, Any] | None]
"""Code of the error message, close code, record of the call if there is one."""
Evening = tuple[list[Held], dict[str, Outcome | Exception]]
Trouble = Callable[[RunningService], Awaitable[Outcome]]


def sending(*messages: Any) -> Trouble:
    """A client that sends these, and is not forgiven."""

    async def trouble(service: RunningService) -> Outcome:
        async with new_line(service) as line:
            for message in messages:
                await line.send(message)
                if message is START and not line.messages:
                    await line.until("ready")
            error, code = await line.error()
            return error, code, await _record(service, line)

    return trouble


async def says_nothing(service: RunningService) -> Outcome:
    async with new_line(service) as line:
        error, code = await line.error()
        return error, code, await _record(service, line)


async def falls_silent(service: RunningService) -> Outcome:
    async with new_line(service, START) as line:
        await line.be_silent(0.2)
        error, code = await line.error()
        return error, code, await ended_record_of(service, line.call_id)


async def vanishes(service: RunningService) -> Outcome:
    async with new_line(service, START) as line:
        await line.be_silent(0.2)
        line.abort()
        return None, 1006, await ended_record_of(service, line.call_id)


async def vanishes_before_start(service: RunningService) -> Outcome:
    async with new_line(service) as line:
        line.abort()
        return None, 1006, await _record(service, line)


async def closes_without_stop(service: RunningService) -> Outcome:
    async with new_line(service, START) as line:
        await line.socket.close(1000)
        return None, 1000, await ended_record_of(service, line.call_id)


async def never_reads(service: RunningService) -> Outcome:
    """The buffers of this machine are made small on both sides, or they would hold a minute of sound."""
    service.server.servers[0].sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", int(service.url.rpartition(":")[2])))
    async with new_line(service, start("pcm_s16le", 48000), sock=raw, max_queue=1) as line:
        sending_on = asyncio.get_running_loop().create_task(line.be_silent(30, 48000), name="never-reads")
        record = await ended_record_of(service, line.call_id, 20)
        sending_on.cancel()
        await asyncio.wait([sending_on])
        line.abort()
        return None, 1006, record


async def _record(service: RunningService, line: Line) -> dict[str, Any] | None:
    """None when there never was a call."""
    async with service.async_client() as http:
        answer = await http.get(f"/calls/{line.call_id}")
    return None if answer.status_code == 404 else await ended_record_of(service, line.call_id)


UNKNOWN = (
    {"type": "weather", "sky": "blue"},
    {"type": "dtmf", "digit": "5", "duration_ms": 100},
    {"type": "mark", "name": "of nobody"},
    {"type": "cleared", "played_samples": 10},
)
TROUBLES: dict[str, tuple[Trouble, str | None, int, str | None]] = {
    # name: what the client does, code of the error, close code, end reason of the call, None: there is no call
    "text that is not JSON, first": (sending("hello"), "bad_start", 1008, None),
    "a list instead of an object": (sending("[1]"), "bad_start", 1008, None),
    "audio before start": (sending(b"\x00" * 640), "bad_start", 1008, None),
    "a key before start": (sending({"type": "dtmf", "digit": "1"}), "bad_start", 1008, None),
    "an unknown encoding": (sending(start("opus", 48000)), "bad_format", 1003, None),
    "an unknown rate": (sending(start("pcm_s16le", 44100)), "bad_format", 1003, None),
    "mu-law of high rate": (sending(start("mulaw", 16000)), "bad_format", 1003, None),
    "a rate in words": (sending(start("pcm_s16le", "8000")), "bad_format", 1003, None),
    "no format": (sending({"type": "start"}), "bad_start", 1008, None),
    "no start": (says_nothing, "bad_start", 1008, None),
    "gone before start": (vanishes_before_start, None, 1006, None),
    "text that is not JSON, later": (sending(START, "{"), "bad_message", 1003, "media_lost"),
    "a second start": (sending(START, START), "bad_message", 1003, "media_lost"),
    "a key that no telephone has": (sending(START, {"type": "dtmf", "digit": "E"}), "bad_message", 1003, "media_lost"),
    "a number of samples below nothing": (
        sending(START, {"type": "cleared", "played_samples": -1}),
        "bad_message",
        1003,
        "media_lost",
    ),
    "half a sample, whose other half comes later": (
        sending(START, bytes(641), bytes(639), {"type": "stop"}),
        None,
        1000,
        "caller_hangup",
    ),
    "more than a second at once": (sending(START, bytes(2 * 16001)), "bad_message", 1003, "media_lost"),
    "ten seconds at once": (sending(START, *[bytes(16000)] * 20), "audio_too_fast", 1008, "media_lost"),
    "a frame of 10 MB": (sending(START, bytes(10 << 20)), None, 1009, "media_lost"),
    "a text of 10 MB, first": (sending("x" * (10 << 20)), None, 1009, None),
    "what is unknown, which is ignored": (
        sending(START, *UNKNOWN, b"", bytes(640), {"type": "stop", "why": "done"}),
        None,
        1000,
        "caller_hangup",
    ),
    "no audio for 10 s": (falls_silent, "media_timeout", 1008, "media_timeout"),
    "gone without a word": (vanishes, None, 1006, "media_lost"),
    "closed without stop": (closes_without_stop, None, 1000, "caller_hangup"),
    "never reads": (never_reads, None, 1006, "media_lost"),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("trouble"), leaping=True, greeting=LONG_GREETING) as running:
        yield running


@pytest.fixture(scope="module")
def evening(service: RunningService) -> Evening:
    """All the troubles at once, beside good calls."""

    async def all_at_once() -> Evening:
        async with asyncio.TaskGroup() as tasks:
            bad = {
                name: tasks.create_task(_outcome(service, trouble), name=name)
                for name, (trouble, *_) in TROUBLES.items()
            }
            good = tasks.create_task(_good_calls(service, bad.values()), name="good calls")
        return good.result(), {name: task.result() for name, task in bad.items()}

    return service.run(all_at_once())


async def _good_calls(service: RunningService, troubles: Collection[asyncio.Task[Any]]) -> list[Held]:
    """One after another, until no trouble is left."""
    calls: list[Held] = []
    while not calls or not all(trouble.done() for trouble in troubles):
        calls.append(await hold(service, GOOD))
    return calls


async def _outcome(service: RunningService, trouble: Trouble) -> Outcome | Exception:
    """An error of one client is not the others' affair."""
    try:
        async with asyncio.timeout(120):
            return await trouble(service)
    except Exception as error:  # noqa: BLE001 - it is shown by the test of this client
        return error


@pytest.mark.parametrize("name", TROUBLES)
def test_a_client_that_breaks_the_protocol_gets_an_error_and_is_closed(evening: Evening, name: str) -> None:
    _, error, close_code, end_reason = TROUBLES[name]
    outcome = evening[1][name]
    assert not isinstance(outcome, Exception), repr(outcome)
    outcome_error, outcome_code, record = outcome
    assert (outcome_error, outcome_code) == (error, close_code)
    assert (record and record["end_reason"]) == end_reason
    if record:
        assert record["fault"] == ("none" if end_reason == "caller_hangup" else "carrier")


def test_the_good_calls_beside_them_notice_nothing(evening: Evening) -> None:
    for good in evening[0]:
        _went_well(good)


def _went_well(good: Held) -> None:
    assert (good.record["end_reason"], good.record["fault"], good.report.completed) == ("agent_hangup", "none", True)
    assert good.said("user") == ["Постойте!", "Расскажите ещё, пожалуйста.", "До свидания!"]
    said = [(turn["kind"], turn["interrupted"]) for turn in good.record["turns"] if turn["role"] == "assistant"]
    notice = ("notice", False)  # what the caller who cut in has not heard of the greeting
    assert said == [("greeting", True), notice, ("reply", False), ("reply", False), ("reply", False)]
    assert max(good.report.responses) < 1.5


def test_no_call_is_left_and_no_crash_was_seen(service: RunningService, evening: Evening) -> None:
    assert service.services.dispatcher.live_calls == 0
    with service.client() as http:
        reasons = {call["end_reason"] for call in http.get("/calls?limit=200").json()["calls"]}
        assert reasons == {"agent_hangup", "media_lost", "media_timeout", "caller_hangup"}
        assert "voice_calls_active 0.0" in http.get("/metrics").text


def test_audio_may_come_before_ready_and_is_kept(service: RunningService) -> None:
    service.run(_speaks_before_ready(service))


async def _speaks_before_ready(service: RunningService) -> None:
    async with new_line(service) as line:
        await line.send(START)
        await line.send(speak("Алло, здравствуйте!", "ru", 16000)[:32000])
        await line.until("ready")
        await line.be_silent(0.3)
        await line.send({"type": "stop"})
        assert await line.closed() == 1000
        record = await ended_record_of(service, line.call_id)
    async with service.async_client() as http:
        wav = (await http.get(f"/calls/{line.call_id}/recording")).content
        events = (await http.get(f"/calls/{line.call_id}/events")).json()["events"]
    assert record["recording_available"]
    assert any(row["type"] == "caller.sound_started" for row in events)
    assert len(wav) > 44


def test_a_record_grows_while_the_call_lives(service: RunningService) -> None:
    service.run(_watches_the_record(service))


async def _watches_the_record(service: RunningService) -> None:
    async with new_line(service, {**START, "events": True}) as line:
        first = await line.until("event")
        assert (first["event"]["seq"], first["event"]["type"]) == (1, "call.created")
        speaking = asyncio.get_running_loop().create_task(line.be_silent(5), name="silence")
        async with asyncio.timeout(30):
            while not (record := await record_of(service, line.call_id))["turns"]:
                await line.until("event")
        assert (record["status"], record["end_reason"], record["ended_at"]) == ("active", None, None)
        assert record["turns"][0]["role"] == "assistant"
        assert record["answered_at"] is not None
        speaking.cancel()
        await asyncio.wait([speaking])
