"""Webhooks as a bad network and bad people send them: each is answered clearly, and calls do not notice."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.clock import utc_now
from sandbox.caller.score import Score, hangs_up, says, waits_for_agent
from tests.room.house import GREETING, house, joined
from tests.room.postman import Letter, Postman, postman
from tests.room.rig import Rig
from tests.room.servers import SECRET, LiveKitServer
from tests.support.webhooks import signed

pytestmark = pytest.mark.room

SHORT_CALL = Score("short", "ru", (waits_for_agent(), hangs_up()), (), 8)
FLOOD, FLOOD_CONNECTIONS = 10_000, 20
FLOOD_SECONDS = 60


async def twice(man: Postman, letter: Letter) -> None:
    assert [await man.hand_over(letter) for _ in range(2)] == [200, 200]


async def reversed_order(man: Postman, letter: Letter) -> None:
    if letter.event == "track_published" and len(man.letters) == 3:
        for kept in reversed(man.letters):
            assert await man.hand_over(kept) == 200


async def never(man: Postman, letter: Letter) -> None:
    """Keep it."""


@pytest.mark.parametrize("deliver", [twice, reversed_order, never])
async def test_a_call_is_one_call_however_its_webhooks_come(
    server: LiveKitServer, tmp_path: Path, deliver: Callable[[Postman, Letter], Awaitable[None]]
) -> None:
    async with house(server, tmp_path, hears_webhooks=False) as home:
        prefix = home.carrier.room_prefix
        async with postman(server.webhook_port, home.url, prefix, deliver) as man:
            report = await home.call(SHORT_CALL)
            record = await home.record(report.call_id)
            for letter in man.letters:  # those that were late
                assert await man.hand_over(letter) == 200
        # A caller who is gone comes after them: once that one is in the list, they have been worked on.
        assert await home.webhook(joined("EV_after", f"{prefix}_gone", "RM_gone", "SCL_gone")) == 200
        calls = await home.ended_calls(2)
    assert (record["end_reason"], record["turns"][0]["text"]) == ("caller_hangup", GREETING)
    assert [call["call_id"] for call in calls][1:] == [report.call_id]


async def test_a_flood_of_webhooks_is_answered_in_time_and_disturbs_no_call(system: Rig) -> None:
    score = Score(
        "flooded",
        "ru",
        (
            waits_for_agent(),
            says("Когда вы открыты?"),
            waits_for_agent(),
            says("Спасибо."),
            waits_for_agent(),
            hangs_up(),
        ),
        ({"text": "Мы открыты с девяти до шести."}, {"text": "Пожалуйста, звоните ещё."}),
        20,
    )
    async with asyncio.TaskGroup() as tasks:
        calling = tasks.create_task(system.call(score, "+79990004001"), name="call")
        flood = tasks.create_task(_flood(system), name="flood")
    record = await system.record(calling.result().call_id)
    statuses, seconds = flood.result()
    assert statuses == {200: FLOOD // 2, 401: FLOOD // 2}
    assert seconds < FLOOD_SECONDS
    assert (record["end_reason"], record["fault"]) == ("caller_hangup", "none")
    assert [turn["text"] for turn in record["turns"]] == [
        GREETING,
        "Когда вы открыты?",
        "Мы открыты с девяти до шести.",
        "Спасибо.",
        "Пожалуйста, звоните ещё.",
    ]


async def _flood(system: Rig) -> tuple[dict[int, int], float]:
    """Half of it signed, of rooms and tracks that concern nobody; half of it not signed by LiveKit."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    counts: dict[int, int] = {}
    async with asyncio.TaskGroup() as tasks:
        for connection in range(FLOOD_CONNECTIONS):
            tasks.create_task(_send_many(system.server.webhook_port, connection, counts), name=f"flood-{connection}")
    return counts, loop.time() - began


async def _send_many(port: int, connection: int, counts: dict[int, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(FLOOD // FLOOD_CONNECTIONS):
        event = {
            "id": f"EV_{connection}_{number}",
            "event": "track_published",
            "room": {"name": "other", "sid": "RM_1"},
        }
        body = json.dumps(event).encode()
        token = signed(body, SECRET if number % 2 else "x" * 40)
        head = f"POST /webhooks/livekit HTTP/1.1\r\nHost: v\r\nAuthorization: {token}\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        status = int((await reader.readuntil(b"\r\n")).split()[1])
        length = 0
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        await reader.readexactly(length)
        counts[status] = counts.get(status, 0) + 1
    writer.close()
    await writer.wait_closed()


async def test_bad_webhooks_are_refused_while_a_call_goes_on(system: Rig) -> None:
    body = b'{"id":"EV_bad","event":"room_finished","room":{"name":"call_bad","sid":"RM_bad"}}'
    now = utc_now().timestamp()
    good = signed(body, SECRET)
    async with system.carrier.dial("+79990004002") as line, system.client() as http:

        async def status(content: bytes, token: str | None) -> int:
            headers = {"Authorization": token} if token else {}
            return (await http.post("/webhooks/livekit", content=content, headers=headers)).status_code

        http.headers.pop("Authorization")
        assert await status(body, None) == 401
        assert await status(body, signed(body, "y" * 40)) == 401
        assert await status(body, signed(body, SECRET, at=now - 3600)) == 401
        assert await status(body + b" ", good) == 401
        assert [await status(body, good) for _ in range(2)] == [200, 200]
        assert await status(b"x" * 10_000_000, good) == 413
        assert not line.is_over
    record = await system.record_of("+79990004002")
    assert (record["end_reason"], record["fault"]) == ("caller_hangup", "none")
