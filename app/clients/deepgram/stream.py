"""Deepgram's STT stream: the connections it opens, and what they cost."""

from app.clients.deepgram.connection import DeepgramConnection
from app.clients.deepgram.flux_messages import FluxTurns
from app.clients.deepgram.messages import PROVIDER, DeepgramOptions
from app.clients.deepgram.nova_messages import NovaTurns
from app.clients.prices import Prices
from app.clients.reconnecting import ReconnectingStream, StreamPatience
from app.clients.resilient import BaseResilientClient
from app.clients.stt_socket import Endpoint
from app.clients.turn_assembly import TurnAssembly
from app.ports.vendors import Charge
from media.formats import AudioFormat


class DeepgramStream(ReconnectingStream[TurnAssembly]):
    """A :class:`ReconnectingStream` from Deepgram.

    Each connection has two more tasks, one that writes and one that detects a stall. They end with the connection.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        client: BaseResilientClient,
        audio_format: AudioFormat,
        options: DeepgramOptions,
        prices: Prices,
    ) -> None:
        super().__init__(
            client,
            (FluxTurns if options.is_flux else NovaTurns)(options.known_language),
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

    async def connect(self, seconds: float) -> DeepgramConnection:
        """See :meth:`ReconnectingStream.connect`."""
        return await DeepgramConnection.open(
            self._endpoint, self._state, audio_format=self._format, options=self._options, patience=seconds
        )

    def charges(self) -> list[Charge]:
        """The audio sent, with repetitions and silence, priced by the language with which the stream was opened."""
        seconds = round(self.audio_seconds_sent, 3)
        cost = self._prices.stt_cost(self._options.model, self._options.language, seconds)
        ids = tuple(self.request_ids)
        return [Charge(provider=PROVIDER, model=self._options.model, cost=cost, seconds=seconds, request_ids=ids)]
