"""Callers who come into a room where a call is held, or has just been: nobody who lives is hung up on."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sandbox.carrier.telephone_line import TelephoneLine
from tests.room.house import GREETING, House, house
from tests.room.servers import LiveKitServer

pytestmark = pytest.mark.room

NUMBER, OTHER_NUMBER = "+79990000061", "+79990000062"
_LOOK_SECONDS = 0.02


async def met_by_another_agent(line: TelephoneLine, than: str) -> str:
    """The id of the call whose agent comes into the room after that of the call before."""
    async with asyncio.timeout(20):
        while line.call_id in ("", than):
            await asyncio.sleep(_LOOK_SECONDS)
    return line.call_id


async def ended(home: House, call_id: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            record: dict[str, Any] = (await home.get(f"/calls/{call_id}")).json()
            if record["status"] == "ended":
                return record
            await asyncio.sleep(_LOOK_SECONDS)


async def test_a_caller_who_dials_again_is_served_and_their_call_before_is_over(
    server: LiveKitServer, tmp_path: Path
) -> None:
    async with house(server, tmp_path) as home, home.carrier.dial(NUMBER) as first:
        async with home.carrier.dial(NUMBER, room=first.room_name) as again:
            before = await ended(home, first.call_id)
            call_id = await met_by_another_agent(again, first.call_id)
            assert not await again.over_within(4)
        record = await home.record(call_id)
        await home.until_no_room_is_open()

    assert (before["end_reason"], before["fault"]) == ("caller_hangup", "none")
    assert before["end_detail"] == "the caller dialled again: a new call took the place in the room"
    assert (record["end_reason"], record["fault"]) == ("caller_hangup", "none")
    assert GREETING.startswith(record["turns"][0]["text"])
    assert record["provider_ids"]["sip_call_id"] != before["provider_ids"]["sip_call_id"]


@pytest.mark.parametrize("number", [NUMBER, OTHER_NUMBER])
async def test_a_caller_who_comes_as_a_call_ends_is_not_hung_up_on_with_it(
    server: LiveKitServer, tmp_path: Path, number: str
) -> None:
    async with house(server, tmp_path) as home:
        async with home.carrier.dial(NUMBER) as first:
            room = first.room_name
        await asyncio.sleep(0.05)
        async with home.carrier.dial(number, room=room) as second:
            call_id = await met_by_another_agent(second, first.call_id)
            assert not await second.over_within(4)
        before, record = await ended(home, first.call_id), await home.record(call_id)
        await home.until_no_room_is_open()

    assert (before["end_reason"], before["fault"]) == ("caller_hangup", "none")
    assert (record["end_reason"], record["fault"]) == ("caller_hangup", "none")
