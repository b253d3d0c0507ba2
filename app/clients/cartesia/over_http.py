"""Cartesia without its socket: each piece of text is one HTTP request, and its sound has no word times."""

import json
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import Any

from app.clients.cartesia.client import CartesiaTTSClient
from app.clients.cartesia.messages import (
    API_VERSION,
    PROVIDER,
    error_for_status,
    http_url,
    sayable,
    speech_fields,
)
from app.clients.cartesia.sound import SoundReader
from app.clients.piecewise import PiecewiseUtterance
from app.clients.rate_limit_headers import retry_after_seconds
from app.clients.sound_over_http import SoundOverHttp
from app.errors import ProviderError
from app.models import VoiceConfig
from app.ports.vendors import Charge, TtsCapabilities
from media.formats import ENCODINGS, AudioFormat


class CartesiaHttpClient(CartesiaTTSClient):
    """As :class:`CartesiaTTSClient`, for a network that no websocket gets through; needs no warm-up.

    Wire format: https://docs.cartesia.ai/api-reference/tts/bytes.
    """

    def __init__(self, *, api_key: str, base_url: str, **options: Any) -> None:
        super().__init__(api_key=api_key, base_url=base_url, **options)
        self._sound = SoundOverHttp(
            PROVIDER,
            connect_seconds=self._options.connect_seconds,
            silence_seconds=self._options.batch_seconds,
            error_of=_error,
            on_headers=self.limiter.learn,
        )
        self._sound_url = f"{http_url(base_url)}/tts/bytes"
        self._headers = {"Authorization": f"Bearer {api_key}", "Cartesia-Version": API_VERSION}

    @property
    def capabilities(self) -> TtsCapabilities:
        """It speaks every language and format of the socket, but tells no word times."""
        return TtsCapabilities(word_times=False, languages=self._options.languages, encodings=ENCODINGS)

    def utterance(  # type: ignore[override]  # the ports are the same, and nobody needs more of the socket's
        self, voice: VoiceConfig, *, call_id: str, after: ProviderError | None = None
    ) -> PiecewiseUtterance:
        """A turn of a call, to be given text and iterated."""

        def charge(characters: int) -> Charge:
            cost = self._prices.tts_cost(voice.model, characters)
            return Charge(provider=PROVIDER, model=voice.model, cost=cost, characters=characters)

        return PiecewiseUtterance(
            partial(self._speak, voice=voice, call_id=call_id),
            voice,
            attempt=partial(self.attempt, "speak_over_http"),
            charge=charge,
            name="cartesia:http",
        )

    async def warm_up(self) -> None:
        """Nothing: requests open their connection themselves."""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._sound.aclose()
        await super().aclose()

    async def _speak(self, text: str, *, voice: VoiceConfig, call_id: str) -> AsyncGenerator[bytes, None]:
        reader = SoundReader(AudioFormat(voice.encoding, voice.sample_rate))
        body = {**speech_fields(voice, self._options), "transcript": sayable(text)}
        async for piece in self._sound.post(self._sound_url, {**self._headers, "X-Call-ID": call_id}, body):
            yield reader.take(piece)


def _error(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    try:
        fields = json.loads(body)
    except ValueError:
        fields = {}
    named: dict[str, Any] = fields if isinstance(fields, dict) else {}
    code, request_id = named.get("error_code"), named.get("request_id")
    return error_for_status(
        status,
        code=code if isinstance(code, str) else None,
        retry_after=retry_after_seconds(headers.get("Retry-After")),
        request_id=request_id if isinstance(request_id, str) else None,
    )
