"""The Deepgram client: live streams, and whole recordings."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING

from app.clients.breaker import CircuitBreaker
from app.clients.deepgram.connection import DeepgramConnection
from app.clients.deepgram.messages import PROVIDER, DeepgramOptions, listen_url
from app.clients.deepgram.stream import DeepgramStream
from app.clients.limiter import RequestLimiter
from app.clients.loading import LoadedWhenNeeded
from app.clients.prices import DEFAULT_PRICES, Prices
from app.clients.recordings import RECOVERY_SECONDS, samples_of
from app.clients.resilient import BaseResilientClient, ProviderObserver, RetryPolicy
from app.clients.stt_socket import Endpoint
from app.clients.tls import tls_for
from app.errors import ProviderError
from app.models import TranscriptionResult
from app.ports.streams import StreamLost, TurnEnded
from app.ports.vendors import Charge, SttCapabilities
from media.formats import ENCODINGS, AudioFormat

if TYPE_CHECKING:  # see _recordings
    from app.clients.deepgram.batch import DeepgramRecordings

__all__ = ["DeepgramOptions", "DeepgramSTTClient", "DeepgramStream"]


class DeepgramSTTClient(BaseResilientClient):
    """Speech to text by Deepgram for one audio format. :meth:`listen` opens a stream, which its caller owns."""

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
        limiter: RequestLimiter | None = None,
    ) -> None:
        """``base_url`` is http(s) or ws(s), with or without a path; REST and websocket addresses derive from it."""
        breaker = breaker or CircuitBreaker(recovery_seconds=RECOVERY_SECONDS)
        super().__init__(retry=retry, breaker=breaker, observer=observer, limiter=limiter)
        self._base_url = base_url
        self._format = audio_format
        self._options = options or DeepgramOptions()
        self._prices = prices
        self._headers = {"Authorization": f"Token {api_key}"}
        self._tls = tls_for(base_url)
        self._recordings = LoadedWhenNeeded(
            partial(_recordings, api_key=api_key, base_url=base_url, options=self._options),
            provider=PROVIDER,
            name="deepgram.loading",
        )

    @property
    def model(self) -> str:
        """Deepgram's name of the model."""
        return self._options.model

    @property
    def capabilities(self) -> SttCapabilities:
        """What the model can do."""
        return SttCapabilities(languages=self._options.languages, encodings=ENCODINGS)

    def listen(self, *, call_id: str, language: str | None = None) -> DeepgramStream:
        """Open a live stream for a call. It is an async context manager. The model finds the ``language`` itself."""
        return self._stream(tag=call_id)

    async def transcribe_stream(self, audio_stream: AsyncIterator[bytes]) -> AsyncIterator[str]:
        """Yield the final text of each turn, without turns that have no words.

        The audio may come faster than real time; it is sent as fast as Deepgram accepts it. Raises ProviderError when
        the stream is permanently lost, and whatever ``audio_stream`` raises.
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
        """Transcribe a recording: a WAV file of any rate and number of channels, or raw audio in the client's format.

        Raises BadAudio for audio that cannot be read, ProviderError when Deepgram does not transcribe it.
        """
        audio, audio_format = await samples_of(audio_data, self._format)

        async def transcribe() -> TranscriptionResult:  # its name becomes the operation in metrics and logs
            recordings = await self._recordings.get()
            return await recordings.transcribe(audio, audio_format)

        result: TranscriptionResult = await self.make_request(transcribe)
        return result

    def recording_charge(self, seconds: float) -> Charge:
        """The charge for a recording, at the price of a stream: sources differ about the price of recordings."""
        model = self._options.batch_model
        cost = self._prices.stt_cost(model, self._options.language, seconds)
        return Charge(provider=PROVIDER, model=model, cost=cost, seconds=seconds)

    async def aclose(self) -> None:
        """Close the connections for recordings."""
        await self._recordings.aclose()

    def map_error(self, error: Exception) -> ProviderError | None:
        """See :meth:`BaseResilientClient.map_error`."""
        return DeepgramConnection.error_of(error) or super().map_error(error)

    def _stream(self, *, tag: str | None) -> DeepgramStream:
        url = listen_url(self._base_url, self._format, self._options, tag=tag)
        return DeepgramStream(
            Endpoint(url, self._headers, self._tls),
            client=self,
            audio_format=self._format,
            options=self._options,
            prices=self._prices,
        )


async def _feed(stream: DeepgramStream, audio_stream: AsyncIterator[bytes]) -> None:
    """Send all audio, then finish, also when the source fails, so that earlier words are not lost."""
    try:
        async for audio in audio_stream:
            await stream.room()
            stream.send(audio)
    except Exception:  # the source failed; raised again below
        await stream.finish()
        raise
    await stream.finish()


def _recordings(*, api_key: str, base_url: str, options: DeepgramOptions) -> "DeepgramRecordings":
    """Load the vendor's SDK. Only whole recordings need it, so no start waits for it."""
    from app.clients.deepgram.batch import DeepgramRecordings

    return DeepgramRecordings(api_key=api_key, base_url=base_url, options=options)
