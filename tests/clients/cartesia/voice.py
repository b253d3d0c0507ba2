"""What the tests of utterances share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from app.clients.cartesia.client import CartesiaOptions, CartesiaTTSClient, CartesiaUtterance
from app.models import VoiceConfig
from app.ports.streams import SpokenWord, VoiceAudio, VoiceEvent, VoiceWords
from tests.clients.cartesia.server import (
    CartesiaServer,
    Script,
    cartesia_server,
)

VOICE = VoiceConfig(voice_id="voice-1", model="sonic-3.5", language="ru", sample_rate=8000)


@asynccontextmanager
async def voice(
    script: Script | None = None, **options: Any
) -> AsyncIterator[tuple[CartesiaServer, CartesiaTTSClient]]:
    async with cartesia_server(script) as server:
        client = CartesiaTTSClient(api_key="key-1", base_url=server.url, options=CartesiaOptions(**options))
        try:
            yield server, client
        finally:
            await client.aclose()


async def spoken(client: CartesiaTTSClient, *clauses: str, call_id: str = "call-1") -> CartesiaUtterance:
    utterance = client.utterance(VOICE, call_id=call_id)
    for clause in clauses:
        await utterance.say(clause)
    await utterance.finish()
    return utterance


async def heard(utterance: CartesiaUtterance) -> list[VoiceEvent]:
    return [event async for event in utterance]


def sound(events: list[VoiceEvent]) -> bytes:
    return b"".join(event.audio for event in events if isinstance(event, VoiceAudio))


def words(events: list[VoiceEvent]) -> list[SpokenWord]:
    return [word for event in events if isinstance(event, VoiceWords) for word in event.words]


def begins(request: dict[str, Any]) -> bool:
    return bool(request.get("transcript"))
