"""Transfers of callers, against a server that answers as LiveKit does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit import api

from app.calls.telephone.dialer import SipDialer
from app.calls.telephone.leftovers import Leftovers
from app.calls.telephone.transfer import RoomTelephony
from app.contained_tasks import ContainedTasks
from app.errors import TransferFailed
from tests.clients.livekit.twirp import Refuse, TwirpServer, client_of, running, sip

HUMAN = "+74951234567"
TRUNK = api.ListSIPOutboundTrunkResponse(items=[api.SIPOutboundTrunkInfo(sip_trunk_id="ST_1", name="call-out")])
ANSWERED = api.SIPParticipantInfo(sip_call_id="SCL_2")
REMOVED = api.RemoveParticipantResponse()
NO_REFER = sip(405, "invalid_argument")


def never() -> None:
    raise AssertionError("nobody is called into the room")


@asynccontextmanager
async def caller(**answers: Any) -> AsyncIterator[tuple[RoomTelephony, TwirpServer]]:
    """A caller who can be transferred."""
    given = {"ListSIPOutboundTrunk": TRUNK, "RemoveParticipant": REMOVED, **answers}
    async with running(**given) as server, client_of(server.url) as livekit:
        dialer = SipDialer(livekit, trunk_name="call-out", number="+74950000000", max_seconds=1860)
        background = ContainedTasks()
        yield RoomTelephony(livekit, dialer, Leftovers(livekit, background), room="call_1", caller="sip_+7999"), server
        await background.close()


async def test_a_caller_whom_the_carrier_moves_needs_no_human_in_their_room() -> None:
    async with caller(TransferSIPParticipant=api.TransferSIPParticipantResponse()) as (telephony, server):
        assert await telephony.transfer(HUMAN, never) == "refer"
    assert [method for method, _ in server.asked] == ["TransferSIPParticipant"]
    assert server.asked[0][1].transfer_to == f"tel:{HUMAN}"


async def test_without_refer_the_human_is_dialled_into_the_room() -> None:
    async with caller(TransferSIPParticipant=NO_REFER, CreateSIPParticipant=ANSWERED) as (telephony, server):
        dials: list[str] = []
        assert await telephony.transfer(HUMAN, lambda: dials.append("now")) == "dialled"
        assert dials == ["now"]
    [dial] = server.requests("CreateSIPParticipant")
    assert (dial.sip_trunk_id, dial.sip_call_to, dial.sip_number) == ("ST_1", HUMAN, "+74950000000")
    assert (dial.room_name, dict(dial.participant_attributes)) == ("call_1", {"va.leg": "transfer"})
    assert dial.play_dialtone
    assert dial.max_call_duration.seconds == 1860
    assert not server.requests("RemoveParticipant")


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (sip(486), "busy"),
        (sip(480), "no_answer"),
        (sip(603), "refused"),
        (sip(404), "refused"),
        (sip(503), "unavailable"),
        (Refuse("unavailable", 503), "unavailable"),
    ],
)
async def test_a_human_who_does_not_answer_is_dialled_once_and_removed(refusal: Refuse, reason: str) -> None:
    async with caller(TransferSIPParticipant=NO_REFER, CreateSIPParticipant=refusal) as (telephony, server):
        with pytest.raises(TransferFailed) as failed:
            await telephony.transfer(HUMAN, lambda: None)
    assert failed.value.reason == reason
    [dial], [removed] = server.requests("CreateSIPParticipant"), server.requests("RemoveParticipant")
    assert (removed.room, removed.identity) == ("call_1", dial.participant_identity)


@pytest.mark.parametrize(("refusal", "reason"), [(sip(486), "busy"), (sip(480), "no_answer")])
async def test_a_human_who_did_not_answer_after_a_refer_is_not_dialled_again(refusal: Refuse, reason: str) -> None:
    async with caller(TransferSIPParticipant=refusal) as (telephony, server):
        with pytest.raises(TransferFailed) as failed:
            await telephony.transfer(HUMAN, never)
    assert (failed.value.reason, len(server.asked)) == (reason, 1)


async def test_a_sip_address_cannot_be_dialled_where_the_carrier_does_not_refer() -> None:
    async with caller(TransferSIPParticipant=NO_REFER) as (telephony, server):
        with pytest.raises(TransferFailed) as failed:
            await telephony.transfer("sip:help@example.org", never)
    assert (failed.value.reason, len(server.asked)) == ("unavailable", 1)
    assert server.asked[0][1].transfer_to == "sip:help@example.org"


async def test_without_an_outbound_trunk_nobody_is_dialled() -> None:
    nothing = api.ListSIPOutboundTrunkResponse()
    answers = {"TransferSIPParticipant": NO_REFER, "ListSIPOutboundTrunk": nothing}
    async with caller(**answers) as (telephony, server):
        with pytest.raises(TransferFailed) as failed:
            await telephony.transfer(HUMAN, lambda: None)
    assert failed.value.reason == "unavailable"
    assert not server.requests("CreateSIPParticipant")


async def test_a_cancelled_transfer_removes_the_human() -> None:
    rings = Refuse("canceled", 408, after_seconds=20)
    async with caller(TransferSIPParticipant=NO_REFER, CreateSIPParticipant=rings) as (telephony, server):
        transfer = asyncio.get_running_loop().create_task(telephony.transfer(HUMAN, lambda: None), name="transfer")
        await server.until("CreateSIPParticipant")
        transfer.cancel()
        await asyncio.wait([transfer])
        assert transfer.cancelled()
        await server.until("RemoveParticipant")
        [dial], [removed] = server.requests("CreateSIPParticipant"), server.requests("RemoveParticipant")
    assert removed.identity == dial.participant_identity


async def test_without_livekit_the_caller_stays() -> None:
    async with client_of("http://127.0.0.1:9") as livekit:
        dialer = SipDialer(livekit, trunk_name="call-out", number=None, max_seconds=1860)
        leftovers = Leftovers(livekit, ContainedTasks())
        with pytest.raises(TransferFailed) as failed:
            await RoomTelephony(livekit, dialer, leftovers, room="call_1", caller="sip_+7999").transfer(HUMAN, never)
    assert failed.value.reason == "unavailable"
