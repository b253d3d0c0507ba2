"""Who is answered and who is not: callers at once, callers beyond the capacity, callers who are gone."""

import asyncio
from pathlib import Path

import pytest

from sandbox.caller.media_client import CallFailed
from sandbox.caller.score import Score, hangs_up, waits_for_agent
from tests.room.house import GREETING, house, joined
from tests.room.servers import LiveKitServer
from tests.support.slowness import slowness

pytestmark = pytest.mark.room

SHORT_CALL = Score("short", "ru", (waits_for_agent(), hangs_up()), (), 8)


async def test_a_caller_who_left_before_the_webhook_came_leaves_no_room_behind(
    server: LiveKitServer, tmp_path: Path
) -> None:
    async with house(server, tmp_path) as home:
        assert await home.webhook(joined("EV_late", f"{home.carrier.room_prefix}_gone", "RM_gone", "SCL_gone")) == 200
        [call] = await home.ended_calls(1)
        await home.until_no_room_is_open()
    assert (call["end_reason"], call["answered_at"]) == ("caller_hangup", None)


async def test_two_calls_are_held_at_once(server: LiveKitServer, tmp_path: Path) -> None:
    async with house(server, tmp_path) as home:
        reports = await asyncio.gather(home.call(SHORT_CALL, "+79990000002"), home.call(SHORT_CALL, "+79990000003"))
        records = [await home.record(report.call_id) for report in reports]
    assert {record["caller_number"] for record in records} == {"+79990000002", "+79990000003"}
    assert [record["turns"][0]["text"] for record in records] == [GREETING, GREETING]


async def test_a_caller_beyond_the_capacity_is_let_go_at_once_and_recorded(
    server: LiveKitServer, tmp_path: Path
) -> None:
    async with house(server, tmp_path, max_concurrent_calls=1) as home, home.carrier.dial("+79990000004") as first:
        began = asyncio.get_running_loop().time()
        with pytest.raises(CallFailed, match="participant_removed"):
            async with home.carrier.dial("+79990000005"):
                pass
        assert asyncio.get_running_loop().time() - began < 2 * slowness()
        [refused] = await home.ended_calls(1)
        assert refused["call_id"] != first.call_id
    assert (refused["end_reason"], refused["caller_number"]) == ("rejected_capacity", "+79990000005")
