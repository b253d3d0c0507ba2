"""The websocket leg with a socket in memory, in virtual time: what the client sees, and when the leg gives up on it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from media.dialects.native import NativeProtocol
from media.dialects.protocol import Started
from media.formats import AudioFormat
from media.legs.websocket import WebSocketLeg, wait_for_start
from tests.media.socket_in_memory import Caller, Socket, settled

VIRTUAL_TIME = True

START = json.dumps({"type": "start", "format": {"encoding": "pcm_s16le", "sample_rate": 8000}})
FRAME = b"\x01\x02" * 160
SECOND = b"\x01\x02" * 8000


async def started(socket: Socket) -> tuple[NativeProtocol, Started | None]:
    protocol = NativeProtocol(asyncio.get_running_loop().time())
    return protocol, await wait_for_start(socket, protocol)


async def accepted(socket: Socket) -> WebSocketLeg:
    protocol, start = await started(socket)
    assert start is not None
    return WebSocketLeg(socket, protocol, start.format, "call-1", shown=lambda row: row)


@asynccontextmanager
async def running(socket: Socket, caller: Caller) -> AsyncIterator[WebSocketLeg]:
    """A leg that is answered; hung up at the end."""
    leg = await accepted(socket)
    await leg.answer("call-1")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(leg.run(caller), name="leg")
        yield leg
        await leg.hang_up("agent_hangup")


# --- how it begins ----------------------------------------------------------------------------------------------------


async def test_audio_that_came_before_the_answer_is_kept() -> None:
    socket, caller = Socket(START, FRAME, FRAME), Caller()

    async with running(socket, caller) as leg:
        await settled()

    assert leg.audio_format == AudioFormat("pcm_s16le", 8000)
    assert caller.received[:2] == [("hear", FRAME), ("hear", FRAME)]
    assert socket.sent[0] == {
        "type": "ready",
        "call_id": "call-1",
        "format": {"encoding": "pcm_s16le", "sample_rate": 8000},
    }


@pytest.mark.parametrize(
    ("message", "code", "close"),
    [
        ("nonsense", "bad_start", 1008),
        (FRAME, "bad_start", 1008),
        ('{"type": "start", "format": {"encoding": "opus", "sample_rate": 8000}}', "bad_format", 1003),
    ],
)
async def test_a_client_that_does_not_start_gets_an_error_and_is_closed(message: str, code: str, close: int) -> None:
    socket = Socket(message)

    assert (await started(socket))[1] is None

    assert [(sent["type"], sent["code"]) for sent in socket.sent] == [("error", code)]
    assert socket.closes == [close]


async def test_a_client_that_says_nothing_is_closed_after_five_seconds() -> None:
    socket, began = Socket(), asyncio.get_running_loop().time()

    assert (await started(socket))[1] is None

    assert asyncio.get_running_loop().time() - began == pytest.approx(5, abs=0.1)
    assert socket.closes == [1008]


async def test_a_client_that_leaves_before_it_starts_leaves_nothing() -> None:
    socket = Socket()
    socket.goes(1006)

    assert (await started(socket))[1] is None


async def test_a_call_without_a_place_gets_an_end_and_a_normal_close() -> None:
    socket = Socket(START)
    leg = await accepted(socket)

    await leg.refuse("rejected_capacity")

    assert socket.sent == [{"type": "end", "reason": "rejected_capacity"}]
    assert socket.closes == [1000]


# --- what flows -------------------------------------------------------------------------------------------------------


async def test_what_the_client_sends_reaches_the_caller_side() -> None:
    socket, caller = Socket(START), Caller()
    async with running(socket, caller) as leg:
        leg.send_mark("speech-1")
        leg.send_clear()
        leg.send_clear()
        socket.says({"type": "dtmf", "digit": "5"})
        socket.says({"type": "mark", "name": "speech-1"})
        socket.says({"type": "cleared", "played_samples": 77})
        socket.says({"type": "cleared"})
        await settled()

    assert caller.received == [("press", "5"), ("mark", "speech-1"), ("cleared", 77), ("cleared", None)]


async def test_messages_are_sent_in_the_order_they_were_queued() -> None:
    socket = Socket(START)
    async with running(socket, Caller()) as leg:
        leg.send_audio(FRAME)
        leg.send_mark("speech-1")
        leg.send_event({"seq": 1})
        leg.send_audio(FRAME)

    assert socket.sent_types() == ["ready", "audio", "mark", "event", "audio", "end"]


async def test_a_clear_overtakes_the_audio_that_waits_and_takes_its_marks_along() -> None:
    socket = Socket(START)
    async with running(socket, Caller()) as leg:
        await settled()
        socket.stops_reading()
        leg.send_audio(FRAME)
        await settled()
        leg.send_audio(FRAME)
        leg.send_mark("speech-1")
        leg.send_audio(FRAME)
        leg.send_clear()
        socket.reads_again()
        await settled()

    assert socket.sent_types() == ["ready", "audio", "clear", "end"]


# --- how it ends ------------------------------------------------------------------------------------------------------


async def test_hanging_up_says_the_end_and_closes() -> None:
    socket = Socket(START)
    async with running(socket, Caller()) as leg:
        await leg.hang_up("agent_hangup")
        await leg.hang_up("caller_hangup")

    assert socket.sent[-1] == {"type": "end", "reason": "agent_hangup"}
    assert socket.closes == [1000]


async def test_nothing_is_sent_after_the_end() -> None:
    socket = Socket(START)
    async with running(socket, Caller()) as leg:
        await leg.hang_up("agent_hangup")
        leg.send_audio(FRAME)
        leg.send_clear()

    assert socket.sent_types() == ["ready", "end"]


async def test_a_client_that_stops_is_ended_and_closed() -> None:
    socket, caller = Socket(START), Caller()
    async with running(socket, caller) as leg:
        socket.says({"type": "stop"})
        await caller.left.wait()
        await leg.hang_up("caller_hangup")

    assert caller.reasons == ["caller_hangup"]
    assert socket.sent[-1] == {"type": "end", "reason": "caller_hangup"}
    assert socket.closes == [1000]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1000, "caller_hangup"),
        (1001, "caller_hangup"),
        (1005, "caller_hangup"),
        (1006, "caller_hangup"),
        (1011, "media_lost"),
    ],
)
async def test_a_websocket_that_closes_tells_why_the_caller_is_gone(code: int, reason: str) -> None:
    socket, caller = Socket(START), Caller()
    leg = await accepted(socket)
    socket.goes(code)

    async with asyncio.timeout(1):
        await leg.run(caller)

    assert caller.reasons == [reason]


async def test_a_caller_whose_socket_is_reset_while_the_agent_speaks_has_hung_up() -> None:
    socket, caller = Socket(START), Caller()
    async with running(socket, caller) as leg:
        await settled()
        socket.is_reset = True
        leg.send_audio(FRAME)
        await caller.left.wait()

    assert (caller.reasons, caller.details) == (["caller_hangup"], ["closed with 1006"])


async def test_a_client_that_says_why_it_goes_is_believed_though_a_write_fails_first() -> None:
    socket, caller = Socket(START), Caller()
    async with running(socket, caller) as leg:
        await settled()
        socket.is_reset = True
        leg.send_audio(FRAME)
        await settled()
        socket.goes(1011)
        await caller.left.wait()

    assert (caller.reasons, caller.details) == (["media_lost"], ["closed with 1011"])


async def test_what_is_refused_is_logged_with_what_to_do() -> None:
    socket, caller = Socket(START.replace('"pcm_s16le"', '"mulaw"')), Caller()
    with capture_logs() as logs:
        async with running(socket, caller):
            for _ in range(80):
                socket.says(FRAME)
                await asyncio.sleep(0.01)

    (line,) = [line for line in logs if line["event"] == "media.refused"]
    assert (line["log_level"], line["dialect"], line["code"], line["call_id"]) == (
        "warning",
        "native",
        "audio_too_fast",
        "call-1",
    )
    assert line["reason"] == "more than 2 s ahead of real time; four times real time: is it 16-bit?"
    assert line["advice"].startswith("send sound as it is made")
    assert caller.details == ["audio_too_fast: four times real time: is it 16-bit?"]
    assert socket.sent[-1]["message"] == line["reason"]


async def test_a_client_that_does_not_start_is_logged_once() -> None:
    with capture_logs() as logs:
        await started(Socket("nonsense"))

    assert [(line["event"], line["code"]) for line in logs] == [("media.refused", "bad_start")]


async def test_what_meant_nothing_is_counted_in_one_line_at_the_end() -> None:
    socket = Socket(START, json.dumps({"type": "later"}), json.dumps({"type": "later"}), b"")
    with capture_logs() as logs:
        async with running(socket, Caller()):
            await settled()

    assert [(line["event"], line["count"]) for line in logs] == [("media.ignored", 3)]


async def test_a_caller_may_be_on_hold_for_as_long_as_the_setting_allows() -> None:
    socket, caller = Socket(START), Caller()
    protocol = NativeProtocol(asyncio.get_running_loop().time(), media_timeout_seconds=25)
    start = await wait_for_start(socket, protocol)
    assert start is not None
    leg = WebSocketLeg(socket, protocol, start.format, "call-1")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(leg.run(caller), name="leg")
        await asyncio.sleep(20)
        socket.says(FRAME)
        await settled()
        assert caller.received == [("hear", FRAME)]
        began = asyncio.get_running_loop().time()
        await caller.left.wait()
        assert asyncio.get_running_loop().time() - began == pytest.approx(25, abs=0.1)
        await leg.hang_up("media_timeout")

    assert (caller.reasons, socket.sent[-1]["message"]) == (["media_timeout"], "no audio for 25 s")


async def test_a_client_that_sends_no_audio_for_ten_seconds_is_timed_out() -> None:
    socket, caller = Socket(START), Caller()
    async with running(socket, caller):
        began = asyncio.get_running_loop().time()
        await caller.left.wait()
        assert asyncio.get_running_loop().time() - began == pytest.approx(10, abs=0.1)

    assert caller.reasons == ["media_timeout"]
    assert socket.sent[-1]["code"] == "media_timeout"
    assert socket.closes == [1008]


@pytest.mark.parametrize(
    ("message", "sent", "close"),
    [
        ("{", "bad_message", 1003),
        ('{"type": "dtmf", "digit": "x"}', "bad_message", 1003),
        (SECOND + FRAME, "bad_message", 1003),
        (b"\x00" * 200_000, None, 1009),
    ],
)
async def test_a_wrong_message_is_answered_with_its_error_and_close_code(
    message: str | bytes, sent: str | None, close: int
) -> None:
    socket, caller = Socket(START), Caller()
    async with running(socket, caller):
        socket.says(message)
        await caller.left.wait()

    assert (caller.reasons, caller.details) == (["media_lost"], [sent or f"closed with {close}"])
    assert [sent["code"] for sent in socket.sent if sent["type"] == "error"] == ([sent] if sent else [])
    assert socket.closes == [close]


async def test_a_client_that_is_too_fast_is_closed() -> None:
    socket, caller = Socket(START), Caller()
    async with running(socket, caller):
        for _ in range(4):
            socket.says(SECOND)
        await caller.left.wait()

    assert socket.sent[-1]["code"] == "audio_too_fast"
    assert socket.closes == [1008]


async def test_a_bug_on_the_caller_side_ends_the_stream_as_internal_and_is_raised() -> None:
    socket, caller = Socket(START, FRAME), Caller()
    caller.bug = ZeroDivisionError("a bug")
    leg = await accepted(socket)

    with pytest.raises(ZeroDivisionError):
        await leg.run(caller)

    assert caller.reasons == ["media_lost"]
    assert socket.sent[-1]["code"] == "internal"
    assert socket.closes == [1011]


# --- a client that does not read --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "most"), [("audio", 252), ("events", 2002)])
async def test_a_client_that_never_reads_is_given_up_before_much_waits(kind: str, most: int) -> None:
    """After 5 s of audio, or 2,000 messages; one more is on its way."""
    socket, caller, given = Socket(START), Caller(), 0
    leg = await accepted(socket)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(leg.run(caller), name="leg")
        await settled()
        socket.stops_reading()
        while not caller.left.is_set() and given < 10_000:
            if kind == "audio":
                leg.send_audio(FRAME)
            else:
                leg.send_event({"seq": given})
            given += 1
            await asyncio.sleep(0)
        began = asyncio.get_running_loop().time()
        await leg.hang_up("media_lost")

    assert caller.reasons == ["media_lost"]
    assert most - 2 <= given <= most
    assert socket.closes == [1011]
    assert asyncio.get_running_loop().time() - began < 0.1


async def test_hanging_up_on_a_client_that_does_not_read_takes_two_seconds_at_most() -> None:
    socket = Socket(START)
    leg = await accepted(socket)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(leg.run(Caller()), name="leg")
        await settled()
        socket.stops_reading()
        leg.send_audio(FRAME)
        began = asyncio.get_running_loop().time()
        await asyncio.gather(leg.hang_up("agent_hangup"), leg.hang_up("agent_hangup"))

    assert asyncio.get_running_loop().time() - began == pytest.approx(2.0, abs=0.01)
    assert socket.closes == [1000]


async def test_a_leg_that_was_hung_up_before_it_ran_is_still_closed() -> None:
    """The call ended before the client was read for the first time."""
    socket = Socket(START)
    leg = await accepted(socket)
    await leg.hang_up("internal_error")

    async with asyncio.timeout(1):
        await leg.run(Caller())

    assert socket.closes == [1000]
