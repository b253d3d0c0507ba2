"""Rooms that are looked into: which of them end, against a server that answers as LiveKit does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from livekit import api

from app.clock import iso_utc, lease_now, utc_now
from app.main import create_app
from app.settings import Settings
from app.storage.calls import CallStore
from app.storage.spending import Reservation
from app.times import ServiceTimes
from tests.clients.livekit.twirp import KEY, SECRET, Refuse, TwirpServer, running
from tests.storage.stores import a_call

CALLER = {"sip.callID": "SCL_1"}
HUMAN = {"sip.callID": "SCL_2", "va.leg": "transfer"}
MAX_CALL_SECONDS = 600


OFTEN = ServiceTimes(room_look_seconds=0.02)


@asynccontextmanager
async def room_after(
    folder: Path,
    reason: str,
    seconds: float,
    *telephones: dict[str, str],
    room: str = "call_1",
    by_the_wall: float | None = None,
) -> AsyncIterator[TwirpServer]:
    """A room whose call ended so long ago, and in which these telephones still are.

    ``by_the_wall``: for how long, when the wall clock has stepped since.
    """
    async with room_of(folder, reason, seconds, *telephones, room=room, by_the_wall=by_the_wall) as (server, _calls):
        yield server


@asynccontextmanager
async def room_of(
    folder: Path,
    reason: str,
    seconds: float,
    *telephones: dict[str, str],
    room: str = "call_1",
    by_the_wall: float | None = None,
    calls: int = 1,
    has_agent: bool = False,
) -> AsyncIterator[tuple[TwirpServer, CallStore]]:
    """The same, with the list of calls. ``calls``: so many of them have ended so, one after another."""
    people = [
        api.ParticipantInfo(identity=f"sip_{number}", kind=api.ParticipantInfo.Kind.SIP, attributes=attributes)
        for number, attributes in enumerate(telephones)
    ]
    if has_agent:
        people.append(api.ParticipantInfo(identity="agent-1", kind=api.ParticipantInfo.Kind.AGENT))
    rooms: list[api.Room] = []
    answers = {
        "ListRooms": lambda _request: api.ListRoomsResponse(rooms=rooms),
        "ListParticipants": api.ListParticipantsResponse(participants=people),
        "DeleteRoom": api.DeleteRoomResponse(),
    }
    async with running(**answers) as server, services(folder, server.url) as those:
        over_since = None if by_the_wall is None else lease_now() - seconds
        ended_at = iso_utc(utc_now() - timedelta(seconds=seconds if by_the_wall is None else by_the_wall))
        ids = {"room_sid": "RM_1", "sip_call_id": "SCL_1", "livekit_room": room}
        ended = {"status": "ended", "end_reason": reason, "ended_at": ended_at, "over_since": over_since}
        for number in range(1, calls + 1):
            await those.calls.create(a_call(f"call-{number}", kind="room", direction="inbound", **ids, **ended))
        rooms.append(api.Room(name=room, sid="RM_1"))
        yield server, those.calls


@asynccontextmanager
async def services(folder: Path, livekit_url: str, **more: Any) -> AsyncIterator[Any]:
    nowhere = {f"{name}_base_url": "http://127.0.0.1:9" for name in ("deepgram", "openai", "cartesia")}
    livekit = {"livekit_url": livekit_url, "livekit_api_key": KEY, "livekit_api_secret": SECRET}
    values = {
        "providers": "sandbox",
        "data_dir": folder,
        "max_call_seconds": MAX_CALL_SECONDS,
        **nowhere,
        **livekit,
        **more,
    }
    app = create_app(Settings(_env_file=None, **values), times=OFTEN)  # type: ignore[call-arg]  # its stub does not say so
    async with app.router.lifespan_context(app):
        yield app.state.services


async def test_a_room_is_left_to_the_caller_and_the_human_who_took_them_over(tmp_path: Path) -> None:
    async with room_after(tmp_path, "transferred", 60, CALLER, HUMAN) as server:
        await server.until("ListParticipants", 6)
    assert not server.requests("DeleteRoom")


@pytest.mark.parametrize("telephones", [(), (CALLER,), (HUMAN,)], ids=["nobody", "caller", "human"])
async def test_the_room_of_a_transfer_ends_as_soon_as_one_of_them_is_gone(
    tmp_path: Path, telephones: tuple[dict[str, str], ...]
) -> None:
    async with room_after(tmp_path, "transferred", 0.1, *telephones) as server:
        await server.until("DeleteRoom")
    assert server.requests("DeleteRoom")[0].room == "call_1"


async def test_they_talk_no_longer_than_the_longest_call(tmp_path: Path) -> None:
    async with room_after(tmp_path, "transferred", MAX_CALL_SECONDS + 1, CALLER, HUMAN) as server:
        await server.until("DeleteRoom")


async def test_a_step_of_the_wall_clock_ends_no_conversation_and_keeps_no_room(tmp_path: Path) -> None:
    async with room_after(tmp_path, "transferred", 60, CALLER, HUMAN, by_the_wall=3660) as server:
        await server.until("ListParticipants", 6)
        assert not server.requests("DeleteRoom")
    async with room_after(tmp_path / "back", "agent_hangup", 11, CALLER, by_the_wall=-3589) as server:
        await server.until("DeleteRoom")


async def test_a_room_whose_call_is_over_in_another_way_ends_after_a_while(tmp_path: Path) -> None:
    async with room_after(tmp_path, "agent_hangup", 5, CALLER) as server:
        await server.until("ListParticipants", 3)
        assert not server.requests("DeleteRoom")
    async with room_after(tmp_path / "later", "agent_hangup", 11, CALLER) as server:
        await server.until("DeleteRoom")


async def test_a_caller_whose_call_lost_the_room_and_who_waits_alone_is_met_again(tmp_path: Path) -> None:
    async with room_of(tmp_path, "media_lost", 60, CALLER) as (server, calls):
        while len(of_room := await calls.of_room("RM_1")) < 2:
            await asyncio.sleep(0.02)
        assert [call.sip_call_id for call in of_room] == ["SCL_1", "SCL_1"]
        assert not server.requests("DeleteRoom")


async def test_a_caller_whose_call_lost_the_room_and_who_is_with_another_agent_is_left_there(tmp_path: Path) -> None:
    async with room_of(tmp_path, "media_lost", 60, CALLER, has_agent=True) as (server, calls):
        await server.until("ListParticipants", 6)
        assert len(await calls.of_room("RM_1")) == 1
        assert not server.requests("DeleteRoom")


async def test_a_caller_who_was_met_three_times_is_let_go(tmp_path: Path) -> None:
    async with room_of(tmp_path, "media_lost", 60, CALLER, calls=3) as (server, calls):
        await server.until("DeleteRoom")
        assert len(await calls.of_room("RM_1")) == 3


async def test_the_room_of_a_call_that_was_lost_ends_when_nobody_waits_there(tmp_path: Path) -> None:
    async with room_after(tmp_path, "media_lost", 60) as server:
        await server.until("DeleteRoom")


async def test_a_room_of_another_application_is_never_looked_into_answered_or_ended(tmp_path: Path) -> None:
    async with room_after(tmp_path, "agent_hangup", 600, CALLER, room="callcenter-7_x") as server:
        await server.until("ListRooms", 10)
    assert not server.requests("ListParticipants")
    assert not server.requests("DeleteRoom")


@pytest.mark.parametrize("code", ["internal", "invalid_argument"])
async def test_a_room_that_cannot_be_looked_into_hides_no_other_room(tmp_path: Path, code: str) -> None:
    def participants(request: Any) -> Any:
        return Refuse(code, 500) if request.room == "call_0" else api.ListParticipantsResponse()

    rooms = [api.Room(name=f"call_{number}", sid=f"RM_{number}") for number in (0, 1)]
    answers = {
        "ListRooms": api.ListRoomsResponse(rooms=rooms),
        "ListParticipants": participants,
        "DeleteRoom": api.DeleteRoomResponse(),
    }
    async with running(**answers) as server, services(tmp_path, server.url) as those:
        for room in rooms:
            ids = {"room_sid": room.sid, "sip_call_id": f"SCL_{room.sid}", "livekit_room": room.name}
            ended = {"status": "ended", "end_reason": "agent_hangup", "ended_at": iso_utc(utc_now() - timedelta(60))}
            await those.calls.create(a_call(room.name, kind="room", direction="inbound", **ids, **ended))
        await server.until("DeleteRoom")
        loop = next(loop for loop in those.loops if loop.name == "rooms.reconciler")
        async with asyncio.timeout(5):
            while not loop.failures:  # the round fails when its other rooms have been looked into
                await asyncio.sleep(0.001)
    assert {request.room for request in server.requests("DeleteRoom")} == {"call_1"}


async def test_a_caller_for_whom_the_day_has_no_money_is_told_and_let_go(tmp_path: Path) -> None:
    rooms: list[api.Room] = []
    caller = api.ParticipantInfo(
        identity="sip_1", kind=api.ParticipantInfo.Kind.SIP, attributes={**CALLER, "sip.phoneNumber": "+79990000001"}
    )
    answers = {
        "ListRooms": lambda _request: api.ListRoomsResponse(rooms=rooms),
        "ListParticipants": api.ListParticipantsResponse(participants=[caller]),
        "DeleteRoom": api.DeleteRoomResponse(),
    }
    limits = {"max_call_cost_usd": 0.5, "max_day_cost_usd": 0.9}
    async with running(**answers) as server, services(tmp_path, server.url, **limits) as those:
        taken = a_call("call-1", status="ended", started_at=iso_utc(utc_now()))
        await those.calls.create(taken, reservation=Reservation("clinic", 0.5))
        rooms.append(api.Room(name="call_1", sid="RM_1"))
        await server.until("DeleteRoom")
        (call,) = await those.calls.of_room("RM_1")
    assert (call.status, call.end_reason, call.fault) == ("ended", "rejected_policy", "policy")
    assert not server.requests("RemoveParticipant")  # they are in the room until they have heard the sentence
