"""Transcribes whole recordings with Deepgram's SDK. Imported on first use, because the SDK loads slowly."""

from typing import Any, Literal, cast

import httpx
from deepgram import AsyncDeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.core.parse_error import ParsingError
from deepgram.environment import DeepgramClientEnvironment

from app.clients.deepgram.connection import DeepgramConnection
from app.clients.deepgram.messages import PROVIDER, DeepgramOptions, encoding_name, rest_url
from app.clients.phrase import mean_confidence
from app.clients.tls import tls_context
from app.errors import ProviderError, ProviderProtocolError, ProviderTimeout, ProviderUnavailable
from app.models import TranscriptionResult
from media.formats import AudioFormat


class DeepgramRecordings:
    """Deepgram's REST API. Errors are raised as ProviderError, never as the SDK's."""

    def __init__(self, *, api_key: str, base_url: str, options: DeepgramOptions) -> None:
        """``base_url`` is the same as for streams."""
        self._options = options
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(options.batch_seconds, connect=options.connect_seconds),
            verify=tls_context(),
            trust_env=False,
        )
        base = rest_url(base_url)
        self._rest = AsyncDeepgramClient(
            api_key=api_key,
            environment=DeepgramClientEnvironment(base=base, production=base, agent=base, agent_rest=base),
            httpx_client=self._http,
            max_retries=0,
        )

    async def transcribe(self, audio: bytes, audio_format: AudioFormat) -> TranscriptionResult:
        """Transcribe a recording; one request, no retries. Raises ProviderError."""
        language = self._options.known_language
        try:
            response: Any = await self._rest.listen.v1.media.transcribe_file(
                request=audio,
                model=self._options.batch_model,
                language=language,
                detect_language=True if language is None else None,
                encoding=cast(Literal["linear16", "mulaw"], encoding_name(audio_format)),
                keyterm=list(self._options.keyterms) or None,
                punctuate=True,
                request_options={
                    "additional_query_parameters": {"sample_rate": audio_format.sample_rate, "channels": 1}
                },
            )
            return _result(response, language, audio_format.seconds(audio))
        except (ParsingError, ApiError, AttributeError, IndexError, TypeError, httpx.HTTPError) as error:
            # These errors contain the answer, and so the caller's words: drop them.
            raise _mapped(error) from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _mapped(error: Exception) -> ProviderError:
    match error:
        case ApiError() if error.status_code is not None:
            return DeepgramConnection.status_error(error.status_code, error.headers or {})
        case ApiError() | ParsingError():
            return ProviderProtocolError(PROVIDER, "an answer that cannot be read")
        case httpx.TimeoutException():
            return ProviderTimeout(PROVIDER, f"no answer before the deadline ({type(error).__name__})")
        case httpx.HTTPError():
            return ProviderUnavailable(PROVIDER, f"no connection ({type(error).__name__})")
        case _:
            return ProviderProtocolError(PROVIDER, "an answer without a transcript")


def _result(response: Any, language: str | None, duration: float) -> TranscriptionResult:
    channel = response.results.channels[0]
    best = channel.alternatives[0]
    timed = [(word.confidence or 0.0, (word.end or 0.0) - (word.start or 0.0)) for word in best.words or []]
    confidence = mean_confidence(timed)
    if not isinstance(best.transcript, str):
        raise TypeError("a transcript that is no text")
    return TranscriptionResult(
        text=best.transcript,
        confidence=(best.confidence or 0.0) if confidence is None else confidence,
        language=language or channel.detected_language,
        duration=duration,
        alternatives=[other.transcript for other in channel.alternatives[1:] if other.transcript],
    )
