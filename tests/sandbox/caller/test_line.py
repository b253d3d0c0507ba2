"""What goes over the wire and what is really heard, frame by frame."""

import asyncio

import numpy as np
import pytest

from sandbox.caller.events import (
    CallerEvent,
    CallerPresses,
)
from sandbox.caller.media_format import MediaFormat
from sandbox.caller.score import (
    interrupts,
    presses,
    says,
    waits,
    waits_for_agent,
    waits_for_end,
)
from sandbox.carrier.telephone import Telephone
from tests.sandbox.media_server import (
    RATE,
    Leg,
    calling,
    score,
    silent_service,
    tone,
)

QUICK = 0.1


async def test_frames_of_20_ms_leave_by_the_clock_and_silence_is_sent_too() -> None:
    async with calling(silent_service) as (caller, server):
        report = await caller.call(score(waits(0.2)))

    frames = [frame for _, frame in server.legs[0].audio]
    assert {len(frame) for frame in frames} == {640}
    assert abs(len(frames) - report.ended_at / 0.02) <= 2
    assert not any(any(frame) for frame in frames)
    assert 0 <= report.lateness.p50 <= report.lateness.p99 <= report.lateness.maximum


async def test_a_stall_is_made_up_for() -> None:
    stalls = iter([0.12])

    def stall(event: CallerEvent) -> None:
        if isinstance(event, CallerPresses):
            block_the_loop(next(stalls))

    async with calling(silent_service, on_event=stall) as (caller, server):
        report = await caller.call(score(presses("5")))

    assert abs(len(server.legs[0].audio) - report.ended_at / 0.02) <= 2
    assert report.lateness.maximum > 0.1


def block_the_loop(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        pass


async def test_what_is_said_arrives_sample_for_sample_at_the_time_that_is_reported() -> None:
    async with calling(silent_service) as (caller, server):
        report = await caller.call(score(waits(0.1), says("hello")))

    sent = np.frombuffer(b"".join(frame for _, frame in server.legs[0].audio), "<i2")
    utterance, said = report.utterances[0], report.said[0]
    first = round(utterance.started_at * RATE)
    assert np.array_equal(sent[first : first + len(said.samples)], said.samples)
    assert not sent[:first].any()
    assert utterance.ended_at - utterance.started_at == pytest.approx(0.1, abs=0.002)
    assert report.caller_spans[0].start == utterance.started_at


async def test_mulaw_is_sent_and_heard_at_8000_hertz() -> None:
    async def service(leg: Leg) -> None:
        await leg.ready()
        await leg.say(b"\x8f" * 800)
        await leg.expect("stop")
        await leg.end("caller_hangup")

    async with calling(service, telephone=Telephone(MediaFormat("mulaw", 8000))) as (caller, server):
        report = await caller.call(score(waits_for_agent(QUICK), says("hi")))

    frames = [frame for _, frame in server.legs[0].audio]
    assert {len(frame) for frame in frames} == {160}
    assert frames[0] == b"\xff" * 160
    assert report.heard[0].samples.tolist() == [16764] * 800


async def test_noise_on_the_line_is_as_loud_as_was_asked() -> None:
    async with calling(silent_service, telephone=Telephone(noise_dbfs=-40.0)) as (caller, server):
        await caller.call(score(waits(0.1)))

    noise = np.frombuffer(b"".join(frame for _, frame in server.legs[0].audio), "<i2").astype(float)
    assert 20 * np.log10(np.sqrt(np.mean(noise**2)) / 32768) == pytest.approx(-40, abs=0.3)


async def test_discarded_sound_is_never_heard_and_the_played_part_is_reported() -> None:
    async def service(leg: Leg) -> None:
        await leg.ready()
        await leg.say(tone(5.0))
        await leg.until_caller_speaks()
        await leg.send(type="clear")
        await leg.expect("cleared")
        await leg.expect("stop")
        await leg.end("caller_hangup")

    async with calling(service) as (caller, server):
        report = await caller.call(score(interrupts("wait", after=0.1), waits(0.1)))

    cleared = server.legs[0].messages[1]
    heard = np.concatenate([piece.samples for piece in report.heard])
    assert cleared == {"type": "cleared", "played_samples": report.clears[0].played_samples}
    assert len(heard) == report.played_samples == report.clears[0].played_samples < report.received_samples == 5 * RATE
    assert heard.tobytes() == tone(5.0)[: 2 * len(heard)]
    assert report.utterances[0].started_at >= report.agent_spans[0].start + 0.1
    assert report.utterances[0].agent_stopped_at == pytest.approx(report.clears[0].at, abs=0.002)
    assert 0.01 < (report.utterances[0].agent_stopped_after or 0) < 0.5


async def test_a_telephone_may_answer_neither_clear_nor_mark() -> None:
    async def service(leg: Leg) -> None:
        await leg.ready()
        await leg.send(type="mark", name="a")
        await leg.send(type="clear")
        await leg.expect("stop")
        await leg.end("caller_hangup")

    async with calling(service, telephone=Telephone(acknowledges_clear=False, echoes_marks=False)) as (caller, server):
        report = await caller.call(score(waits(0.1)))

    assert len(report.clears) == 1
    assert [message["type"] for message in server.legs[0].messages] == ["start", "stop"]


async def test_a_mark_is_echoed_when_the_sound_before_it_was_played_and_not_when_it_was_thrown_away() -> None:
    echoed_at = 0.0

    async def service(leg: Leg) -> None:
        nonlocal echoed_at
        await leg.ready()
        await leg.say(tone(0.2))
        await leg.send(type="mark", name="played")
        await leg.say(tone(1.0))
        await leg.send(type="mark", name="discarded")
        await leg.expect("mark")
        echoed_at = asyncio.get_running_loop().time()
        await leg.send(type="clear")
        await leg.expect("cleared")
        await leg.send(type="mark", name="late")
        await leg.until(lambda: sum(message["type"] == "mark" for message in leg.messages) == 2)
        await leg.end()

    async with calling(service) as (caller, server):
        report = await caller.call(score(waits_for_end()))

    marks = [message["name"] for message in server.legs[0].messages if message["type"] == "mark"]
    assert marks == ["played", "late"]
    assert 0.2 <= echoed_at - report.ready_at - report.arrivals[0] < 0.3
