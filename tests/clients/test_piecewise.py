"""A voice that is asked piece by piece must give its sound at least as fast as it is heard."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from functools import partial

import pytest

from app.clients.piecewise import PiecewiseUtterance
from app.clients.resilient import BaseResilientClient
from app.errors import ProviderTimeout
from app.models import VoiceConfig
from app.ports.streams import VoiceAudio
from app.ports.vendors import Charge

VIRTUAL_TIME = True

TEXT = "Good day, how can I help you?"
VOICE = VoiceConfig("voice-1", "model-1", "en", 1.0, None, "pcm_s16le", 8000)


class Client(BaseResilientClient):
    provider = "cartesia"


async def spoken(pieces: Sequence[tuple[float, float]]) -> float:
    """Seconds of sound from a vendor that makes these pieces: each after a wait, and so many seconds long."""

    async def sound_of(_text: str) -> AsyncGenerator[bytes, None]:
        for wait, seconds in pieces:
            await asyncio.sleep(wait)
            yield bytes(int(seconds * 8000) * 2)

    utterance = PiecewiseUtterance(
        sound_of,
        VOICE,
        attempt=partial(Client().attempt, "speak"),
        charge=lambda _characters: Charge("cartesia", "model-1", 0.0),
        name="voice",
    )
    await utterance.say(TEXT)
    await utterance.finish()
    heard = 0.0
    async for event in utterance:
        assert isinstance(event, VoiceAudio)
        heard += len(event.audio) / 16000
    return heard


async def test_sound_that_comes_as_fast_as_it_is_heard_is_well() -> None:
    assert await spoken([(0.4, 0.5)] * 6) == pytest.approx(3.0)


async def test_sound_that_comes_late_but_all_at_once_is_well() -> None:
    assert await spoken([(4.0, 3.0)]) == pytest.approx(3.0)


async def test_a_pause_after_sound_that_came_ahead_is_no_lag_but_ends_at_the_gap() -> None:
    assert await spoken([(0.1, 2.0), (0.6, 1.0)]) == pytest.approx(3.0)
    with pytest.raises(ProviderTimeout):
        await spoken([(0.1, 2.0), (0.8, 1.0)])


async def test_a_voice_that_is_slower_than_speech_is_given_up() -> None:
    began = asyncio.get_running_loop().time()
    with pytest.raises(ProviderTimeout):
        await spoken([(0.5, 0.1)] * 30)
    assert asyncio.get_running_loop().time() - began < 2.5
