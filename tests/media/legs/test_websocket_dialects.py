"""The websocket leg with far ends that are not our own: what differs for the caller's side, in virtual time."""

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from media.dialects.egress import EGRESS_FORMAT, EgressProtocol
from media.dialects.twilio import TwilioProtocol
from media.legs.websocket import WebSocketLeg, wait_for_start
from tests.media.dialects.test_twilio import CONNECTED, SID, media, message, start
from tests.media.socket_in_memory import Caller, Socket, settled

VIRTUAL_TIME = True

FRAME = b"\x7f" * 160


@asynccontextmanager
async def running(leg: WebSocketLeg, caller: Caller) -> AsyncIterator[None]:
    """Answered; hung up at the end."""
    await leg.answer("call-1")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(leg.run(caller), name="leg")
        yield
        await leg.hang_up("agent_hangup")


async def twilio_leg(socket: Socket) -> WebSocketLeg:
    protocol = TwilioProtocol(asyncio.get_running_loop().time())
    started = await wait_for_start(socket, protocol)
    assert started is not None
    return WebSocketLeg(socket, protocol, started.format, started.claims["call_id"])


def events_of(socket: Socket) -> list[Any]:
    return [sent["event"] for sent in socket.sent]


async def test_twilio_gets_the_agents_audio_and_nothing_else() -> None:
    socket, caller = Socket(CONNECTED, start()), Caller()
    leg = await twilio_leg(socket)
    async with running(leg, caller):
        leg.send_audio(FRAME)
        leg.send_mark("speech-1")
        leg.send_event({"seq": 1})
        socket.says(media(FRAME))
        socket.says(message("dtmf", {"digit": "5"}))
        socket.says(message("mark", {"name": "speech-1"}))
        await settled()

    assert events_of(socket) == ["media", "mark"]
    assert b64decode(socket.sent[0]["media"]["payload"]) == FRAME
    assert {sent["streamSid"] for sent in socket.sent} == {SID}
    assert caller.received == [("hear", FRAME), ("press", "5"), ("mark", "speech-1")]
    assert socket.closes == [1000]


async def test_a_clear_overtakes_what_waits_for_twilio_and_is_answered_for_it() -> None:
    socket, caller = Socket(CONNECTED, start()), Caller()
    leg = await twilio_leg(socket)
    async with running(leg, caller):
        socket.stops_reading()
        leg.send_audio(FRAME)
        await settled()
        leg.send_audio(FRAME)
        leg.send_mark("speech-1")
        leg.send_clear()
        socket.reads_again()
        await settled()
        socket.says(message("mark", {"name": "speech-1"}))
        await settled()

    assert events_of(socket) == ["media", "clear"]
    assert caller.received == [("cleared", None)]


async def test_twilio_not_reading_five_seconds_of_sound_is_given_up() -> None:
    socket, caller, given = Socket(CONNECTED, start()), Caller(), 0
    leg = await twilio_leg(socket)
    async with running(leg, caller):
        socket.stops_reading()
        while not caller.left.is_set() and given < 1000:
            leg.send_audio(FRAME)
            given += 1
            await asyncio.sleep(0)

    assert caller.reasons == ["media_lost"]
    assert 250 <= given <= 252


@pytest.mark.parametrize(("first", "code"), [("hello", 1008), (start(mediaFormat={}), 1003), ("x" * 200_000, 1009)])
async def test_twilio_gets_an_error_as_a_close_code_only(first: str, code: int) -> None:
    socket = Socket(CONNECTED, first)

    assert await wait_for_start(socket, TwilioProtocol(asyncio.get_running_loop().time())) is None

    assert (socket.sent, socket.closes) == ([], [code])


async def test_a_caller_who_hangs_up_at_twilio_has_left() -> None:
    socket, caller = Socket(CONNECTED, start()), Caller()
    leg = await twilio_leg(socket)
    async with running(leg, caller):
        socket.says(message("stop", {"callSid": "CA1"}))
        await caller.left.wait()

    assert caller.reasons == ["caller_hangup"]
    assert socket.closes == [1000]


async def test_an_egress_is_heard_and_never_spoken_to_until_it_closes_without_a_code() -> None:
    socket, caller = Socket(*[b"\x10\x00" * 960] * 10, '{"muted":true}', b"\x00" * 1920), Caller()
    leg = WebSocketLeg(socket, EgressProtocol(asyncio.get_running_loop().time()), EGRESS_FORMAT, "call-1")
    socket.goes(1005)
    async with running(leg, caller):
        leg.send_audio(b"\x00\x00")
        leg.send_clear()
        await caller.left.wait()

    assert sum(len(audio) for what, audio in caller.received if what == "hear") == pytest.approx(11 * 320, abs=500)
    assert caller.reasons == ["caller_hangup"]
    assert (socket.sent, socket.closes) == ([], [1000])


async def test_a_dialect_without_an_end_message_does_not_get_the_reason_of_a_refused_call() -> None:
    socket = Socket(CONNECTED, json.dumps(json.loads(start())))
    leg = await twilio_leg(socket)

    await leg.fail("bad_start", "the token opens no call")

    assert (socket.sent, socket.closes) == ([], [1008])
