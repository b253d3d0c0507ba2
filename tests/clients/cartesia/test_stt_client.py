"""Cartesia's speech recognition as calls use it, against the stand-in, with production's patience."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.clients.cartesia.stt_client import CartesiaSTTClient, InkStream
from app.clients.cartesia.stt_messages import InkOptions
from app.errors import ProviderRateLimited, ProviderRejected, ProviderUnavailable
from app.ports.streams import SpeechEvent, StreamLost, StreamRestored, TurnEnded, TurnUpdated
from media.formats import AudioFormat
from sandbox.running import RunningSandbox, running_sandbox
from sandbox.vendors.cartesia.stt_faults import NAMED
from sandbox.vendors.faults import Fault
from sandbox.vendors.stage import Utterance
from tests.sandbox.sounds import RATE, frames, silence, speech

PCM = AudioFormat("pcm_s16le", RATE)
QUESTION = "when do you open"


def client_of(sandbox: RunningSandbox) -> CartesiaSTTClient:
    return CartesiaSTTClient(
        api_key="key", base_url=sandbox.cartesia_base_url, audio_format=PCM, options=InkOptions(language="en")
    )


@asynccontextmanager
async def listening(*texts: str, fault: Fault | None = None) -> AsyncIterator[tuple[RunningSandbox, InkStream]]:
    async with running_sandbox() as sandbox:
        if fault is not None:
            sandbox.stage.faults.add(fault)
        sandbox.stage.call("call-1").expect(*map(Utterance, texts))
        client = client_of(sandbox)
        try:
            async with client.listen(call_id="call-1") as stream:
                yield sandbox, stream
        finally:
            await client.aclose()


async def say(stream: InkStream, seconds: float = 1.0) -> None:
    """The caller speaks, and the detector notices it; audio comes as fast as it can be sent."""
    stream.note_sound(is_heard=True)
    for frame in frames(speech(seconds)):
        stream.send(frame)
        await asyncio.sleep(0)
    for frame in frames(silence(0.3)):
        stream.send(frame)
        await asyncio.sleep(0)
    stream.note_sound(is_heard=False)


async def until(stream: InkStream, kind: type[SpeechEvent]) -> list[SpeechEvent]:
    """The events up to the first of that kind."""
    events: list[SpeechEvent] = []
    async with asyncio.timeout(10):
        async for event in stream:
            events.append(event)
            if isinstance(event, kind):
                return events
    raise AssertionError(events)


def text(events: list[SpeechEvent]) -> str:
    assert isinstance(events[-1], TurnEnded)
    return events[-1].transcript.text


async def test_a_turn_ends_when_the_caller_falls_silent() -> None:
    async with listening(QUESTION, "and on Sunday") as (_sandbox, stream):
        await say(stream)
        events = await until(stream, TurnEnded)
        assert text(events) == QUESTION
        assert isinstance(events[0], TurnUpdated), "there are interim words"
        transcript = events[-1].transcript  # type: ignore[union-attr]
        assert transcript.language == "en"
        assert [word.text for word in transcript.words] == QUESTION.split()
        await say(stream)
        assert text(await until(stream, TurnEnded)) == "and on Sunday"
    (charge,) = stream.charges()
    assert charge.seconds == pytest.approx(2.6, abs=0.1)
    assert charge.cost == pytest.approx(charge.seconds * 0.00234 / 60)
    assert charge.request_ids


@pytest.mark.parametrize(
    ("options", "call", "heard"),
    [
        (InkOptions(language="ru", is_any_language=True), "en-US", "en"),
        (InkOptions(language="ru", is_any_language=True), None, "ru"),
        (InkOptions(language="ru"), "en", "ru"),
    ],
    ids=["the call's", "not known", "the agent speaks one"],
)
async def test_a_call_is_heard_in_its_own_language(options: InkOptions, call: str | None, heard: str) -> None:
    async with running_sandbox() as sandbox:
        sandbox.stage.call("call-1").expect(Utterance(QUESTION))
        client = CartesiaSTTClient(api_key="key", base_url=sandbox.cartesia_base_url, audio_format=PCM, options=options)
        async with client.listen(call_id="call-1", language=call) as stream:
            await say(stream)
            ended = (await until(stream, TurnEnded))[-1]
        await client.aclose()
    assert isinstance(ended, TurnEnded)
    assert ended.transcript.language == heard


async def test_words_whose_sound_nobody_noticed_end_a_turn_too() -> None:
    async with listening(QUESTION) as (_sandbox, stream):
        for frame in frames(speech(1.0) + silence(0.3)):
            stream.send(frame)
        assert text(await until(stream, TurnEnded)) == QUESTION


async def test_a_caller_who_goes_on_has_not_finished() -> None:
    async with listening(QUESTION, "on Sunday") as (_sandbox, stream):
        await say(stream)
        stream.note_sound(is_heard=True)
        await asyncio.sleep(0.3)  # what was asked for before is answered meanwhile
        for frame in frames(speech(1.0) + silence(0.3)):
            stream.send(frame)
        stream.note_sound(is_heard=False)
        assert text(await until(stream, TurnEnded)) == f"{QUESTION} on Sunday"


@pytest.mark.parametrize("kind", ["cut", "error_event"])
async def test_a_turn_on_a_lost_socket_is_heard_whole_on_the_next(kind: str) -> None:
    async with listening(QUESTION, fault=Fault("cartesia", kind, after_items=1)) as (_sandbox, stream):
        await say(stream)
        events = await until(stream, TurnEnded)
    assert text(events) == QUESTION
    assert any(isinstance(event, StreamLost) and not event.final for event in events)
    assert any(isinstance(event, StreamRestored) for event in events)


async def test_a_vendor_that_never_finalizes_has_stalled() -> None:
    async with listening(QUESTION, fault=Fault("cartesia", "stt_never_final")) as (_sandbox, stream):
        await say(stream)
        events = await until(stream, TurnEnded)
    assert text(events) == QUESTION
    lost = [event.error.code for event in events if isinstance(event, StreamLost)]
    assert lost == ["provider_timeout"]


@pytest.mark.parametrize("kind", [kind for kind in NAMED if kind not in ("stt_never_final", "stt_half_message")])
async def test_wrong_content_costs_no_turn(kind: str) -> None:
    async with listening(QUESTION, fault=Fault("cartesia", kind, times=None)) as (sandbox, stream):
        await say(stream)
        assert text(await until(stream, TurnEnded)) == QUESTION
        assert [fault.struck for fault in sandbox.stage.faults.listed()] == [1]


@pytest.mark.parametrize(("kind", "error"), [("unauthorized", ProviderRejected), ("refuse", ProviderUnavailable)])
async def test_a_vendor_that_turns_the_call_away_is_reported(kind: str, error: type[Exception]) -> None:
    async with listening(fault=Fault("cartesia", kind, times=None)) as (_sandbox, stream):
        (lost,) = await until(stream, StreamLost)
    assert isinstance(lost, StreamLost)
    assert isinstance(lost.error, error)
    assert lost.final is (kind == "unauthorized")


async def test_a_recording_is_transcribed_whole() -> None:
    async with running_sandbox() as sandbox:
        client = client_of(sandbox)
        heard = await client.transcribe_batch(speech(0.5))
        assert (heard.text, heard.language, heard.duration) == ("hello", "en", 0.5)
        sandbox.stage.faults.add(Fault("cartesia", "rate_limit", retry_after=60, times=None))
        with pytest.raises(ProviderRateLimited):
            await client.transcribe_batch(speech(0.5))
        await client.aclose()
