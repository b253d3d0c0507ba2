"""Calls that nobody can serve, from the last failure to the human or the message, as the caller hears them."""

import asyncio
from dataclasses import replace

import pytest

from app.errors import BreakerOpen, ProviderRejected, ProviderUnavailable, TransferFailed
from app.models import TranscriptionResult
from app.ports.streams import StreamLost
from tests.calls.fakes import AGENT, LINES, POLICY, LiveCall, ScriptedTelephony, World, live_call
from tests.calls.far_end import TELEPHONE, FarEnd
from tests.calls.vendors import Answer, ScriptedModel
from tests.media.signals import Signal, encoded, frames, silence, speech

VIRTUAL_TIME = True

NO_MODEL = ProviderRejected("openai", "the key is wrong", status=401)
NO_EARS = ProviderUnavailable("deepgram", "no connection")
TAKES_MESSAGES = replace(AGENT, policy=replace(POLICY, takes_messages=True))
MESSAGE = "Please call Anna about the invoice"
SILENCE_SECONDS = 2.0


def a_world(**parts: object) -> World:
    world = World(agent=TAKES_MESSAGES, **parts)  # type: ignore[arg-type]  # any of the world's own fields
    world.transcription.transcribes = [TranscriptionResult(MESSAGE, 0.9, "en", 6.0)]
    return world


async def without_a_model(call: LiveCall) -> None:
    """The second answer in a row is lost."""
    call.says("I want to pay")
    await call.until("agent.finished", heard=LINES.apology)
    call.says("I said I want to pay")


async def hears(call: LiveCall, sound: Signal) -> None:
    """The line brings that sound, at its pace."""
    for frame in frames(encoded(sound, TELEPHONE), TELEPHONE):
        await call.frames(frame)
        await asyncio.sleep(0.02)


async def leaves_a_message_that_nothing_hears(call: LiveCall) -> None:
    call.hears(StreamLost(NO_EARS, final=True))
    await call.until("agent.finished", heard=LINES.message)
    await hears(call, speech(6, 8000))


# --- a human ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["model", "hearing"])
async def test_a_human_takes_the_call(lost: str) -> None:
    world = a_world(
        model=ScriptedModel(Answer(fails=NO_MODEL)),
        targets={"fallback": "+79990000009"},
        telephony=ScriptedTelephony("refer"),
    )

    async with live_call(world, FarEnd()) as call:
        if lost == "model":
            await without_a_model(call)
        else:
            call.hears(StreamLost(NO_EARS, final=True))
        await call.ended()

    assert isinstance(world.telephony, ScriptedTelephony)
    assert [to for to, _ in world.telephony.called] == ["+79990000009"]
    assert call.turns()[-1] == ("assistant", LINES.unserved)
    assert call.body.record.end_reason == "transferred"


async def test_when_the_human_cannot_be_reached_the_caller_leaves_a_message() -> None:
    world = a_world(
        model=ScriptedModel(Answer(fails=NO_MODEL)),
        targets={"fallback": "+79990000009"},
        telephony=ScriptedTelephony(TransferFailed("no_answer")),
    )

    async with live_call(world, FarEnd()) as call:
        await without_a_model(call)
        await call.until("agent.finished", heard=LINES.message)
        call.says(MESSAGE)
        await call.ended()

    assert (call.body.record.end_reason, call.body.record.fault) == ("message_taken", "provider:openai")


async def test_a_caller_without_a_telephone_leaves_a_message_at_once() -> None:
    world = a_world(model=ScriptedModel(Answer(fails=NO_MODEL)), targets={"fallback": "+79990000009"})

    async with live_call(world, FarEnd()) as call:
        await without_a_model(call)
        await call.until("agent.finished", heard=LINES.message)
        call.says(MESSAGE)
        await call.ended()

    assert call.rows_of("transfer.started") == []
    assert call.body.record.end_reason == "message_taken"


# --- a message -------------------------------------------------------------------------------------------------------


async def test_a_message_goes_into_the_record_and_out_with_the_end_of_the_call() -> None:
    world = a_world(model=ScriptedModel(Answer(fails=NO_MODEL)))

    async with live_call(world, FarEnd()) as call:
        await without_a_model(call)
        await call.until("agent.finished", heard=LINES.message)
        call.says(MESSAGE)
        await call.ended()

    message = call.body.record.message
    assert message is not None
    assert (message.text, message.heard) == (MESSAGE, "live")
    assert call.turns()[-3:] == [
        ("user", MESSAGE),
        ("assistant", LINES.message_more),
        ("assistant", LINES.message_thanks),
    ]
    ending = world.journal.endings[call.call_id]
    assert ending.summary is not None
    assert ending.summary["message"] == {"text": MESSAGE, "heard": "live"}
    assert world.transcription.recordings == []


async def test_a_message_that_no_stream_hears_is_transcribed_as_a_recording() -> None:
    world = a_world()

    async with live_call(world, FarEnd()) as call:
        await leaves_a_message_that_nothing_hears(call)
        spoken = asyncio.get_running_loop().time()
        await hears(call, silence(9, 8000))
        await call.ended()
        assert asyncio.get_running_loop().time() - spoken < 15

    message = call.body.record.message
    assert message is not None
    assert (message.text, message.heard) == (MESSAGE, "recording")
    assert (call.body.record.end_reason, call.body.record.fault) == ("message_taken", "provider:deepgram")
    assert call.turns()[-1] == ("assistant", LINES.message_thanks)
    assert MESSAGE in world.journal.endings[call.call_id].said
    (recording,) = world.transcription.recordings
    assert 6 <= TELEPHONE.seconds(recording) < 20, "from the request to the end of the message"
    used = [row.data for row in call.rows_of("provider.used") if row.data["stage"] == "listen"]
    assert used[0]["seconds"] == 6.0
    assert used[0]["cost"] > 0


async def test_a_caller_who_hangs_up_has_their_message_transcribed_all_the_same() -> None:
    world = a_world()
    world.transcription.transcription_takes = 8.0

    async with live_call(world, FarEnd()) as call:
        await leaves_a_message_that_nothing_hears(call)
        call.body.leave("caller_hangup")
        await call.ended()

    message = call.body.record.message
    assert message is not None
    assert (message.text, call.body.record.end_reason) == (MESSAGE, "message_taken")


async def test_a_transcription_that_hangs_does_not_keep_the_line_open() -> None:
    world = a_world()
    world.transcription.transcription_takes = 3600.0

    async with live_call(world, FarEnd()) as call:
        await leaves_a_message_that_nothing_hears(call)
        await hears(call, silence(9, 8000))
        thanked = await call.until("agent.finished", heard=LINES.message_thanks)
        await call.ended()
        assert call.now - thanked.t < SILENCE_SECONDS + 0.5

    message = call.body.record.message
    assert message is not None
    assert (message.text, message.heard) == ("", "none")


async def test_a_transcription_that_is_refused_for_a_moment_is_asked_for_again() -> None:
    world = a_world()
    world.transcription.transcribes.insert(0, BreakerOpen("deepgram", "not asked, it failed too often just now"))
    world.transcription.transcription_takes = 0.1

    async with live_call(world, FarEnd()) as call:
        await leaves_a_message_that_nothing_hears(call)
        await hears(call, silence(9, 8000))
        await call.ended()

    assert len(world.transcription.recordings) == 2
    assert call.body.record.message is not None
    assert call.body.record.message.text == MESSAGE


async def test_a_transcription_that_fails_is_in_the_record_and_the_message_is_taken_as_sound() -> None:
    world = a_world()
    world.transcription.transcribes = [ProviderRejected("deepgram", "the key is wrong", status=401)]

    async with live_call(world, FarEnd()) as call:
        await leaves_a_message_that_nothing_hears(call)
        await hears(call, silence(9, 8000))
        await call.ended()

    assert len(world.transcription.recordings) == 1
    assert call.body.record.end_reason == "message_taken"
    assert call.body.record.message is not None
    assert call.body.record.message.heard == "none"
    assert [failure.stage for failure in call.body.record.failures] == ["listen", "listen"]


async def test_the_sound_of_a_call_without_a_message_is_not_kept() -> None:
    world = a_world()

    async with live_call(world, FarEnd()) as call:
        await hears(call, speech(2, 8000))
        assert call.body._message is not None
        assert call.body._message._audio is None


# --- known before the call -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("down", ["hearing", "model", "voice"])
async def test_a_new_caller_hears_at_once_that_nothing_works(down: str) -> None:
    world = a_world()
    world.transcription.is_down = down == "hearing"
    world.model.is_down = down == "model"
    world.voice.is_known_down = down == "voice"

    async with live_call(world, FarEnd()) as call:
        assert call.turns() == [("assistant", LINES.message)]
        call.says(MESSAGE)
        await call.ended()

    assert call.body.record.end_reason == "message_taken"


async def test_a_new_caller_is_put_through_at_once() -> None:
    world = a_world(targets={"fallback": "+79990000009"}, telephony=ScriptedTelephony("refer"))
    world.transcription.is_down = True

    async with live_call(world, FarEnd()) as call:
        await call.ended()

    assert call.turns() == [("assistant", LINES.unserved)]
    assert call.body.record.end_reason == "transferred"


async def test_when_it_works_again_the_next_caller_is_greeted() -> None:
    world = a_world()
    world.transcription.is_down = True
    async with live_call(world, FarEnd()):
        pass
    world.transcription.is_down = False

    async with live_call(world, FarEnd(), call_id="call-2") as call:
        assert call.turns() == [("assistant", LINES.greeting)]
