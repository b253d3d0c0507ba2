"""The sound of a whole text over HTTP, when what comes is not that."""

import io
import wave

import pytest

from app.clients.cartesia.client import CartesiaTTSClient
from app.clients.resilient import RetryPolicy
from app.errors import ContentRejected, ProviderError, ProviderProtocolError, WrongSound
from tests.clients.cartesia.server import bytes_server, sound_of
from tests.clients.cartesia.voice import VOICE

TEXT = "Мы открыты каждый день с девяти часов утра и до шести вечера."
SOUND = sound_of(TEXT) * 5


def wav(rate: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(SOUND)
    return file.getvalue()


async def spoken(*bodies: bytes, status: int = 200) -> bytes | ProviderError:
    """The sound, or the error after two attempts."""
    retry = RetryPolicy(attempts=2, initial_seconds=0.0, jitter_seconds=0.0)
    async with bytes_server(*((status, {}, body) for body in bodies)) as server:
        client = CartesiaTTSClient(api_key="key-1", base_url=server.url, retry=retry)
        try:
            return await client.synthesize_batch(TEXT, VOICE)
        except ProviderError as error:
            return error
        finally:
            await client.aclose()


async def test_a_header_is_taken_off() -> None:
    assert await spoken(wav(8000)) == SOUND


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error": {"code": "internal_error", "message": "something broke"}}', WrongSound),
        (wav(24000), WrongSound),
        (SOUND[: len(SOUND) // 4], ProviderProtocolError),
        (SOUND * 40, WrongSound),
        (b"", ProviderProtocolError),
    ],
    ids=["text", "another rate", "a part", "endless", "nothing"],
)
async def test_what_is_not_the_sound_of_the_text_is_asked_for_again(
    body: bytes, expected: type[ProviderProtocolError]
) -> None:
    assert await spoken(body, SOUND) == SOUND
    assert type(await spoken(body)) is expected


async def test_a_refused_text_is_not_asked_for_again() -> None:
    assert type(await spoken(b"{}", SOUND, status=400)) is ContentRejected
