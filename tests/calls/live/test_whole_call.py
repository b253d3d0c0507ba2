"""Calls from the greeting to the end, in virtual time."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from app.redaction.finder import Finder
from tests.calls.fakes import AGENT, LINES, LiveCall, World, live_call
from tests.calls.far_end import TELEPHONE, FarEnd
from tests.calls.vendors import Answer, ScriptedModel

VIRTUAL_TIME = True

LONG = "We open at nine on weekdays. On Saturday we open at ten, and on Sunday we stay closed. Come when you like."


async def asks(call: LiveCall, text: str, answers: int) -> None:
    """The caller says something, and hears the answer to its end."""
    call.says(text)
    await call.until("agent.finished", answers)


async def test_a_call_is_greeted_answered_and_ended_and_all_of_it_is_in_the_record() -> None:
    world = World(model=ScriptedModel(Answer("At nine."), Answer("You are welcome. Goodbye!", tool="end_call")))
    far_end = FarEnd()

    async with live_call(world, far_end) as call:
        await asks(call, "When do you open?", 2)
        call.says("Thank you, that is all.")
        await call.ended()

    assert call.turns() == [
        ("assistant", LINES.greeting),
        ("user", "When do you open?"),
        ("assistant", "At nine."),
        ("user", "Thank you, that is all."),
        ("assistant", "You are welcome. Goodbye!"),
    ]
    assert (call.body.record.end_reason, call.body.record.fault) == ("agent_hangup", "none")
    assert far_end.ended == "agent_hangup"
    assert far_end.heard == b"".join(utterance.audio for utterance in world.voice.of_call("call-1"))


async def test_a_call_of_ninety_seconds_takes_no_time_and_leaves_no_task() -> None:
    """Its quiet minutes, too, have somebody who owns them."""
    async with live_call(World(model=ScriptedModel(Answer(LONG))), FarEnd()) as call:
        for number in range(8):
            await asyncio.sleep(4)
            await asks(call, "Tell me more about it, please.", number + 2)
        assert call.now > 75

    assert len(call.turns()) == 17


async def test_the_first_clause_is_spoken_while_the_rest_is_being_written() -> None:
    world = World(model=ScriptedModel(Answer(LONG, first_token=0.3, each_token=0.1)))
    far_end = FarEnd()

    async with live_call(world, far_end) as call:
        asked_at = call.now
        call.says("When do you open?")
        started = await call.until("agent.reply_started", 2)
        written = await call.until("agent.reply_generated", 2)
        await call.until("agent.finished", 2)

    utterance = world.voice.of_call("call-1")[-1]
    assert [text.strip() for text in utterance.said] == [
        "We open at nine on weekdays.",
        "On Saturday we open at ten, and on Sunday we stay closed.",
        "Come when you like.",
    ]
    assert started.t - asked_at == pytest.approx(0.3 + 6 * 0.1 + 0.1, abs=0.003)
    assert written.t - started.t > 1.0
    assert far_end.heard[-2:] == utterance.audio[-2:]


async def test_the_stages_of_an_answer_are_what_they_were() -> None:
    world = World(model=ScriptedModel(Answer("At nine. Come in.", first_token=0.3, each_token=0.05)))

    async with live_call(world, FarEnd()) as call:
        await asks(call, "When do you open?", 2)

    latency = call.body.record.turns[-1].latency
    assert latency is not None
    assert latency["llm_first_token"] == pytest.approx(0.3, abs=0.001)
    assert latency["first_clause"] == pytest.approx(0.1, abs=0.001)
    assert latency["tts_first_audio"] == pytest.approx(0.1, abs=0.001)
    assert latency["playout"] == pytest.approx(0.0, abs=0.001)
    assert latency["total"] == pytest.approx(0.5, abs=0.003)
    assert latency["budget_kept"]


async def test_clauses_are_written_down_when_their_first_frame_leaves() -> None:
    world = World(model=ScriptedModel(Answer(LONG)))

    async with live_call(world, FarEnd()) as call:
        await asks(call, "When do you open?", 2)

    clauses = [row for row in call.rows_of("agent.clause_started") if row.data["speech"] == 2]
    started = call.rows_of("agent.reply_started")[1].t
    assert "".join(row.data["text"] for row in clauses) == LONG
    for row in clauses:
        leaves_after = max(0.0, row.data["start_sample"] / TELEPHONE.sample_rate - world.lead)
        assert row.t - started == pytest.approx(leaves_after, abs=0.061)  # three frames leave at a time


async def test_sound_leaves_at_real_time_and_never_more_than_the_lead_ahead() -> None:
    far_end = FarEnd()
    async with live_call(World(model=ScriptedModel(Answer(LONG))), far_end) as call:
        began = call.now
        await asks(call, "When do you open?", 2)

    frames = [sent for sent in far_end.sends_of("audio") if sent.at >= began]
    first, seconds = frames[0].at, 0.0
    for sent in frames:
        seconds += TELEPHONE.seconds(sent.value)
        assert seconds <= sent.at - first + 0.2 + 1e-6
    assert [TELEPHONE.samples(sent.value) for sent in frames[1:-1]] == [480] * (len(frames) - 2)
    gaps = [round(after.at - before.at, 6) for before, after in pairwise(frames)]
    assert gaps == [0.06] * (len(gaps) - 1) + [0.02], "the last frame alone needs less room"
    assert len(far_end.first_heard_at) == 2, "each utterance was heard without a gap"


async def test_nothing_is_sent_between_utterances() -> None:
    far_end = FarEnd()
    async with live_call(World(), far_end) as call:
        sent = len(far_end.sent)
        await asyncio.sleep(5)
        assert len(far_end.sent) == sent
        assert call.now > 6


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.15])
async def test_an_utterance_has_ended_when_its_mark_comes_back(delay: float) -> None:
    """From the second one on: whether marks come back at all is known after the first."""
    far_end = FarEnd(delay=delay, buffer=0.04)
    async with live_call(World(model=ScriptedModel(Answer("At nine. Come in."))), far_end) as call:
        await asyncio.sleep(1)
        call.says("When do you open?")
        finished = await call.until("agent.finished", 2)

    seconds = TELEPHONE.seconds(call.world.voice.of_call("call-1")[-1].audio)
    true_end = far_end.first_heard_at[1] + seconds
    assert call.began + finished.t == pytest.approx(true_end + delay, abs=0.002)
    assert len(far_end.sends_of("mark")) == 2


async def test_without_marks_an_utterance_has_ended_when_its_time_is_over() -> None:
    far_end = FarEnd(delay=0.0, echoes_marks=False)
    async with live_call(World(model=ScriptedModel(Answer("At nine. Come in."))), far_end) as call:
        await asks(call, "When do you open?", 2)
        finished = call.rows_of("agent.finished")[1]

    seconds = TELEPHONE.seconds(call.world.voice.of_call("call-1")[-1].audio)
    assert call.began + finished.t == pytest.approx(far_end.first_heard_at[1] + seconds, abs=0.002)


async def test_a_far_end_that_stops_echoing_marks_holds_the_call_up_for_half_a_second_only() -> None:
    far_end = FarEnd(delay=0.0)
    async with live_call(World(model=ScriptedModel(Answer("At nine. Come in."))), far_end) as call:
        await asyncio.sleep(0.1)
        far_end.echoes_marks = False
        await asks(call, "When do you open?", 2)
        finished = call.rows_of("agent.finished")[1]

    seconds = TELEPHONE.seconds(call.world.voice.of_call("call-1")[-1].audio)
    assert call.began + finished.t == pytest.approx(far_end.first_heard_at[1] + seconds + 0.5, abs=0.002)


async def test_an_operators_text_follows_the_current_utterance() -> None:
    world = World(model=ScriptedModel(Answer(LONG)))
    async with live_call(world, FarEnd()) as call:
        call.says("When do you open?")
        await call.until("agent.reply_started", 2)
        call.operator_says("Your taxi is here.")
        await call.until("agent.finished", 3)

    assert call.turns()[-2:] == [("assistant", LONG), ("assistant", "Your taxi is here.")]
    assert call.world.voice.of_call("call-1")[-1].said == ["Your taxi is here. "]


async def test_a_leg_that_asked_for_events_is_shown_every_row() -> None:
    far_end = FarEnd(wants_events=True)
    async with live_call(World(), far_end) as call:
        await asks(call, "When do you open?", 2)

    assert [row["seq"] for row in far_end.rows] == [row.seq for row in call.rows]
    assert far_end.rows[0]["type"] == "call.created"
    assert far_end.rows[-1]["type"] == "call.ended"


async def test_a_call_that_redacts_works_with_the_words_and_shows_and_stores_none() -> None:
    far_end, model = FarEnd(wants_events=True), ScriptedModel(Answer("Your card is 4539 5787 6362 1486."))
    world = World(model=model, agent=replace(AGENT, redact=("cards",), finder=Finder(("cards",))))
    async with live_call(world, far_end) as call:
        call.says("Take 4539 5787 6362 1486, please.")
        await call.until("agent.finished", 2)

    assert call.turns()[-2:] == [("user", "Take [card], please."), ("assistant", "Your card is [card].")]
    assert "4539" not in str([far_end.rows, call.rows])
    assert "Take 4539 5787 6362 1486, please." in str(model.asked)


async def test_a_leg_that_did_not_ask_for_events_is_shown_none() -> None:
    far_end = FarEnd()
    async with live_call(World(), far_end):
        pass

    assert far_end.rows == []


async def test_all_that_the_caller_sends_is_transcribed() -> None:
    async with live_call(World(), FarEnd()) as call:
        for number in range(10):
            await call.frames(bytes([number]) * 320)
        assert call.transcription.heard == [bytes([number]) * 320 for number in range(10)]

    assert not call.transcription.is_open
    billed = [row.data for row in call.rows_of("provider.used") if row.data["provider"] == "deepgram"]
    assert [row["seconds"] for row in billed] == [0.2]


async def test_handle_call_end_returns_when_the_last_row_is_safe() -> None:
    async with live_call(World(), FarEnd()) as call:
        await call.body.handle_call_end(call.context)
        assert call.rows[-1].type == "call.ended"
        assert call.world.journal.flushes[-1] == call.call_id

    assert call.body.record.end_reason == "caller_hangup"


async def test_health_shows_whether_the_call_runs() -> None:
    async with live_call(World(), FarEnd()) as call:
        assert (await call.body.get_health_status()).status == "ok"

    assert (await call.body.get_health_status()).status == "failed"


@pytest.mark.parametrize("is_analysed", [True, False])
async def test_the_end_of_a_call_says_whether_it_is_to_be_summed_up(is_analysed: bool) -> None:
    world = World(agent=replace(AGENT, is_analysed=is_analysed))
    async with live_call(world, FarEnd()) as call:
        call.says("When do you open?")
        await call.until("agent.finished")

    assert world.journal.endings["call-1"].is_analysed is is_analysed
