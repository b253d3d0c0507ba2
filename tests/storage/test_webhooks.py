from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.errors import CallTaken
from app.models import TelephoneCall
from app.storage.call_lists import CallFilter
from app.storage.calls import CallRow
from app.storage.webhooks import WebhookInbox
from tests.storage.stores import END, START, open_stores

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def caller(number: int = 1) -> TelephoneCall:
    attributes = {"sip.callID": f"SCL_{number}", "sip.phoneNumber": "+79990000001"}
    return TelephoneCall("call_1", "RM_1", f"sip_{number}", attributes)


def row(call_id: str, room_sid: str | None = "RM_1", sip_call_id: str | None = "SCL_1") -> CallRow:
    return CallRow(
        call_id=call_id,
        kind="room",
        direction="inbound",
        status="ringing",
        created_at=START,
        started_at=START,
        version="1",
        room_sid=room_sid,
        sip_call_id=sip_call_id,
    )


async def test_an_event_counts_once(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        inbox = WebhookInbox(stores.database)
        assert await inbox.add("EV_1", "participant_joined", caller(), NOW)
        assert not await inbox.add("EV_1", "participant_joined", caller(), NOW)
        assert await inbox.take(NOW, 9) == [caller()]
        assert not await inbox.add("EV_1", "participant_joined", caller(), NOW)
        assert await inbox.take(NOW, 9) == []


async def test_a_call_is_found_by_the_id_of_the_event_that_announced_it(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await WebhookInbox(stores.database).add("EV_one", "participant_joined", caller(), NOW)
        await stores.calls.create(row("call_a"))
        await stores.calls.create(row("call_b", room_sid="RM_2"))

        found, _ = await stores.calls.list(CallFilter(webhook="EV_o"), limit=9)
        nobody, _ = await stores.calls.list(CallFilter(webhook="EV%"), limit=9)

    assert [call.call_id for call in found] == ["call_a"]
    assert nobody == []


async def test_an_event_is_forgotten_after_an_hour(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        inbox = WebhookInbox(stores.database)
        await inbox.add("EV_1", "participant_joined", caller(), NOW)
        assert await inbox.add("EV_2", "participant_joined", caller(2), NOW + timedelta(minutes=61))
        assert [each.identity for each in await inbox.take(NOW, 9)] == ["sip_2"]


async def test_a_telephone_call_is_taken_once(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(row("call_a"))
        with pytest.raises(CallTaken):
            await stores.calls.create(row("call_b"))
        await stores.calls.create(row("call_c", sip_call_id="SCL_2"))
        assert [call.call_id for call in await stores.calls.of_room("RM_1")] == ["call_a", "call_c"]


async def test_any_number_of_calls_may_have_no_telephone_identity(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        for call_id in ("call_a", "call_b"):
            await stores.calls.create(row(call_id, None, None))
        assert await stores.calls.count_live() == 2


async def test_an_erased_call_leaves_nothing_in_the_inbox(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        inbox = WebhookInbox(stores.database)
        await inbox.add("EV_1", "participant_joined", caller(), NOW)
        await stores.calls.create(replace(row("call_a"), status="ended", ended_at=END, end_reason="caller_hangup"))
        await stores.calls.delete("call_a")
        assert await inbox.take(NOW, 9) == []


async def test_a_caller_whose_call_lost_the_room_may_be_answered_again_by_one(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(replace(row("call_a"), status="ended", end_reason="media_lost"))
        await stores.calls.create(row("call_b"))

        with pytest.raises(CallTaken):
            await stores.calls.create(row("call_c"))


@pytest.mark.parametrize("reason", ["caller_hangup", "crashed", "transferred", "media_timeout"])
async def test_a_caller_whose_call_ended_in_another_way_is_not_answered_again(tmp_path: Path, reason: str) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(replace(row("call_a"), status="ended", end_reason=reason))

        with pytest.raises(CallTaken):
            await stores.calls.create(row("call_b"))
