"""The recording of a call holds what was heard, where it was heard."""

import asyncio
import io
import wave
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from app.conversation import events as ev
from media.whole_recording import WholeRecording
from tests.calls.fakes import AGENT, POLICY, LiveCall, World, live_call
from tests.calls.far_end import FarEnd
from tests.calls.vendors import Answer, ScriptedModel

VIRTUAL_TIME = True

RATE = 8000
ASKS = replace(AGENT, policy=replace(POLICY, asks_consent=True))
STORY = "We open at nine on weekdays. On Saturday we open at ten, and on Sunday we stay closed. Come when you like."


def agents_side(folder: Path) -> npt.NDArray[np.uint16]:
    return sides(folder)[1]


def sides(folder: Path) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """Caller, agent."""
    with closing(WholeRecording(folder / "call-1")) as whole:
        content = b"".join(whole.read(0, whole.size))
    with wave.open(io.BytesIO(content)) as wav:
        both = np.frombuffer(wav.readframes(wav.getnframes()), "<u2").reshape(-1, 2)
        return both[:, 0], both[:, 1]


def said(call: LiveCall) -> list[npt.NDArray[np.uint16]]:
    return [np.frombuffer(utterance.audio, "<u2") for utterance in call.world.voice.of_call("call-1")]


def answered_at(call: LiveCall) -> float:
    return call.far_end.sent[0].at


async def test_the_agents_voice_is_where_it_was_heard(tmp_path: Path) -> None:
    world = World(model=ScriptedModel(Answer(STORY)), recordings=tmp_path)
    async with live_call(world, FarEnd(delay=0.0)) as call:
        await asyncio.sleep(1)
        call.says("When do you open?")
        await call.until("agent.finished", 2)

    recorded = agents_side(tmp_path)
    for begins, sound in zip(call.far_end.first_heard_at, said(call), strict=True):
        start = round((begins - answered_at(call)) * RATE)
        assert (recorded[start : start + len(sound)] == sound).all()


async def test_what_was_cut_is_not_in_it_and_what_was_resumed_is_there_once(tmp_path: Path) -> None:
    world = World(model=ScriptedModel(Answer(STORY)), recordings=tmp_path)
    async with live_call(world, FarEnd(delay=0.03, buffer=0.05)) as call:
        call.says("When do you open?")
        await call.until("agent.reply_started", 2)
        await asyncio.sleep(1.0)
        call.body.emit(ev.CallerSoundStarted(call.now))
        await call.until("agent.resumed")
        await asyncio.sleep(1.0)
        call.body.emit(ev.CallerSoundStarted(call.now))
        await asyncio.sleep(0.3)
        call.body.emit(ev.CallerWords("no wait, tomorrow please"))
        await call.until("agent.interrupted")

    recorded = agents_side(tmp_path)
    heard = np.frombuffer(call.far_end.heard, "<u2")
    assert (recorded[recorded > 0] == heard[heard > 0]).all()


async def test_a_process_that_dies_in_a_silence_has_written_what_was_said_before(tmp_path: Path) -> None:
    world = World(recordings=tmp_path)
    async with live_call(world, FarEnd(delay=0.0)):
        await asyncio.sleep(1.4)
        world.wait_recorded()
        recorded = agents_side(tmp_path)
        sound = np.frombuffer(world.voice.utterances[0].audio, "<u2")
        assert np.count_nonzero(recorded) >= len(sound) - 0.25 * RATE


async def test_after_a_stall_of_their_line_the_caller_is_where_they_were_heard(tmp_path: Path) -> None:
    world, frame = World(recordings=tmp_path), RATE // 50
    async with live_call(world, FarEnd(delay=0.0)) as call:
        first = call.far_end.sent[0].at

        async def sends(values: range, *, behind: int = 0) -> None:
            """In real time, each frame with a value of its own; those behind come at once."""
            for number, value in enumerate(values):
                if number >= behind:
                    await asyncio.sleep(0.02)
                await call.frames(np.full(frame, value, "<u2").tobytes())

        began = asyncio.get_running_loop().time() - first
        await sends(range(1, 51))
        await asyncio.sleep(1.0)
        await sends(range(51, 151), behind=50)

    caller = sides(tmp_path)[0]
    for value in (1, 50, 51, 100, 101, 150):
        assert abs(np.flatnonzero(caller == value)[0] / RATE - began - (value - 1) * 0.02) <= 0.06


async def test_a_recording_that_cannot_be_kept_is_counted_and_so_is_what_the_vendor_never_got(tmp_path: Path) -> None:
    (tmp_path / "call-1").write_text("a file in the place of the folder")
    world = World(recordings=tmp_path)
    async with live_call(world, FarEnd()) as call:
        await call.greeted()
        world.transcription.streams["call-1"].dropped_seconds = 1.5

    assert world.figure("voice_recordings_failed_total") == 1
    assert world.figure("voice_audio_dropped_seconds_total") == 1.5
    assert world.figure("voice_utterances_total", kind="greeting") == 1


@pytest.mark.parametrize("answer", ["Yes, of course.", "No, I don't want that.", None])
async def test_nothing_is_recorded_before_the_caller_agrees(tmp_path: Path, answer: str | None) -> None:
    world = World(model=ScriptedModel(Answer(STORY)), recordings=tmp_path, agent=ASKS)
    async with live_call(world, FarEnd(delay=0.0)) as call:
        await call.until("agent.finished", 1)
        assert not list(tmp_path.glob("call-1/*"))
        if answer is not None:
            call.says(answer)
            await call.until("agent.finished", 2)

    agreed = answer is not None and answer.startswith("Yes")
    assert call.body.record.consent == ("given" if agreed else "refused" if answer else "unanswered")
    assert bool(list(tmp_path.glob("call-1/*"))) is agreed
    if agreed:
        question, greeting = said(call)
        start = round((call.far_end.first_heard_at[1] - answered_at(call)) * RATE)
        recorded = agents_side(tmp_path)
        assert (recorded[start : start + len(greeting)] == greeting).all()
        assert not recorded[: len(question)].any()
