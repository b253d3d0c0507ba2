"""Whole calls of other telephony: a conversation through Twilio, and LiveKit's track egress, which is only heard."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from sandbox.caller.caller import Caller
from sandbox.caller.control_client import ControlClient
from sandbox.caller.microphone import Sound
from sandbox.caller.score import interrupts, presses, says, waits_for_agent, waits_for_end
from sandbox.caller.twilio_line import CALL_SID, STREAM_SID, TELEPHONE, twilio_line
from tests.end_to_end.calls import END_CALL, GREETING, QUIET, Held, held, journal_of, score, speak
from tests.end_to_end.lines import ended_record_of, new_session, opened
from tests.end_to_end.service import RunningService, service_in_thread
from tests.end_to_end.test_calls import channels

NUMBER = "+70000000001"
LONG = "Приходите завтра утром прямо к открытию, тогда народу мало, и вы всё успеете ещё до обеда."
SCORE = score(
    waits_for_agent(QUIET),
    says("Когда к вам прийти?"),
    interrupts("Стойте, а сколько это стоит?", after=1.2),
    waits_for_agent(QUIET),
    presses("5#"),
    waits_for_agent(QUIET),
    says("До свидания!"),
    waits_for_end(),
    replies=(
        {"text": LONG},
        {"text": "Недорого."},
        {"text": "Поняла, пять."},
        {"text": "Пока!", "tool_calls": END_CALL},
    ),
)
OVERHEARD = "Добрый день, я хотел бы записаться на вторник."


@dataclass
class Evening:
    """Both calls, and what their far ends lived."""

    twilio: Held
    record: dict[str, Any]
    """Of the egress."""
    journal: list[dict[str, Any]]
    recording: bytes
    pong: bool
    sent_back: int
    """Messages and bytes that came back to the egress."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("dialects"), greeting=GREETING) as running:
        yield running


@pytest.fixture(scope="module")
def evening(service: RunningService) -> Evening:
    return service.run(_evening(service))


async def _evening(service: RunningService) -> Evening:
    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        twilio = tasks.create_task(_through_twilio(service), name="twilio")
        egress = tasks.create_task(_through_egress(service), name="egress")
    return Evening(twilio.result(), *egress.result())


async def _through_twilio(service: RunningService) -> Held:
    session = await new_session(service, caller=NUMBER)
    async with Caller(
        service.url, speak, sandbox_url=service.sandbox.url, telephone=TELEPHONE, longest_call_seconds=120
    ) as caller:
        report = await caller.call_through(SCORE, lambda: twilio_line(session["twiml"]))
    return await held(service, report)


async def _through_egress(
    service: RunningService,
) -> tuple[dict[str, Any], list[dict[str, Any]], bytes, bool, int]:
    """As livekit's egress does it: 10 ms at a time, 48 kHz, both channels; pings; a close without a code."""
    session = await new_session(service)
    sound = np.frombuffer(speak(OVERHEARD, "ru", 48000), "<i2")
    stereo = bytes(48000) + np.column_stack([sound, sound]).astype("<i2").tobytes() + bytes(4 * 48000 * 2)
    async with service.async_client() as http:
        control = ControlClient(http, service.sandbox.url, session["call_id"])
        await control.expect_utterance(OVERHEARD, Sound(sound.astype(np.int16), (), len(sound) / 48000), "ru")
        loop = asyncio.get_running_loop()
        async with opened(session["url"].replace("/media/", "/media/egress/")) as line:
            began = loop.time()
            for number, at in enumerate(range(0, len(stereo), 1920)):
                await line.send(stereo[at : at + 1920])
                if number == 50:
                    await line.send('{"muted":true}')
                    pong = await line.socket.ping(b"ping")
                await asyncio.sleep(began + (number + 1) * 0.01 - loop.time())
            line.socket.protocol.send_close()
            line.socket.transport.write(b"".join(line.socket.protocol.data_to_send()))
            await line.closed()
        record = await ended_record_of(service, session["call_id"])
        journal = await journal_of(http, session["call_id"])
        recording = (await http.get(f"/calls/{session['call_id']}/recording")).content
    return record, journal, recording, pong.done(), len(line.messages) + len(line.audio)


def test_a_caller_at_twilio_is_greeted_answered_and_heard(evening: Evening) -> None:
    call = evening.twilio
    assert (call.report.completed, call.report.ended_by, call.report.close_code) == (True, "agent", 1000)
    assert call.said("user") == ["Когда к вам прийти?", "Стойте, а сколько это стоит?", "[keypad] 5", "До свидания!"]
    assert [turn["text_generated"] for turn in call.record["turns"] if turn["role"] == "assistant"] == [
        GREETING,
        LONG,
        "Недорого.",
        "Поняла, пять.",
        "Пока!",
    ]
    assert max(call.report.responses) < 1.5
    assert (call.record["end_reason"], call.record["fault"], call.record["direction"]) == (
        "agent_hangup",
        "none",
        "web",
    )


def test_a_caller_at_twilio_who_interrupts_may_speak_at_once(evening: Evening) -> None:
    interruption = next(each for each in evening.twilio.report.utterances if each.kind == "interrupts")
    assert interruption.agent_stopped_after is not None
    assert interruption.agent_stopped_after < 0.4
    cut = next(turn for turn in evening.twilio.record["turns"] if turn["interrupted"])
    assert LONG.startswith(cut["text"])
    assert 0 < len(cut["text"]) < len(LONG)
    assert cut["heard"] == "estimated"


def test_the_record_knows_the_stream_and_the_caller_of_the_session(evening: Evening) -> None:
    record = evening.twilio.record
    assert record["metadata"]["twilio"] == {"stream_sid": STREAM_SID, "call_sid": CALL_SID}
    assert record["caller_number"] == NUMBER


def test_an_egress_is_transcribed_and_nobody_answers(evening: Evening) -> None:
    record = evening.record
    assert [(turn["role"], turn["text"]) for turn in record["turns"]] == [("user", OVERHEARD)]
    assert (record["end_reason"], record["fault"], record["direction"]) == ("caller_hangup", "none", "web")
    assert record["token_usage"]["completion"] == 0
    assert evening.sent_back == 0
    assert evening.journal[0]["data"]["policy"]["speaks"] is False


def test_an_egress_is_recorded_as_the_caller_in_time(evening: Evening) -> None:
    rate, caller, agent = channels(evening.recording)
    assert rate == 16000
    assert not agent.any()
    sound = np.frombuffer(speak(OVERHEARD, "ru", 16000), "<i2")
    loud = np.flatnonzero(np.abs(caller.astype(int)) > 500) / rate
    true = np.flatnonzero(np.abs(sound.astype(int)) > 500) / rate + 0.25
    assert (loud[0], loud[-1]) == (pytest.approx(true[0], abs=0.15), pytest.approx(true[-1], abs=0.15))


def test_a_ping_of_the_egress_is_answered_as_it_was_sent(evening: Evening) -> None:
    """It would not know a pong of its own; ours are off, for it answers them with what was not asked."""
    assert evening.pong
