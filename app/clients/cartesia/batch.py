"""Whole texts spoken by Cartesia's SDK; loaded when the first is, for its modules take their time."""

import cartesia

from app.clients.cartesia.context import SpokenContext
from app.clients.cartesia.messages import (
    API_VERSION,
    PROVIDER,
    CartesiaOptions,
    error_for_status,
    http_url,
    sayable,
    speech_fields,
)
from app.clients.cartesia.sound import SoundReader
from app.clients.rate_limit_headers import retry_after_seconds
from app.clients.tls import tls_context
from app.errors import ProviderError, ProviderProtocolError, ProviderTimeout, ProviderUnavailable, WrongSound
from app.models import VoiceConfig
from media.formats import AudioFormat


class CartesiaTexts:
    """Cartesia's HTTP interface. What goes wrong is raised as a ProviderError, never as the SDK's."""

    def __init__(self, *, api_key: str, base_url: str, options: CartesiaOptions) -> None:
        self._options = options
        self._http = cartesia.AsyncCartesia(
            api_key=api_key,
            base_url=http_url(base_url),
            timeout=cartesia.Timeout(options.batch_seconds, connect=options.connect_seconds),
            max_retries=0,
            http_client=cartesia.DefaultAsyncHttpxClient(verify=tls_context()),
            default_headers={"cartesia-version": API_VERSION},
        )

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
        except cartesia.APIStatusError as error:
            raise _http_error(error) from None
        except cartesia.APITimeoutError:
            raise ProviderTimeout(PROVIDER, "no answer before the deadline") from None
        except cartesia.APIConnectionError:
            raise ProviderUnavailable(PROVIDER, "no connection") from None
        return _checked(audio, text, audio_format, voice_config.speed)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.close()


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


def _http_error(error: cartesia.APIStatusError) -> ProviderError:
    body = error.body if isinstance(error.body, dict) else {}
    code, request_id = body.get("error_code"), body.get("request_id")
    return error_for_status(
        error.status_code,
        code=code if isinstance(code, str) else None,
        retry_after=retry_after_seconds(error.response.headers.get("Retry-After")),
        request_id=request_id if isinstance(request_id, str) else None,
    )
