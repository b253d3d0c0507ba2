"""Aura, asked over HTTP: what it is sent, what comes back, and what becomes of its failures."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.clients.deepgram.speak import AURA_VOICES, DeepgramTTSClient, aura_voice
from app.errors import (
    ContentRejected,
    ProviderError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from app.models import VoiceConfig
from app.ports.streams import VoiceAudio
from media.formats import SAMPLE_RATES, AudioFormat
from sandbox.running import RunningSandbox, running_sandbox
from sandbox.vendors.faults import Fault

TEXT = "We are open every day from nine to eight."
ASKED = VoiceConfig(voice_id="voice-1", model="sonic-3.5", language="en-GB", encoding="mulaw", sample_rate=8000)


def aura(voice: VoiceConfig) -> VoiceConfig:
    own = aura_voice(voice)
    assert own is not None
    return own


@asynccontextmanager
async def aura_client(*faults: Fault) -> AsyncIterator[tuple[RunningSandbox, DeepgramTTSClient]]:
    async with running_sandbox() as sandbox:
        for fault in faults:
            sandbox.stage.faults.add(fault)
        client = DeepgramTTSClient(api_key="key", base_url=sandbox.deepgram_base_url)
        try:
            yield sandbox, client
        finally:
            await client.aclose()


async def spoken(client: DeepgramTTSClient, voice: VoiceConfig, *texts: str) -> bytes:
    utterance = client.utterance(voice, call_id="call-1")
    for text in texts:
        await utterance.say(text)
    await utterance.finish()
    return b"".join([event.audio async for event in utterance if isinstance(event, VoiceAudio)])


@pytest.mark.parametrize(
    "audio_format", [AudioFormat("mulaw", 8000), *(AudioFormat("pcm_s16le", rate) for rate in SAMPLE_RATES)]
)
async def test_it_speaks_in_the_format_of_every_leg(audio_format: AudioFormat) -> None:
    voice = VoiceConfig(
        "voice-1", "sonic-3.5", "en", encoding=audio_format.encoding, sample_rate=audio_format.sample_rate
    )
    async with aura_client() as (_sandbox, client):
        sound = await spoken(client, aura(voice), TEXT)
    assert len(sound) % audio_format.sample_bytes == 0
    assert 1.5 < audio_format.seconds(sound) < 6.0


async def test_the_request_names_the_voice_and_the_call_and_the_text_is_in_its_body_alone() -> None:
    async with aura_client() as (sandbox, client):
        utterance = client.utterance(aura(ASKED), call_id="call-1")
        await utterance.say(TEXT)
        await utterance.finish()
        [event async for event in utterance]
        (request,) = [each for each in sandbox.stage.requests if each.route == "v1/speak POST"]
    assert dict(request.body) == {
        "model": "aura-2-thalia-en", "encoding": "mulaw", "sample_rate": "8000", "container": "none", "tag": "call-1",
    }  # fmt: skip
    (charge,) = utterance.charges()
    assert (charge.provider, charge.model, charge.characters) == ("deepgram", "aura-2-thalia-en", len(TEXT))
    assert charge.cost == pytest.approx(len(TEXT) * 30 / 1_000_000)


@pytest.mark.parametrize("language", sorted(AURA_VOICES))
async def test_it_has_a_voice_for_each_language_it_speaks(language: str) -> None:
    voice = VoiceConfig("voice-1", "sonic-3.5", language, sample_rate=8000)
    async with aura_client() as (_sandbox, client):
        assert await spoken(client, aura(voice), "No, 1 2 3.")


def test_it_has_none_for_russian() -> None:
    assert aura_voice(VoiceConfig("voice-1", "sonic-3.5", "ru")) is None


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("deepgram", "refuse"), ProviderUnavailable),
        (Fault("deepgram", "unauthorized"), ProviderRejected),
        (Fault("deepgram", "rate_limit"), ProviderRateLimited),
        (Fault("deepgram", "cut"), ProviderUnavailable),
        (Fault("deepgram", "stall"), ProviderTimeout),
    ],
)
async def test_a_failure_is_the_vendors(fault: Fault, error: type[ProviderError]) -> None:
    async with aura_client(fault) as (_sandbox, client):
        with pytest.raises(error):
            await spoken(client, aura(ASKED), TEXT)
        assert client.get_metrics().failures == 1
        assert await spoken(client, aura(ASKED), TEXT)


async def test_a_text_that_is_refused_counts_against_nobody() -> None:
    async with aura_client() as (_sandbox, client):
        with pytest.raises(ContentRejected):
            await spoken(client, aura(ASKED), "a" * 2001)
        assert client.get_metrics().failures == 0
