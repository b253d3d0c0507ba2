"""A simulated call as a conversation, against a scripted service, in real time and real sound."""

import asyncio
import wave
from pathlib import Path

import numpy as np
import pytest

from sandbox.caller.caller import Caller
from sandbox.caller.events import (
    AgentStarted,
    AgentStopped,
    CallerDone,
    CallerEvent,
    CallerPresses,
    CallerSpeaks,
    Connected,
    Ended,
    Journaled,
    Ready,
)
from sandbox.caller.report import Cleared
from sandbox.caller.score import (
    backchannels,
    coughs,
    hangs_up,
    presses,
    says,
    waits_for_agent,
    waits_for_end,
)
from tests.sandbox.media_server import (
    CALL_ID,
    RATE,
    Leg,
    answering_service,
    calling,
    media_server,
    score,
    silent_service,
    tone,
    tone_speech,
)

QUICK = 0.1


async def test_a_session_is_opened_with_key_number_and_metadata() -> None:
    async with calling(silent_service, api_key="k") as (caller, server):
        report = await caller.call(score(hangs_up()), number="+79990000000", metadata={"a": 1})

    path, headers, body = server.posts[0]
    assert (path, headers["authorization"]) == ("/media/sessions", "Bearer k")
    assert body == {"events": "all", "caller": "+79990000000", "metadata": {"language_hint": "en", "a": 1}}
    assert server.legs[0].start["format"] == {"encoding": "pcm_s16le", "sample_rate": RATE}
    assert server.legs[0].start["events"] is True
    assert (report.call_id, report.ended_by, report.end_reason, report.close_code) == (
        CALL_ID,
        "caller",
        "caller_hangup",
        1000,
    )
    assert report.completed


async def test_the_answer_is_timed_from_the_last_sample_said_to_the_first_heard() -> None:
    async with calling(answering_service) as (caller, server):
        report = await caller.call(score(says("hello"), waits_for_agent(QUICK)))

    answer = report.agent_spans[0]
    last_frame_left = server.legs[0].audio[round(report.utterances[0].ended_at / 0.02) - 1][0] - report.ready_at
    assert report.responses == (answer.start - report.utterances[0].ended_at,)
    assert last_frame_left <= answer.start < last_frame_left + 0.2
    assert list(report.arrivals) == [pytest.approx(answer.start, abs=0.001)]
    assert [step.kind for step in report.steps] == ["says", "waits_for_agent"]
    assert report.steps[1].ended_at >= answer.end + QUICK


async def test_a_word_of_attention_and_a_cough_are_heard_over_the_agent_and_are_not_answered() -> None:
    async def service(leg: Leg) -> None:
        await leg.ready()
        await leg.say(tone(2.5))  # of which both take less than one, and making their sound takes time, too
        await leg.expect("stop")
        await leg.end("caller_hangup")

    async with calling(service) as (caller, _server):
        report = await caller.call(
            score(backchannels("aha", after=0.1), coughs(after=0.1, seconds=0.06), waits_for_agent(QUICK))
        )

    agent = report.agent_spans[0]
    assert agent.seconds == pytest.approx(2.5, abs=0.002)
    assert [utterance.kind for utterance in report.utterances] == ["backchannels", "coughs"]
    assert all(agent.start < utterance.started_at < utterance.ended_at < agent.end for utterance in report.utterances)
    assert [utterance.answered_after for utterance in report.utterances] == [None, None]
    assert report.responses == ()


async def test_keys_are_pressed_in_order() -> None:
    async with calling(silent_service) as (caller, server):
        await caller.call(score(presses("5#")))

    digits = [message["digit"] for message in server.legs[0].messages if message["type"] == "dtmf"]
    assert digits == ["5", "#"]


async def test_what_is_queued_when_the_agent_hangs_up_is_still_heard() -> None:
    async def service(leg: Leg) -> None:
        await leg.ready()
        await leg.say(tone(0.2))
        await leg.end()

    async with calling(service) as (caller, _server):
        report = await caller.call(score(waits_for_agent(), waits_for_end()))

    assert (report.ended_by, report.end_reason, report.close_code) == ("agent", "agent_hangup", 1000)
    assert report.agent_spans[0].seconds == pytest.approx(0.2, abs=0.002)
    assert report.completed


async def test_an_agent_who_hangs_up_early_leaves_the_score_incomplete() -> None:
    async def service(leg: Leg) -> None:
        await leg.ready()
        await leg.end("max_duration")

    async with calling(service) as (caller, _server):
        report = await caller.call(score(waits_for_agent(), says("hello")))

    assert (report.completed, report.end_reason, report.steps) == (False, "max_duration", ())


async def test_words_that_the_end_of_the_call_cut_off_were_not_said() -> None:
    async def service(leg: Leg) -> None:
        await leg.ready()
        await leg.until_caller_speaks()
        await leg.end()

    async with calling(service) as (caller, _server):
        report = await caller.call(score(says("a sentence of sixty letters " * 2), waits_for_end()))

    assert report.utterances[0].ended_at == report.ended_at
    assert len(report.said[0].samples) == round((report.ended_at - report.said[0].at) * RATE)
    assert not report.completed


async def test_events_are_emitted_as_the_call_happens() -> None:
    row = {"seq": 1, "type": "call.created"}

    async def service(leg: Leg) -> None:
        await leg.ready()
        await leg.until_caller_has_spoken()
        await leg.send(type="event", event=row)
        await leg.say(tone(0.1))
        await leg.expect("dtmf")
        await leg.say(tone(5.0))
        await leg.until(lambda: sum(message["type"] == "dtmf" for message in leg.messages) == 2)
        await leg.send(type="clear")
        await leg.expect("cleared")
        await leg.end()

    events: list[CallerEvent] = []
    async with calling(service, on_event=events.append) as (caller, _server):
        report = await caller.call(score(says("hello"), waits_for_agent(0.35), presses("12"), waits_for_end()))

    assert [type(event) for event in events] == [
        Connected,
        Ready,
        CallerSpeaks,
        CallerDone,
        Journaled,
        AgentStarted,
        AgentStopped,
        CallerPresses,
        AgentStarted,
        CallerPresses,
        Cleared,
        Ended,
    ]
    assert [event.at for event in events if isinstance(event, AgentStarted)] == [
        span.start for span in report.agent_spans
    ]
    assert [event.text for event in events if isinstance(event, CallerSpeaks)] == ["hello"]
    assert report.events == (row,)
    assert events[1] == Ready(report.ready_at)
    assert events[-1] == Ended(report.ended_at, "agent", "agent_hangup")


async def test_the_recording_has_the_caller_left_and_what_he_heard_right(tmp_path: Path) -> None:
    async with calling(answering_service) as (caller, _server):
        report = await caller.call(score(says("hello"), waits_for_agent(QUICK)))
    report.write_wav(tmp_path / "call.wav")

    with wave.open(str(tmp_path / "call.wav")) as wav:
        assert (wav.getnchannels(), wav.getframerate(), wav.getsampwidth()) == (2, RATE, 2)
        left, right = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2).T
    said, answer = report.utterances[0], report.agent_spans[0]
    assert np.flatnonzero(left)[0] == round(said.started_at * RATE)
    assert abs(np.flatnonzero(right)[0] - round(answer.start * RATE)) <= 1
    assert len(left) >= round(report.ended_at * RATE)


async def test_many_calls_at_once_share_one_caller_and_speak_each_text_once() -> None:
    spoken: list[str] = []

    def speak(text: str, language: str, sample_rate: int) -> bytes:
        spoken.append(text)
        return tone_speech(text, language, sample_rate)

    async with (
        media_server(answering_service) as server,
        Caller(server.url, speak) as caller,
        asyncio.TaskGroup() as calls,
    ):
        made = [
            calls.create_task(caller.call(score(says("hello"), waits_for_agent(QUICK))), name=f"call-{index}")
            for index in range(5)
        ]

    assert spoken == ["hello"]
    assert [len(call.result().responses) for call in made] == [1] * 5
