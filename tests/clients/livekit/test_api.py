from typing import Any

import pytest
from livekit import api

from app.clients.livekit.api import LiveKitClient, RoomSeen
from app.clients.livekit.dial import Dial
from app.errors import DialFailed, DialFailure, ProviderUnavailable
from tests.clients.livekit.twirp import Refuse, client_of, running, sip

ROOM = RoomSeen("call_out_call-1", "RM_1")
DIAL = Dial(
    trunk_id="ST_1",
    to="+79990000001",
    number="+74950000000",
    room=ROOM.name,
    identity="called-call-1",
    leg="outbound",
    ring_seconds=30,
    max_seconds=1800,
)
TAKEN = api.TransferSIPParticipantResponse(transfer_id="STF_1", status=api.SIPTransferStatus.STS_TRANSFER_SUCCESSFUL)
NO_SIP = Refuse("unavailable", 503, "no response from servers")


async def refer(client: LiveKitClient) -> None:
    await client.refer(ROOM.name, "sip_+7999", "tel:+74951234567", ring_seconds=25)


async def test_a_dial_says_whom_to_call_and_waits_for_the_answer() -> None:
    answered = api.SIPParticipantInfo(participant_identity=DIAL.identity, sip_call_id="SCL_1")
    async with running(CreateSIPParticipant=answered) as server, client_of(server.url) as client:
        assert await client.dial(DIAL) == "SCL_1"
    [(_, request)] = server.asked
    assert (request.sip_trunk_id, request.sip_call_to, request.sip_number) == ("ST_1", DIAL.to, DIAL.number)
    assert (request.room_name, request.participant_identity) == (ROOM.name, DIAL.identity)
    assert dict(request.participant_attributes) == {"va.leg": "outbound"}
    assert (request.ringing_timeout.seconds, request.max_call_duration.seconds) == (30, 1800)
    assert request.wait_until_answered
    assert not request.play_dialtone


@pytest.mark.parametrize(
    ("refusal", "reason", "detail"),
    [
        (sip(486, "resource_exhausted"), "busy", "sip 486"),
        (sip(603, "permission_denied"), "declined", "sip 603"),
        (sip(480, "resource_exhausted"), "no_answer", "sip 480"),
        (sip(404, "not_found"), "invalid_number", "sip 404"),
        (sip(503), "carrier_error", "sip 503"),
        (NO_SIP, "carrier_error", "livekit unavailable"),
    ],
)
async def test_a_dial_that_fails_says_why_and_is_not_repeated(
    refusal: Refuse, reason: DialFailure, detail: str
) -> None:
    async with running(CreateSIPParticipant=refusal) as server, client_of(server.url) as client:
        with pytest.raises(DialFailed) as failed:
            await client.dial(DIAL)
    assert (failed.value.reason, failed.value.detail) == (reason, detail)
    assert len(server.asked) == 1


async def test_telephones_that_cannot_be_reached_are_not_held_against_livekit() -> None:
    answers = {"CreateSIPParticipant": NO_SIP, "ListParticipants": api.ListParticipantsResponse()}
    async with running(**answers) as server, client_of(server.url) as client:
        for _ in range(20):
            with pytest.raises(DialFailed):
                await client.dial(DIAL)
        assert await client.list_callers(ROOM) == []
        assert (await client.health_check()).status == "ok"


async def test_a_dial_that_does_not_get_through_to_livekit_is_not_repeated() -> None:
    async with client_of("http://127.0.0.1:9") as client:
        with pytest.raises(ProviderUnavailable):
            await client.dial(DIAL)
        assert client.get_metrics().requests == 1


@pytest.mark.parametrize("answer", [TAKEN, api.TransferSIPParticipantResponse()], ids=["status", "empty"])
async def test_a_caller_who_was_taken_along_is_handed_over(answer: Any) -> None:
    async with running(TransferSIPParticipant=answer) as server, client_of(server.url) as client:
        await refer(client)
    [(_, request)] = server.asked
    assert (request.room_name, request.participant_identity) == (ROOM.name, "sip_+7999")
    assert (request.transfer_to, request.ringing_timeout.seconds) == ("tel:+74951234567", 25)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (sip(405, "invalid_argument"), "carrier_error"),
        (sip(603, "permission_denied"), "declined"),
        (sip(486, "resource_exhausted"), "busy"),
        (NO_SIP, "carrier_error"),
        (api.TransferSIPParticipantResponse(transfer_id="STF_1"), "carrier_error"),
        (
            api.TransferSIPParticipantResponse(
                transfer_id="STF_1",
                status=api.SIPTransferStatus.STS_TRANSFER_FAILED,
                reason=api.SIPTransferReason.STR_REJECTED,
                sip_status=api.SIPStatus(code=api.SIPStatusCode.SIP_STATUS_BUSY_HERE),
            ),
            "busy",
        ),
        (
            api.TransferSIPParticipantResponse(
                transfer_id="STF_1",
                status=api.SIPTransferStatus.STS_TRANSFER_FAILED,
                reason=api.SIPTransferReason.STR_RINGING_TIMEOUT,
            ),
            "no_answer",
        ),
    ],
)
async def test_an_answer_without_success_is_not_a_transfer(answer: Any, reason: DialFailure) -> None:
    async with running(TransferSIPParticipant=answer) as server, client_of(server.url) as client:
        with pytest.raises(DialFailed) as failed:
            await refer(client)
    assert failed.value.reason == reason
    assert len(server.asked) == 1


async def test_the_outbound_trunk_is_found_by_its_name() -> None:
    trunks = [api.SIPOutboundTrunkInfo(sip_trunk_id=f"ST_{name}", name=name) for name in ("other", "call-out")]
    listed = api.ListSIPOutboundTrunkResponse(items=trunks)
    async with running(ListSIPOutboundTrunk=listed) as server, client_of(server.url) as client:
        assert await client.outbound_trunk("call-out") == "ST_call-out"
        assert await client.outbound_trunk("absent") is None


async def test_a_room_is_made_with_the_time_it_waits_for_somebody() -> None:
    async with running(CreateRoom=api.Room(name=ROOM.name, sid=ROOM.sid)) as server, client_of(server.url) as client:
        assert await client.create_room(ROOM.name, empty_seconds=90) == ROOM
    assert server.asked[0][1].empty_timeout == 90


async def test_telephones_of_our_own_are_counted_but_are_no_callers() -> None:
    kinds = api.ParticipantInfo.Kind
    people = [
        api.ParticipantInfo(identity="sip_+7999", kind=kinds.SIP, attributes={"sip.callID": "SCL_1"}),
        api.ParticipantInfo(identity="human", kind=kinds.SIP, attributes={"sip.callID": "SCL_2", "va.leg": "transfer"}),
        api.ParticipantInfo(identity="agent-call-1", kind=kinds.AGENT),
    ]
    listed = api.ListParticipantsResponse(participants=people)
    async with running(ListParticipants=listed) as server, client_of(server.url) as client:
        assert [caller.identity for caller in await client.list_callers(ROOM)] == ["sip_+7999"]
        assert await client.count_telephones(ROOM) == 2
