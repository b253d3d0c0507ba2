"""A call over one socket after another, in virtual time: what its client sees, and what the call is told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from media.dialects.native import NativeProtocol
from media.legs.resumable import RESUME_SECONDS, ResumableLeg
from media.legs.websocket import WebSocketLeg, wait_for_start
from tests.media.socket_in_memory import Caller, Socket, settled

VIRTUAL_TIME = True

START = json.dumps({"type": "start", "format": {"encoding": "pcm_s16le", "sample_rate": 8000}, "events": True})
FRAME = b"\x01\x02" * 160


async def over(socket: Socket) -> WebSocketLeg:
    protocol = NativeProtocol(asyncio.get_running_loop().time())
    start = await wait_for_start(socket, protocol)
    assert start is not None
    return WebSocketLeg(socket, protocol, start.format, "call-1", shown=lambda row: row, is_resumable=True)


@asynccontextmanager
async def running(socket: Socket, caller: Caller) -> AsyncIterator[ResumableLeg]:
    tokens = iter(["first", "second", "third"])

    async def new_token(_used: str | None) -> str | None:
        return next(tokens)

    leg = ResumableLeg(await over(socket), "call-1", new_token=new_token)
    await leg.answer("call-1")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(leg.run(caller), name="leg")
        await settled()
        yield leg
        await leg.hang_up("agent_hangup")


async def test_a_socket_that_is_lost_is_replaced_and_the_client_misses_no_row() -> None:
    first, second, caller = Socket(START), Socket(START, FRAME), Caller()
    async with running(first, caller) as leg:
        leg.send_event({"seq": 1})
        await settled()
        first.goes(1006)
        await settled()
        leg.send_event({"seq": 2})
        leg.send_audio(FRAME)
        await asyncio.sleep(3)
        await leg.resume(await over(second), "first")
        leg.send_event({"seq": 3})
        await settled()

    assert first.sent[0]["resume_token"] == "first"
    ready, *others = second.sent
    assert (ready["type"], ready["resumed"], ready["resume_token"]) == ("ready", True, "second")
    assert [sent["event"]["seq"] for sent in others if sent["type"] == "event"] == [2, 3]
    assert [name for name, _ in caller.received if "line" in name] == ["lost_line", "regained_line"]
    assert dict(caller.received)["regained_line"] == pytest.approx(3, abs=0.1)
    assert ("hear", FRAME) in caller.received
    assert second.closes == [1000]


async def test_a_client_that_does_not_come_back_has_lost_its_call() -> None:
    socket, caller = Socket(START), Caller()
    async with running(socket, caller):
        socket.goes(1006)
        await asyncio.sleep(RESUME_SECONDS + 1)

    assert (caller.reasons, caller.details) == (["media_lost"], ["closed with 1006"])


@pytest.mark.parametrize("code", [1000, 1001, 1005])
async def test_a_client_that_closes_its_socket_has_hung_up(code: int) -> None:
    socket, caller = Socket(START), Caller()
    async with running(socket, caller):
        socket.goes(code)
        await settled()

    assert (caller.reasons, caller.details) == (["caller_hangup"], [f"closed with {code}"])


async def test_a_socket_that_only_its_client_knows_to_be_lost_is_replaced_too() -> None:
    first, second, caller = Socket(START), Socket(START), Caller()
    async with running(first, caller) as leg:
        await leg.resume(await over(second), "first")
        await settled()
        leg.send_audio(FRAME)
        await settled()

    assert FRAME in second.sent
    assert FRAME not in first.sent
    assert first.closes == [1000]
    assert caller.reasons == []


async def test_a_call_that_ends_while_its_client_is_away_waits_for_nobody() -> None:
    socket, caller = Socket(START), Caller()
    began = asyncio.get_running_loop().time()
    async with running(socket, caller):
        socket.goes(1006)
        await settled()

    assert asyncio.get_running_loop().time() - began < 1


async def test_what_a_client_says_it_has_played_counts_from_its_own_beginning_so_it_is_estimated() -> None:
    first, second, caller = Socket(START), Socket(START), Caller()
    async with running(first, caller) as leg:
        leg.send_clear()
        await settled()
        first.goes(1006)
        await settled()
        await leg.resume(await over(second), "first")
        leg.send_clear()
        second.says({"type": "cleared", "played_samples": 7})
        await settled()

    assert [count for name, count in caller.received if name == "cleared"] == [None, None]
