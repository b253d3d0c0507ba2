"""Deepgram speech to text: live streams, and whole recordings."""

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from typing import Any, Literal, cast

import httpx
import numpy as np
import soxr
from deepgram import AsyncDeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.core.parse_error import ParsingError
from deepgram.environment import DeepgramClientEnvironment
from numpy.typing import NDArray

from app.clients.breaker import CircuitBreaker
from app.clients.deepgram.connection import Endpoint, socket_error, status_error
from app.clients.deepgram.messages import (
    PROVIDER,
    DeepgramOptions,
    encoding_name,
    listen_url,
    rest_url,
)
from app.clients.deepgram.spoken import mean_confidence
from app.clients.deepgram.stream import DeepgramStream
from app.clients.prices import DEFAULT_PRICES, Prices
from app.clients.resilient import BaseResilientClient, ProviderObserver, RetryPolicy
from app.clients.tls import tls_context, tls_for
from app.errors import AudioError, ProviderError, ProviderProtocolError, ProviderTimeout, ProviderUnavailable
from app.models import TranscriptionResult
from app.ports.streams import StreamLost, TurnEnded
from app.ports.vendors import SttCapabilities
from media.formats import ENCODINGS, AudioFormat

__all__ = ["DeepgramOptions", "DeepgramSTTClient", "DeepgramStream"]

_RECORDING = AudioFormat("pcm_s16le", 16000)
_WAV_RATES = range(4000, 192001)
_WAV_CHANNELS = range(1, 17)
_WAV_WIDTHS = range(1, 5)
_RECOVERY_SECONDS = 1.0
"""The breaker lets an attempt through after this time: well within the time in which a lost stream is tried again."""


class DeepgramSTTClient(BaseResilientClient):
    """Deepgram for one audio format. Streams are opened by :meth:`listen` and belong to whoever opened them."""

    provider = PROVIDER

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        audio_format: AudioFormat,
        options: DeepgramOptions | None = None,
        prices: Prices = DEFAULT_PRICES,
        retry: RetryPolicy | None = None,
        breaker: CircuitBreaker | None = None,
        observer: ProviderObserver | None = None,
    ) -> None:
        """``base_url`` is http(s) or ws(s), perhaps with a path; REST and websocket addresses follow from it."""
        breaker = breaker or CircuitBreaker(recovery_seconds=_RECOVERY_SECONDS)
        super().__init__(retry=retry, breaker=breaker, observer=observer)
        self._base_url = base_url
        self._format = audio_format
        self._options = options or DeepgramOptions()
        self._prices = prices
        self._headers = {"Authorization": f"Token {api_key}"}
        self._tls = tls_for(base_url)
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(self._options.batch_seconds, connect=self._options.connect_seconds),
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

    @property
    def model(self) -> str:
        """Deepgram's name of the model."""
        return self._options.model

    @property
    def capabilities(self) -> SttCapabilities:
        """What the model can do."""
        return SttCapabilities(languages=self._options.languages, encodings=ENCODINGS)

    def listen(self, *, call_id: str) -> DeepgramStream:
        """A live stream for a call, to be entered as a context manager."""
        return self._stream(tag=call_id)

    async def transcribe_stream(self, audio_stream: AsyncIterator[bytes]) -> AsyncIterator[str]:
        """The final text of each turn; turns without words are left out.

        Audio may come faster than it is spoken: it is taken as fast as Deepgram takes it. Raises ProviderError when
        the stream is lost for good, and whatever ``audio_stream`` raises.
        """
        async with self._stream(tag=None) as stream:
            feeding = asyncio.get_running_loop().create_task(_feed(stream, audio_stream), name="deepgram-feed")
            try:
                async for event in stream:
                    match event:
                        case TurnEnded(transcript) if transcript.text:
                            yield transcript.text
                        case StreamLost(error, final=True):
                            raise error
                        case _:
                            pass
                await feeding
            finally:
                feeding.cancel()
                await asyncio.wait([feeding])

    async def transcribe_batch(self, audio_data: bytes) -> TranscriptionResult:
        """A whole recording: a WAV file of any rate and number of channels, or raw audio in the client's format.

        Raises AudioError for audio that cannot be read, ProviderError when Deepgram does not transcribe it.
        """
        if audio_data[:4] == b"RIFF":
            audio, audio_format = await asyncio.to_thread(_read_wav, audio_data), _RECORDING
        else:
            audio, audio_format = _check_raw(audio_data, self._format), self._format

        async def transcribe() -> TranscriptionResult:  # its name is that of the operation in metrics and logs
            return await self._ask(audio, audio_format)

        result: TranscriptionResult = await self.make_request(transcribe)
        return result

    async def aclose(self) -> None:
        """Close the connections for recordings."""
        await self._http.aclose()

    def map_error(self, error: Exception) -> ProviderError | None:
        """See :meth:`BaseResilientClient.map_error`."""
        match error:
            case ApiError() if error.status_code is not None:
                return status_error(error.status_code, error.headers or {})
            case ApiError() | ParsingError():
                return ProviderProtocolError(PROVIDER, "an answer that cannot be read")
            case httpx.TimeoutException():
                return ProviderTimeout(PROVIDER, f"no answer before the deadline ({type(error).__name__})")
            case httpx.HTTPError():
                return ProviderUnavailable(PROVIDER, f"no connection ({type(error).__name__})")
            case _:
                return socket_error(error) or super().map_error(error)

    def _stream(self, *, tag: str | None) -> DeepgramStream:
        url = listen_url(self._base_url, self._format, self._options, tag=tag)
        return DeepgramStream(
            Endpoint(url, self._headers, self._tls),
            client=self,
            audio_format=self._format,
            options=self._options,
            prices=self._prices,
            on_loss=self._note_lost_stream,
        )

    def _note_lost_stream(self, error: ProviderError, opened_at: float) -> None:
        self.note_broken_off("stream", error, opened_at)

    async def _ask(self, audio: bytes, audio_format: AudioFormat) -> TranscriptionResult:
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
        except (ParsingError, ApiError, AttributeError, IndexError, TypeError) as error:
            # These hold the answer, and so the caller's words: nothing of them may go further.
            mapped = self.map_error(error) or ProviderProtocolError(PROVIDER, "an answer without a transcript")
            raise mapped from None


async def _feed(stream: DeepgramStream, audio_stream: AsyncIterator[bytes]) -> None:
    """Send it all, then finish: also when the source fails, so that what was heard before is not lost."""
    try:
        async for audio in audio_stream:
            await stream.room()
            stream.send(audio)
    except Exception:  # whatever went wrong in the source, it is raised again below
        await stream.finish()
        raise
    await stream.finish()


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


def _check_raw(audio: bytes, audio_format: AudioFormat) -> bytes:
    if not audio:
        raise AudioError("the audio is empty")
    if len(audio) % audio_format.sample_bytes:
        raise AudioError(f"{len(audio)} bytes are no whole number of samples of {audio_format.sample_bytes} bytes")
    return audio


def _read_wav(data: bytes) -> bytes:
    """Mono 16-bit samples at 16 kHz of a WAV file. Raises AudioError."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError, RuntimeError) as error:  # RuntimeError: a chunk that ends outside the file
        raise AudioError(f"the WAV file cannot be read: {error!r}; use PCM") from error
    if rate not in _WAV_RATES or channels not in _WAV_CHANNELS or width not in _WAV_WIDTHS:
        raise AudioError(
            f"the WAV file has {channels} channels of {width * 8} bits at {rate} Hz; "
            "1 to 16 channels of 8 to 32 bits at 4000 to 192000 Hz can be read"
        )
    if len(frames) % (width * channels):
        raise AudioError("the WAV file ends in the middle of a sample")
    if not frames:
        raise AudioError("the WAV file has no audio")
    mono = _samples(frames, width).reshape(-1, channels).mean(axis=1, dtype=np.float32)
    resampled = soxr.resample(mono, rate, _RECORDING.sample_rate)
    levels: NDArray[np.int16] = np.clip(np.rint(resampled * 32768.0), -32768, 32767).astype("<i2")
    return levels.tobytes()


def _samples(frames: bytes, width: int) -> NDArray[np.float32]:
    """-1 to 1, of 8-bit unsigned or 16-, 24- or 32-bit signed little-endian samples."""
    if width == 1:
        return (np.frombuffer(frames, np.uint8).astype(np.float32) - 128.0) / 128.0
    if width == 3:
        padded = np.zeros((len(frames) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(frames, np.uint8).reshape(-1, 3)
        return padded.view("<i4")[:, 0].astype(np.float32) / 2.0**31
    return np.frombuffer(frames, f"<i{width}").astype(np.float32) / 2.0 ** (8 * width - 1)
