"""The stand-in for LiveKit SIP itself: what the service asks of it, and what it answers, over a real livekit-server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from livekit import api, rtc

from sandbox.caller.score import Score, holds, presses, waits
from sandbox.carrier.carrier import Carrier
from sandbox.carrier.sip_front import SipFront, running_front
from sandbox.carrier.sip_outcomes import Destination
from tests.room.house import NUMBER, OUR_NUMBER, speak
from tests.room.servers import KEY, SECRET, LiveKitServer

pytestmark = pytest.mark.room

FRIEND = "+79990000077"


class Office:
    """Somebody who uses the front as the service does, and is in a room as its agent."""

    def __init__(self, front: SipFront, livekit: api.LiveKitAPI, trunk: str, room: str, agent: rtc.Room) -> None:
        self.front, self.livekit, self.trunk, self.room, self.agent = front, livekit, trunk, room, agent
        self.statuses: list[str] = []
        self.left: list[str] = []
        agent.on("participant_attributes_changed", lambda changed, _: self.statuses.append(changed["sip.callStatus"]))
        agent.on("participant_connected", lambda _: self._somebody_came.set())
        agent.on("participant_disconnected", self._gone)
        self._somebody_came, self._somebody_left = asyncio.Event(), asyncio.Event()

    def _gone(self, participant: rtc.RemoteParticipant) -> None:
        self.left.append(rtc.DisconnectReason.Name(participant.disconnect_reason or 0))
        self._somebody_left.set()

    async def until_somebody_comes(self) -> None:
        """The server sends nothing about a participant who leaves before it has announced them."""
        async with asyncio.timeout(60):
            await self._somebody_came.wait()

    async def until_somebody_leaves(self) -> None:
        async with asyncio.timeout(60):
            await self._somebody_left.wait()

    async def dial(self, number: str = FRIEND, *, waits: bool = True, ringing: float = 10) -> api.SIPParticipantInfo:
        request = api.CreateSIPParticipantRequest(
            sip_trunk_id=self.trunk,
            sip_call_to=number,
            room_name=self.room,
            participant_identity="friend",
            participant_attributes={"va.leg": "outbound"},
            wait_until_answered=waits,
        )
        request.ringing_timeout.FromMilliseconds(round(ringing * 1000))
        # The library gives a dial two seconds more than it rings, in which the telephone has to join the room as well.
        return await self.livekit.sip.create_sip_participant(request, timeout=60)

    async def transfer(self, identity: str, to: str = FRIEND) -> api.TransferSIPParticipantResponse:
        request = api.TransferSIPParticipantRequest(
            room_name=self.room, participant_identity=identity, transfer_to=f"tel:{to}"
        )
        return await self.livekit.sip.transfer_sip_participant(request)


@asynccontextmanager
async def office(server: LiveKitServer, room: str, **carrier_options: Any) -> AsyncIterator[Office]:
    """Room and agent are there; the agent's track is silent."""
    carrier = Carrier(server.url, KEY, SECRET, OUR_NUMBER, **carrier_options)
    async with running_front(carrier, speak) as front, api.LiveKitAPI(front.url, KEY, SECRET) as livekit:
        trunk = api.SIPOutboundTrunkInfo(name=room, address="sip.example.org", numbers=[OUR_NUMBER])
        made = await livekit.sip.create_outbound_trunk(api.CreateSIPOutboundTrunkRequest(trunk=trunk))
        agent, source = rtc.Room(), rtc.AudioSource(16000, 1)
        here = Office(front, livekit, made.sip_trunk_id, room, agent)
        grants = api.VideoGrants(room_join=True, room=room)
        token = api.AccessToken(KEY, SECRET).with_identity("agent-call_1").with_kind("agent").with_grants(grants)
        await agent.connect(server.url, token.to_jwt())
        track = rtc.LocalAudioTrack.create_audio_track("agent", source)
        await agent.local_participant.publish_track(track)
        try:
            yield here
        finally:
            await agent.disconnect()
            await source.aclose()
            await livekit.room.delete_room(api.DeleteRoomRequest(room=room))


async def test_a_called_telephone_rings_answers_plays_its_score_and_hangs_up(server: LiveKitServer) -> None:
    async with office(server, "answers") as here:
        here.front.directory.numbers[FRIEND] = Destination(
            after=0.2, score=Score("friend", "ru", (presses("1"), waits(0.2)))
        )
        dialled = await here.dial()
        assert (dialled.participant_identity, dialled.room_name) == ("friend", "answers")
        assert dialled.sip_call_id.startswith("SCL_")
        assert dialled.participant_id.startswith("PA_")
        friend = here.agent.remote_participants["friend"]
        assert friend.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP
        assert friend.attributes.items() >= {
            ("va.leg", "outbound"),
            ("sip.phoneNumber", FRIEND),
            ("sip.trunkPhoneNumber", OUR_NUMBER),
        }
        await here.until_somebody_leaves()
    [call] = here.front.calls
    assert here.statuses[-2:] == ["active", "hangup"]  # the server reports changes in quick succession as one
    assert (call.state, call.failure, call.line and call.line.call_id) == ("ended", None, "call_1")
    assert call.report
    assert call.report.ended_by == "caller"


@pytest.mark.parametrize(
    ("outcome", "status", "code", "left"),
    [
        ("busy", 486, "resource_exhausted", "USER_REJECTED"),
        ("declined", 603, "permission_denied", "USER_REJECTED"),
        ("unknown_number", 404, "not_found", "USER_UNAVAILABLE"),
        ("trunk_failure", 503, "failed_precondition", "CLIENT_INITIATED"),
        ("no_answer", None, "canceled", "USER_UNAVAILABLE"),
    ],
)
async def test_a_call_that_is_not_answered_ends_as_livekit_ends_it(
    server: LiveKitServer, outcome: str, status: int | None, code: str, left: str
) -> None:
    async with office(server, outcome) as here, httpx.AsyncClient(base_url=here.front.url) as http:
        answer = await http.post(f"/control/numbers/{FRIEND}", json={"outcome": outcome, "after": 0.1})
        assert answer.status_code == 204
        with pytest.raises(api.ServerError) as refused:
            await here.dial(ringing=0.5)
        await here.until_somebody_leaves()
        calls = (await http.get("/control/calls")).json()["calls"]
    assert refused.value.code == code
    assert getattr(refused.value, "sip_status_code", None) == status
    assert (here.left, here.statuses[-1]) == ([left], "hangup")
    assert [(call["number"], call["state"]) for call in calls] == [(FRIEND, "not_answered")]


async def test_a_telephone_that_is_removed_while_it_rings_was_not_answered(server: LiveKitServer) -> None:
    async with office(server, "removed") as here:
        here.front.directory.numbers[FRIEND] = Destination("no_answer")
        await here.dial(waits=False)
        await here.until_somebody_comes()
        await here.livekit.room.remove_participant(api.RoomParticipantIdentity(room="removed", identity="friend"))
        await here.until_somebody_leaves()
        async with asyncio.timeout(60):
            await here.front.calls[0].settled.wait()
    assert here.front.calls[0].state == "not_answered"


async def test_without_a_livekit_sip_nobody_responds_and_without_a_trunk_nobody_is_called(
    server: LiveKitServer,
) -> None:
    async with office(server, "nobody") as here:
        here.trunk = "ST_unknown"
        with pytest.raises(api.ServerError, match="requested sip trunk does not exist"):
            await here.dial()
        here.front.directory.sip_is_there = False
        with pytest.raises(api.ServerError, match="no response from servers") as nobody:
            await here.dial()
        assert (nobody.value.code, nobody.value.status) == ("unavailable", 503)
    assert here.front.calls == []


async def test_a_caller_is_sent_elsewhere_or_stays(server: LiveKitServer) -> None:
    async with office(server, "transfer") as here:
        numbers = here.front.directory.numbers
        numbers[FRIEND] = Destination(after=0.1)
        await here.dial()
        with pytest.raises(api.ServerError, match="does not exist"):
            await here.transfer("stranger")
        numbers[FRIEND] = Destination(after=0.1, transfer="declined")
        with pytest.raises(api.SipCallError) as declined:
            await here.transfer("friend")
        assert (declined.value.sip_status_code, declined.value.sip_transfer_reason) == (603, "STR_REJECTED")
        numbers[FRIEND] = Destination(after=0.1, transfer="failed")
        failed = await here.transfer("friend")
        assert (failed.status, failed.sip_status.code) == (api.SIPTransferStatus.STS_TRANSFER_FAILED, 603)
        assert here.left == []
        numbers[FRIEND] = Destination(after=0.1)
        done = await here.transfer("friend")
        assert done.status == api.SIPTransferStatus.STS_TRANSFER_SUCCESSFUL
        await here.until_somebody_leaves()
    assert here.front.transfers == [f"tel:{FRIEND}"] * 3
    assert here.front.calls[0].report
    assert here.front.calls[0].report.end_reason == "transferred"


async def test_a_livekit_sip_ends_the_call_when_it_is_asked_to(server: LiveKitServer) -> None:
    async with office(server, "end_call") as here:
        await here.dial()
        answer = await here.agent.local_participant.perform_rpc(
            destination_identity="friend", method="lk.sip.EndCall", payload="{}"
        )
        await here.until_somebody_leaves()
    assert answer == ""
    assert here.statuses[-1] == "hangup"


async def test_a_caller_who_hides_their_number_has_their_own_room_and_headers(server: LiveKitServer) -> None:
    carrier = Carrier(server.url, KEY, SECRET, OUR_NUMBER)
    async with (
        carrier.ring(""),
        carrier.ring("anonymous", headers={"X-Account": "17"}) as line,
        carrier.ring(NUMBER) as one,
        carrier.ring(NUMBER) as other,
        api.LiveKitAPI(server.url, KEY, SECRET) as livekit,
    ):
        assert one.room_name != other.room_name
        asked = api.RoomParticipantIdentity(room=line.room_name, identity="sip_anonymous")
        participant = await livekit.room.get_participant(asked)
    assert participant.attributes["sip.h.x-account"] == "17"


async def test_a_telephone_on_hold_is_cut_off(server: LiveKitServer) -> None:
    async with office(server, "hold", first_sound_seconds=0.5, sound_seconds=0.5) as here:
        here.front.directory.numbers[FRIEND] = Destination(after=0.1, score=Score("held", "ru", (waits(0.6), holds(5))))
        await here.dial()
        await here.until_somebody_leaves()
    [call] = here.front.calls
    assert call.report
    assert (call.report.end_reason, call.report.completed) == ("media_timeout", True)
    assert 1.0 < call.report.ended_at < 2.0
