"""A call of the service to itself: held to its end, and failed at each of its steps."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from app.clients.own_door import OwnCallFailed, Patience, call_own_door

QUICK = Patience(connected=5.0, ready=0.2, greeted=0.2, heard_out=0.2, answered=0.2)
READY: dict[str, Any] = {"type": "ready"}
LINE = bytes(range(200)) * 4


def row(row_type: str, **data: Any) -> dict[str, Any]:
    return {"type": "event", "event": {"type": row_type, "data": data}}


GREETING = [READY, row("agent.reply_started", kind="greeting"), b"\x00" * 160, row("agent.finished")]
FILLER, ANSWER = row("agent.reply_started", kind="filler"), row("agent.reply_started", kind="reply")


@asynccontextmanager
async def door(
    messages: list[Any], *, then: Callable[[ServerConnection], Any] | None = None
) -> AsyncIterator[tuple[str, list[Any]]]:
    """A door that greets a caller, and sends the rest once it has heard the line; with all that it was sent."""
    heard: list[Any] = []

    async def hold(socket: ServerConnection) -> None:
        waits_for_line = list(messages)
        async for message in socket:
            heard.append(message)
            sound = b"".join(part for part in heard if isinstance(part, bytes))
            while waits_for_line and (waits_for_line[0] not in (FILLER, ANSWER) or LINE in sound):
                sent = waits_for_line.pop(0)
                await socket.send(sent if isinstance(sent, bytes) else json.dumps(sent))
            if not waits_for_line and then is not None:
                await then(socket)

    async with serve(hold, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/media/call", heard


async def test_a_caller_who_is_greeted_and_answered_says_the_line_once_and_hangs_up() -> None:
    async with door([*GREETING, FILLER, ANSWER]) as (url, heard):
        await call_own_door(url, LINE, Patience())

    first, *sound, last = heard
    assert json.loads(first) == {
        "type": "start", "format": {"encoding": "mulaw", "sample_rate": 8000}, "events": True,
    }  # fmt: skip
    assert json.loads(last) == {"type": "stop"}
    assert b"".join(sound).strip(b"\xff") == LINE.strip(b"\xff")
    assert {len(frame) for frame in sound} == {160}


@pytest.mark.parametrize(
    ("messages", "step"),
    [
        ([], "ready"),
        (GREETING[:1], "greeted"),
        (GREETING[:2], "heard_out"),
        (GREETING, "answered"),
        ([*GREETING, FILLER], "answered"),
        ([READY, {"type": "error", "code": "internal", "message": ""}], "ended"),
        ([*GREETING, {"type": "end", "reason": "provider_failure"}], "ended"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_the_step_that_fails_is_named(messages: list[Any], step: str) -> None:
    async with door(messages) as (url, _):
        with pytest.raises(OwnCallFailed) as caught:
            await call_own_door(url, LINE, QUICK)

    assert str(caught.value) == step


async def test_a_door_that_closes_or_is_shut_is_named() -> None:
    async with door(GREETING[:1], then=lambda socket: socket.close(1011)) as (url, _):
        with pytest.raises(OwnCallFailed, match="ended"):
            await call_own_door(url, LINE, QUICK)
    with pytest.raises(OwnCallFailed, match="connected"):
        await call_own_door(url, LINE, QUICK)
