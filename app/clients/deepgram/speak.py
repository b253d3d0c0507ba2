"""Deepgram's Aura: text to speech, one HTTP request for each piece of text.

Wire format: https://developers.deepgram.com/reference/text-to-speech/speak-request.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from app.clients.deepgram.connection import DeepgramConnection
from app.clients.deepgram.messages import PROVIDER, encoding_name, rest_url
from app.clients.limiter import RequestLimiter
from app.clients.piecewise import PiecewiseUtterance
from app.clients.prices import DEFAULT_PRICES, Prices
from app.clients.resilient import BaseResilientClient, ProviderObserver, RetryPolicy
from app.clients.sound_over_http import SoundOverHttp
from app.errors import ContentRejected, ProviderError
from app.models import VoiceConfig, base_language
from app.ports.vendors import Charge, TtsCapabilities
from media.formats import ENCODINGS, AudioFormat

_CONNECT_SECONDS = 2.0
_SILENCE_SECONDS = 10.0
_REFUSED_CONTENT = frozenset({400, 413, 422})

AURA_VOICES: Mapping[str, str] = MappingProxyType(
    {
        "de": "aura-2-viktoria-de",
        "en": "aura-2-thalia-en",
        "es": "aura-2-celeste-es",
        "fr": "aura-2-agathe-fr",
        "it": "aura-2-livia-it",
        "ja": "aura-2-izanami-ja",
        "nl": "aura-2-rhea-nl",
    }
)
"""A voice for each language that Aura speaks; the voice is the model."""


class DeepgramTTSClient(BaseResilientClient):
    """Text to speech by Aura; close it with :meth:`aclose`."""

    provider = PROVIDER

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        prices: Prices = DEFAULT_PRICES,
        retry: RetryPolicy | None = None,
        observer: ProviderObserver | None = None,
        limiter: RequestLimiter | None = None,
    ) -> None:
        super().__init__(retry=retry, observer=observer, limiter=limiter)
        self._url = f"{rest_url(base_url)}/v1/speak"
        self._headers = {"Authorization": f"Token {api_key}"}
        self._prices = prices
        self._sound = SoundOverHttp(
            PROVIDER,
            connect_seconds=_CONNECT_SECONDS,
            silence_seconds=_SILENCE_SECONDS,
            error_of=_error,
            on_headers=self.limiter.learn,
        )

    @property
    def capabilities(self) -> TtsCapabilities:
        """What Aura gives."""
        return TtsCapabilities(word_times=False, languages=frozenset(AURA_VOICES), encodings=ENCODINGS)

    @property
    def variant(self) -> str:
        """Nothing besides the voice."""
        return ""

    @property
    def first_choice(self) -> "DeepgramTTSClient":
        """Itself."""
        return self

    def utterance(self, voice: VoiceConfig, *, call_id: str, after: ProviderError | None = None) -> PiecewiseUtterance:
        """A turn of a call, to be given text and iterated."""

        def charge(characters: int) -> Charge:
            cost = self._prices.tts_cost(voice.model, characters)
            return Charge(provider=PROVIDER, model=voice.model, cost=cost, characters=characters)

        return PiecewiseUtterance(
            partial(self._speak, voice=voice, tag=call_id),
            voice,
            attempt=partial(self.attempt, "speak"),
            charge=charge,
            name="deepgram:speak",
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._sound.aclose()

    async def _speak(self, text: str, *, voice: VoiceConfig, tag: str) -> AsyncGenerator[bytes, None]:
        audio_format = AudioFormat(voice.encoding, voice.sample_rate)
        query = {
            "model": voice.model,
            "encoding": encoding_name(audio_format),
            "sample_rate": audio_format.sample_rate,
            "container": "none",
            "tag": tag,
        }
        if voice.speed != 1.0:
            query["speed"] = min(max(voice.speed, 0.7), 1.5)
        body = {"text": text.encode(errors="ignore").decode()}  # half a surrogate pair is no text
        half = b""
        async for piece in self._sound.post(self._url, self._headers, body, query=query):
            half += piece
            whole = audio_format.samples(half) * audio_format.sample_bytes
            half, piece = half[whole:], half[:whole]
            yield piece


def aura_voice(voice: VoiceConfig) -> VoiceConfig | None:
    """Aura's voice in the language of that one; None when it has none."""
    own = AURA_VOICES.get(base_language(voice.language))
    return None if own is None else replace(voice, voice_id=own, model=own, emotion=None)


def _error(status: int, headers: Mapping[str, str], _body: bytes) -> ProviderError:
    error = DeepgramConnection.status_error(status, headers)
    if status in _REFUSED_CONTENT:
        return ContentRejected(PROVIDER, f"HTTP {status}", status=status, request_id=error.request_id)
    return error
