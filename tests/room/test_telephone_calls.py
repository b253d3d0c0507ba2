"""Who is answered and who is not: callers at once, callers beyond the capacity, callers who are gone."""

import asyncio
from pathlib import Path

import pytest

from app.clock import iso_utc, utc_now
from app.storage.spending import Reservation
from media.legs.room_audio import ROOM_FORMAT
from sandbox.caller.media_client import CallFailed
from sandbox.caller.score import Score, hangs_up, waits_for_agent, waits_for_end
from tests.room.house import GREETING, house, joined
from tests.room.servers import LiveKitServer
from tests.storage.stores import a_call
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


async def test_a_caller_for_whom_the_day_has_no_money_hears_a_whole_sentence_and_is_let_go(
    server: LiveKitServer, tmp_path: Path
) -> None:
    told = Score("told", "ru", (waits_for_agent(), waits_for_end()), (), 15)
    async with house(server, tmp_path, max_call_cost_usd=0.5, max_day_cost_usd=0.9) as home:
        services = home.services
        plan = services.dispatcher.admission.planner.plan(ROOM_FORMAT)
        sentence, voice = plan.policy.lines["ru"].failure_goodbye, plan.voice("ru")
        async with asyncio.timeout(20):
            while (phrase := await services.dispatcher._services.phrases.get(sentence, voice, plan.tts)) is None:
                await asyncio.sleep(0.05)
        taken = a_call("call-1", status="ended", started_at=iso_utc(utc_now()))
        await services.calls.create(taken, reservation=Reservation("standard", 0.5))
        report = await home.call(told)
        refused = await home.record(report.call_id)
        await home.until_no_room_is_open()
    assert (refused["end_reason"], refused["fault"], refused["answered_at"]) == ("rejected_policy", "policy", None)
    heard = report.agent_spans[-1].end - report.agent_spans[0].start
    assert heard == pytest.approx(ROOM_FORMAT.seconds(phrase.audio), abs=0.5)
