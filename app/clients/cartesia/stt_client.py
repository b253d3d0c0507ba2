"""The client of Cartesia's speech recognition: live streams, and whole recordings."""

from functools import partial
from typing import TYPE_CHECKING

from app.clients.breaker import CircuitBreaker
from app.clients.cartesia.messages import API_VERSION, PROVIDER
from app.clients.cartesia.stt_connection import InkConnection
from app.clients.cartesia.stt_messages import InkOptions, InkTurns, stt_url
from app.clients.limiter import RequestLimiter
from app.clients.loading import LoadedWhenNeeded
from app.clients.prices import DEFAULT_PRICES, Prices
from app.clients.reconnecting import ReconnectingStream, StreamPatience
from app.clients.recordings import RECOVERY_SECONDS, samples_of
from app.clients.resilient import BaseResilientClient, ProviderObserver, RetryPolicy
from app.clients.stt_socket import Endpoint
from app.clients.tls import tls_for
from app.errors import ProviderError
from app.models import TranscriptionResult
from app.ports.vendors import Charge, SttCapabilities
from media.formats import ENCODINGS, AudioFormat

if TYPE_CHECKING:  # see _recordings
    from app.clients.cartesia.batch import CartesiaRecordings


class CartesiaSTTClient(BaseResilientClient):
    """Speech to text by Cartesia for one audio format. :meth:`listen` opens a stream, which its caller owns."""

    provider = PROVIDER

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        audio_format: AudioFormat,
        options: InkOptions | None = None,
        prices: Prices = DEFAULT_PRICES,
        retry: RetryPolicy | None = None,
        breaker: CircuitBreaker | None = None,
        observer: ProviderObserver | None = None,
        limiter: RequestLimiter | None = None,
    ) -> None:
        """``base_url`` is http(s) or ws(s), with or without a path; REST and websocket addresses derive from it."""
        breaker = breaker or CircuitBreaker(recovery_seconds=RECOVERY_SECONDS)
        super().__init__(retry=retry, breaker=breaker, observer=observer, limiter=limiter)
        self._format = audio_format
        self._options = options or InkOptions()
        self._prices = prices
        self._base_url = base_url
        self._headers = {"Authorization": f"Bearer {api_key}", "Cartesia-Version": API_VERSION}
        self._tls = tls_for(base_url)
        self._recordings = LoadedWhenNeeded(
            partial(_recordings, api_key=api_key, base_url=base_url, options=self._options),
            provider=PROVIDER,
            name="cartesia.loading",
        )

    @property
    def model(self) -> str:
        """Cartesia's name of the model."""
        return self._options.model

    @property
    def capabilities(self) -> SttCapabilities:
        """The model knows about a hundred languages."""
        return SttCapabilities(languages=None, encodings=ENCODINGS)

    def listen(self, *, call_id: str, language: str | None = None) -> "InkStream":
        """Open a live stream, in the call's ``language`` if calls are in several. It is an async context manager."""
        options = self._options.for_call(language)
        url = stt_url(self._base_url, self._format, options)
        endpoint = Endpoint(url, {**self._headers, "X-Call-Id": call_id}, self._tls)
        return InkStream(endpoint, client=self, audio_format=self._format, options=options, prices=self._prices)

    async def transcribe_batch(self, audio_data: bytes) -> TranscriptionResult:
        """Transcribe a recording: a WAV file of any rate and number of channels, or raw audio in the client's format.

        Raises BadAudio for audio that cannot be read, ProviderError when Cartesia does not transcribe it.
        """
        audio, audio_format = await samples_of(audio_data, self._format)

        async def transcribe() -> TranscriptionResult:  # its name becomes the operation in metrics and logs
            recordings = await self._recordings.get()
            return await recordings.transcribe(audio, audio_format)

        result: TranscriptionResult = await self.make_request(transcribe)
        return result

    def recording_charge(self, seconds: float) -> Charge:
        """The charge for a recording, at the price of a stream."""
        cost = self._prices.stt_cost(self._options.model, self._options.language, seconds)
        return Charge(provider=PROVIDER, model=self._options.model, cost=cost, seconds=seconds)

    async def aclose(self) -> None:
        """Close the connections for recordings."""
        await self._recordings.aclose()

    def map_error(self, error: Exception) -> ProviderError | None:
        """See :meth:`BaseResilientClient.map_error`."""
        return InkConnection.error_of(error) or super().map_error(error)


class InkStream(ReconnectingStream[InkTurns]):
    """A :class:`ReconnectingStream` from Cartesia. Each connection has two more tasks, which end with it."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        client: BaseResilientClient,
        audio_format: AudioFormat,
        options: InkOptions,
        prices: Prices,
    ) -> None:
        super().__init__(
            client,
            InkTurns(options.language),
            audio_format=audio_format,
            patience=StreamPatience(
                connect_seconds=options.connect_seconds,
                give_up_seconds=options.give_up_seconds,
                steady_seconds=options.steady_seconds,
                replay_seconds=options.replay_seconds,
            ),
        )
        self._endpoint = endpoint
        self._options = options
        self._prices = prices

    async def connect(self, seconds: float) -> InkConnection:
        """See :meth:`ReconnectingStream.connect`."""
        return await InkConnection.open(
            self._endpoint, self._state, audio_format=self._format, options=self._options, patience=seconds
        )

    def charges(self) -> list[Charge]:
        """The audio sent, with repetitions and silence."""
        seconds = round(self.audio_seconds_sent, 3)
        cost = self._prices.stt_cost(self._options.model, self._options.language, seconds)
        ids = tuple(self.request_ids)
        return [Charge(provider=PROVIDER, model=self._options.model, cost=cost, seconds=seconds, request_ids=ids)]


def _recordings(*, api_key: str, base_url: str, options: InkOptions) -> "CartesiaRecordings":
    """Load the vendor's SDK. Only whole recordings need it, so no start waits for it."""
    from app.clients.cartesia.batch import CartesiaRecordings

    return CartesiaRecordings(api_key=api_key, base_url=base_url, options=options)
