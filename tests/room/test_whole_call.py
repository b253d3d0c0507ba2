"""A whole call through the system as it is run, from the ring to the record, and when its sounds were heard."""

import pytest

from sandbox.caller.score import Score, interrupts, presses, says, waits_for_agent, waits_for_end
from tests.room.house import GREETING, OUR_NUMBER
from tests.room.rig import Rig
from tests.room.sound import delay_at, heard_agent, is_silent, recorded_agent, utterances
from tests.support.slowness import slowness

pytestmark = [pytest.mark.room, pytest.mark.alone]

NUMBER = "+79990001000"
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
SAME_DELAY_SECONDS = 0.04
JITTER_SECONDS = 0.12
"""By how much the receivers of WebRTC change their buffers in the course of a call, mostly in its first seconds."""
WITHIN = 0.25
"""Seconds from the ends of an utterance, where it is compared."""


async def test_a_whole_call_is_held_and_recorded_as_it_was_heard(system: Rig) -> None:
    report = await system.call(WHOLE_CALL, NUMBER)
    record = await system.record(report.call_id)
    wav = (await system.get(f"/calls/{report.call_id}/recording")).content
    journal = await system.journal(report.call_id)

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
    assert interruption.agent_stopped_after < 0.8 * slowness()

    assert report.end_reason == "room_deleted"
    recorded, heard = recorded_agent(wav), heard_agent(report)
    spoken = utterances(recorded)
    delays = [
        (delay_at(each.start + WITHIN, recorded, heard), delay_at(each.end - WITHIN, recorded, heard))
        for each in spoken
    ]
    assert len(spoken) == len(said)
    assert all(abs(at_end - at_start) < SAME_DELAY_SECONDS * slowness() for at_start, at_end in delays[1:]), delays
    assert max(max(delays)) - min(min(delays)) < JITTER_SECONDS * slowness(), delays
    cut = spoken[1].end + delays[1][1]
    assert is_silent(heard, cut + SAME_DELAY_SECONDS, cut + 0.4)
