"""Whole texts and whole recordings by Cartesia's SDK. Imported on first use, because the SDK loads slowly."""

from typing import Literal, cast

import cartesia

from app.clients.cartesia.context import SpokenContext
from app.clients.cartesia.messages import (
    API_VERSION,
    ENCODING_NAMES,
    PROVIDER,
    CartesiaOptions,
    error_for_status,
    http_url,
    sayable,
    speech_fields,
)
from app.clients.cartesia.sound import SoundReader
from app.clients.cartesia.stt_messages import InkOptions
from app.clients.rate_limit_headers import retry_after_seconds
from app.clients.tls import tls_context
from app.errors import ProviderError, ProviderProtocolError, ProviderTimeout, ProviderUnavailable, WrongSound
from app.models import TranscriptionResult, VoiceConfig
from media.formats import AudioFormat

_CONFIDENCE = 1.0
"""The vendor tells none."""


class CartesiaTexts:
    """Cartesia's HTTP interface. What goes wrong is raised as a ProviderError, never as the SDK's."""

    def __init__(self, *, api_key: str, base_url: str, options: CartesiaOptions) -> None:
        self._options = options
        self._http = _sdk(api_key, base_url, options.batch_seconds, options.connect_seconds)

    async def speak(self, text: str, voice_config: VoiceConfig) -> bytes:
        """The sound of a whole text by one ``POST /tts/bytes``.

        Raises ProviderError, without the vendor's prose, which may repeat the text.
        """
        audio_format = AudioFormat(voice_config.encoding, voice_config.sample_rate)
        try:
            response = await self._http.tts.generate(
                transcript=sayable(text), **speech_fields(voice_config, self._options)
            )
            audio = await response.read()
        except cartesia.APIError as error:
            raise _mapped(error) from None
        return _checked(audio, text, audio_format, voice_config.speed)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.close()


class CartesiaRecordings:
    """Cartesia's speech recognition for whole recordings. Errors are raised as ProviderError, never as the SDK's."""

    def __init__(self, *, api_key: str, base_url: str, options: InkOptions) -> None:
        """``base_url`` is the same as for streams."""
        self._options = options
        self._http = _sdk(api_key, base_url, options.batch_seconds, options.connect_seconds)

    async def transcribe(self, audio: bytes, audio_format: AudioFormat) -> TranscriptionResult:
        """Transcribe a recording by one ``POST /stt``, without retries. Raises ProviderError."""
        try:
            answer = await self._http.stt.transcribe(
                file=("recording.raw", audio),
                model=self._options.model,
                language=self._options.language,
                encoding=cast(Literal["pcm_s16le", "pcm_mulaw"], ENCODING_NAMES[audio_format.encoding]),
                sample_rate=audio_format.sample_rate,
            )
        except (cartesia.APIError, ValueError) as error:  # ValueError: an answer that is not JSON
            raise _mapped(error) from None
        text = getattr(answer, "text", None)
        if not isinstance(text, str):
            raise ProviderProtocolError(PROVIDER, "an answer without a transcript")
        return TranscriptionResult(
            text=text.strip(),
            confidence=_CONFIDENCE if text.strip() else 0.0,
            language=self._options.language,
            duration=audio_format.seconds(audio),
            alternatives=[],
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.close()


def _sdk(api_key: str, base_url: str, seconds: float, connect_seconds: float) -> cartesia.AsyncCartesia:
    return cartesia.AsyncCartesia(
        api_key=api_key,
        base_url=http_url(base_url),
        timeout=cartesia.Timeout(seconds, connect=connect_seconds),
        max_retries=0,
        http_client=cartesia.DefaultAsyncHttpxClient(verify=tls_context()),
        default_headers={"cartesia-version": API_VERSION},
    )


def _checked(audio: bytes, text: str, audio_format: AudioFormat, speed: float) -> bytes:
    """The sound of a whole text. Raises ProviderProtocolError when it cannot be that."""
    sound = SoundReader(audio_format).take(audio)
    context = SpokenContext("", starts_at=0.0, now=0.0, speed=speed)
    context.given(text, 0.0)
    context.gave_audio(audio_format.seconds(sound), 0.0)
    if not sound:
        raise ProviderProtocolError(PROVIDER, "the text was not spoken")
    if context.sound_is_too_long:
        raise WrongSound(PROVIDER, "more sound than its text takes")
    if not context.has_said_all:
        raise ProviderProtocolError(PROVIDER, "the sound ended before its text")
    return sound


def _mapped(error: Exception) -> ProviderError:
    """Map the SDK's error to ours, without the vendor's prose."""
    match error:
        case cartesia.APIStatusError():
            return _http_error(error)
        case cartesia.APITimeoutError():
            return ProviderTimeout(PROVIDER, "no answer before the deadline")
        case cartesia.APIConnectionError():
            return ProviderUnavailable(PROVIDER, "no connection")
        case _:
            return ProviderProtocolError(PROVIDER, "an answer that cannot be read")


def _http_error(error: cartesia.APIStatusError) -> ProviderError:
    body = error.body if isinstance(error.body, dict) else {}
    code, request_id = body.get("error_code"), body.get("request_id")
    return error_for_status(
        error.status_code,
        code=code if isinstance(code, str) else None,
        retry_after=retry_after_seconds(error.response.headers.get("Retry-After")),
        request_id=request_id if isinstance(request_id, str) else None,
    )
