"""A turn that is spoken by one HTTP request after another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.clients.cartesia.over_http import CartesiaHttpClient
from app.errors import ProviderUnavailable
from app.ports.streams import VoiceAudio
from tests.clients.cartesia.server import bytes_server, sound_of
from tests.clients.cartesia.voice import VOICE

FIRST, SECOND = "Добрый день, это салон красоты.", "Чем могу вам помочь?"


def spoken(text: str) -> bytes:
    """As much sound as the text takes."""
    return sound_of(text) * 5


@asynccontextmanager
async def client_for(*answers: tuple[int, dict[str, str], bytes]) -> AsyncIterator[tuple[Any, CartesiaHttpClient]]:
    async with bytes_server(*answers) as server:
        client = CartesiaHttpClient(api_key="key-1", base_url=server.url)
        try:
            yield server, client
        finally:
            await client.aclose()


async def test_each_piece_of_text_is_one_request_and_its_sound_comes_in_order() -> None:
    answers = [(200, {}, spoken(text)) for text in (FIRST, SECOND)]
    async with client_for(*answers) as (server, client):
        utterance = client.utterance(VOICE, call_id="call-1")
        await utterance.say(FIRST)
        events = aiter(utterance)
        sound = [await anext(events)]
        await utterance.say(SECOND)
        await utterance.finish()
        sound += [event async for event in events]

    assert sound == [VoiceAudio(spoken(FIRST)), VoiceAudio(spoken(SECOND))]
    assert [headers["x-call-id"] for _path, headers, _body in server.requests] == ["call-1", "call-1"]
    (charge,) = utterance.charges()
    assert (charge.provider, charge.characters) == ("cartesia", len(FIRST + SECOND))


async def test_text_without_a_letter_is_not_asked_for() -> None:
    async with client_for() as (server, client):
        utterance = client.utterance(VOICE, call_id="call-1")
        await utterance.say(" … ")
        await utterance.finish()
        assert [event async for event in utterance] == []
        assert utterance.charges() == []
        assert server.requests == []


async def test_a_refused_request_is_the_vendors_failure() -> None:
    async with client_for((503, {}, b"")) as (_server, client):
        utterance = client.utterance(VOICE, call_id="call-1")
        await utterance.say(FIRST)
        await utterance.finish()
        with pytest.raises(ProviderUnavailable):
            [event async for event in utterance]
        assert client.get_metrics().failures == 1


async def test_a_cancelled_utterance_ends_at_once() -> None:
    async with client_for((200, {}, spoken(FIRST))) as (_server, client):
        utterance = client.utterance(VOICE, call_id="call-1")
        await utterance.say(FIRST)
        asyncio.get_running_loop().call_soon(utterance.cancel)
        assert [event async for event in utterance] == []
