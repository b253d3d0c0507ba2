"""Whole telephone calls through a real livekit-server, from the ring to the record."""

import asyncio
from pathlib import Path

import pytest

from sandbox.media_client import CallFailed
from sandbox.score import Score, hangs_up, interrupts, presses, says, waits, waits_for_agent, waits_for_end
from tests.room.house import GREETING, NUMBER, OUR_NUMBER, house, joined
from tests.room.servers import LiveKitServer
from tests.room.sound import delay_at, heard_agent, is_silent, recorded_agent, utterances

pytestmark = pytest.mark.room

WHOLE_CALL = Score(
    "whole",
    "ru",
    (
        waits_for_agent(),
        says("Когда вы открыты?"),
        interrupts("Подождите, меня интересует суббота.", 1.2),
        waits_for_agent(),
        presses("5"),
        waits_for_agent(),
        says("Спасибо, до свидания."),
        waits_for_end(),
    ),
    (
        {"text": "Мы открыты каждый день с девяти утра до шести вечера, а летом даже до восьми вечера."},
        {"text": "В субботу мы открыты до трёх часов."},
        {"text": "Вы нажали пять."},
        {
            "text": "Всего доброго, приходите к нам ещё.",
            "tool_calls": [{"name": "end_call", "arguments": {}}],
        },
    ),
    8,
)
SHORT_CALL = Score("short", "ru", (waits_for_agent(), hangs_up()), (), 8)
SAME_DELAY_SECONDS = 0.04
JITTER_SECONDS = 0.12
"""By how much the receivers of WebRTC change their buffers in the course of a call, mostly in its first seconds."""
WITHIN = 0.25
"""Seconds from the ends of an utterance, where it is compared."""


async def test_a_whole_call_is_held_and_recorded_as_it_was_heard(server: LiveKitServer, tmp_path: Path) -> None:
    async with house(server, tmp_path) as home:
        report = await home.call(WHOLE_CALL)
        record = await home.record(report.call_id)
        wav = (await home.get(f"/calls/{report.call_id}/recording")).content
        journal = (await home.get(f"/calls/{report.call_id}/events")).json()["events"]

    assert (record["direction"], record["status"], record["end_reason"]) == ("inbound", "ended", "agent_hangup")
    assert (record["caller_number"], record["called_number"]) == (NUMBER, OUR_NUMBER)
    assert record["livekit_room"].startswith(f"call_{NUMBER}_")
    assert record["provider_ids"]["sip_call_id"].startswith("SCL_")
    assert record["provider_ids"]["room_sid"].startswith("RM_")
    assert [row["data"]["digit"] for row in journal if row["type"] == "caller.dtmf"] == ["5"]

    said = [turn for turn in record["turns"] if turn["role"] == "assistant"]
    assert said[0]["text"] == GREETING
    assert [turn["interrupted"] for turn in said] == [False, True, False, False, False]
    assert said[1]["text"] != said[1]["text_generated"]
    assert said[-1]["text"] == WHOLE_CALL.replies[-1]["text"]
    interruption = report.utterances[1]
    assert interruption.agent_stopped_after is not None
    assert interruption.agent_stopped_after < 0.8

    assert report.end_reason == "room_deleted"
    recorded, heard = recorded_agent(wav), heard_agent(report)
    spoken = utterances(recorded)
    delays = [
        (delay_at(each.start + WITHIN, recorded, heard), delay_at(each.end - WITHIN, recorded, heard))
        for each in spoken
    ]
    assert len(spoken) == len(said)
    assert all(abs(at_end - at_start) < SAME_DELAY_SECONDS for at_start, at_end in delays[1:]), delays
    assert max(max(delays)) - min(min(delays)) < JITTER_SECONDS, delays
    cut = spoken[1].end + delays[1][1]
    assert is_silent(heard, cut + SAME_DELAY_SECONDS, cut + 0.4)


async def test_a_call_that_is_told_of_again_and_again_is_one_call(server: LiveKitServer, tmp_path: Path) -> None:
    async with house(server, tmp_path) as home:
        async with home.carrier.dial(NUMBER) as line:
            ids = (await home.get(f"/calls/{line.call_id}")).json()["provider_ids"]
            told = joined("EV_again", line.room_name, ids["room_sid"], ids["sip_call_id"])
            assert [await home.webhook(told) for _ in range(2)] == [200, 200]
            assert await home.webhook(joined("EV_other", line.room_name, ids["room_sid"], ids["sip_call_id"])) == 200
        await home.record(line.call_id)
        calls = (await home.get("/calls")).json()["calls"]
        figures = (await home.get("/metrics")).text
    assert [call["call_id"] for call in calls] == [line.call_id]
    assert 'voice_webhooks_total{event="participant_joined",result="duplicate"} 1.0' in figures


async def test_a_caller_who_left_before_the_webhook_came_leaves_no_room_behind(
    server: LiveKitServer, tmp_path: Path
) -> None:
    async with house(server, tmp_path) as home:
        assert await home.webhook(joined("EV_late", "call_gone", "RM_gone", "SCL_gone")) == 200
        [call] = await home.ended_calls(1)
        await home.until_no_room_is_open()
    assert (call["end_reason"], call["answered_at"]) == ("caller_hangup", None)


async def test_a_caller_who_hangs_up_while_it_rings_was_not_answered(server: LiveKitServer, tmp_path: Path) -> None:
    async with house(server, tmp_path) as home:
        async with home.carrier.ring(NUMBER) as line:
            await line.rung()
        record = await home.record(line.call_id)
        await home.until_no_room_is_open()
    assert (record["end_reason"], record["answered_at"], record["fault"]) == ("caller_hangup", None, "none")
    assert record["turns"] == []


async def test_a_caller_who_hangs_up_while_the_agent_speaks_has_heard_a_part(
    server: LiveKitServer, tmp_path: Path
) -> None:
    async with house(server, tmp_path) as home:
        report = await home.call(Score("rude", "ru", (waits(1.3), hangs_up())))
        record = await home.record(report.call_id)
    greeting = record["turns"][0]
    assert (record["end_reason"], record["status"]) == ("caller_hangup", "ended")
    assert greeting["interrupted"]
    assert GREETING.startswith(greeting["text"])
    assert len(greeting["text"]) < len(GREETING)


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
        assert asyncio.get_running_loop().time() - began < 2
        [refused] = await home.ended_calls(1)
        assert refused["call_id"] != first.call_id
    assert (refused["end_reason"], refused["caller_number"]) == ("rejected_capacity", "+79990000005")


# The last one: LiveKit goes on trying to deliver its webhooks, for which nobody listens here.
async def test_a_call_whose_webhook_never_comes_is_found(server: LiveKitServer, tmp_path: Path) -> None:
    async with house(server, tmp_path, hears_webhooks=False) as home:
        report = await home.call(SHORT_CALL)
        record = await home.record(report.call_id)
    assert record["end_reason"] == "caller_hangup"
    assert record["turns"][0]["text"] == GREETING
