"""What the tests of live streams share."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from app.clients.breaker import CircuitBreaker
from app.clients.deepgram.client import DeepgramOptions, DeepgramStream, DeepgramSTTClient
from app.clients.limiter import RequestLimiter
from app.ports.streams import (
    SpeechEvent,
    TurnUpdated,
)
from media.formats import AudioFormat
from tests.clients.deepgram.server import (
    DeepgramServer,
)

PCM = AudioFormat("pcm_s16le", 16000)
NOVA: dict[str, Any] = {"model": "nova-3"}


def client_of(
    server: DeepgramServer,
    *,
    breaker: CircuitBreaker | None = None,
    limiter: RequestLimiter | None = None,
    **options: Any,
) -> DeepgramSTTClient:
    return DeepgramSTTClient(
        api_key="key",
        base_url=server.url,
        audio_format=PCM,
        options=DeepgramOptions(**options),
        breaker=breaker,
        limiter=limiter,
    )


@asynccontextmanager
async def listening(server: DeepgramServer, **options: Any) -> AsyncIterator[DeepgramStream]:
    client = client_of(server, **options)
    try:
        async with client.listen(call_id="call-1") as stream:
            yield stream
    finally:
        await client.aclose()


def audio(start: float, end: float) -> Iterator[bytes]:
    """20 ms frames in which each sample holds its own position."""
    for first in range(round(start * 16000), round(end * 16000), 320):
        yield b"".join((sample % 65536).to_bytes(2, "little") for sample in range(first, first + 320))


def speak(stream: DeepgramStream, start: float, end: float) -> None:
    for frame in audio(start, end):
        stream.send(frame)


def sound(start: float, end: float) -> bytes:
    return b"".join(audio(start, end))


async def read(stream: DeepgramStream, *kinds: type[SpeechEvent]) -> list[Any]:
    """The next events; they must be of these kinds. Updates in between that are not asked for are passed over."""
    events: list[Any] = []
    async with asyncio.timeout(5):
        for kind in kinds:
            event = await anext(stream)
            while kind is not TurnUpdated and isinstance(event, TurnUpdated):
                event = await anext(stream)
            assert isinstance(event, kind), event
            events.append(event)
    return events


async def rest(stream: DeepgramStream) -> list[SpeechEvent]:
    async with asyncio.timeout(5):
        return [event async for event in stream]
