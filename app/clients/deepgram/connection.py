"""One websocket to Deepgram: its first message, its patience, its errors.

Wire format: https://developers.deepgram.com/reference/speech-to-text/listen-streaming (Nova-3) and
https://developers.deepgram.com/reference/speech-to-text/listen-flux (Flux).
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Self

import structlog

from app.clients.deepgram.messages import PROVIDER, DeepgramOptions
from app.clients.deepgram.patience import FluxPatience
from app.clients.deepgram.spoken import read_token
from app.clients.rate_limit_headers import retry_after_seconds
from app.clients.stream_state import SttStreamState
from app.clients.stt_socket import Endpoint, RawSocket, SttSocket
from app.clients.turn_assembly import TurnAssembly
from app.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from media.formats import AudioFormat

log = structlog.get_logger(__name__)


class DeepgramConnection(SttSocket[TurnAssembly]):
    """One open socket to Flux or Nova.

    When Deepgram sends nothing although a turn is open or the caller makes a sound, the connection has stalled.
    """

    provider = PROVIDER
    request_id_header = "dg-request-id"
    close_message = '{"type":"CloseStream"}'

    def __init__(
        self,
        socket: RawSocket,
        state: SttStreamState[TurnAssembly],
        audio_format: AudioFormat,
        options: DeepgramOptions,
    ) -> None:
        super().__init__(socket, state, audio_format, options.socket_times)
        self._options = options
        self._flux_patience = FluxPatience(options) if options.is_flux else None
        self._is_greeted = not options.is_flux

    @classmethod
    async def open(
        cls,
        endpoint: Endpoint,
        state: SttStreamState[TurnAssembly],
        *,
        audio_format: AudioFormat,
        options: DeepgramOptions,
        patience: float,
    ) -> Self:
        """Connect within ``patience`` seconds. Raises what :meth:`error_of` maps."""
        return cls(await cls.dial(endpoint, options.socket_times, patience), state, audio_format, options).opened()

    async def greeted(self) -> None:
        """Wait for Flux's ``Connected``, which it sends at once. Without it, the socket does not work."""
        if self._is_greeted:
            return
        try:
            async with asyncio.timeout(self._options.connect_seconds):
                await self.take_next()
        except TimeoutError:
            raise ProviderTimeout(PROVIDER, "the socket opened and sends nothing") from None
        self._is_greeted = True

    @property
    def owed_seconds(self) -> float:
        """See :attr:`SttSocket.owed_seconds`; Flux owes its first message from the beginning."""
        return super().owed_seconds if self._is_greeted else self._clock() - self._opened_at

    def note(self, message: Mapping[str, object]) -> None:
        """Let the writer send the next ``Configure`` when the last one is answered."""
        if self._flux_patience is None or not self._flux_patience.note(message):
            return
        self._state.changed.set()
        if message.get("type") == "ConfigureFailure":
            log.warning("stream.patience_refused", provider=PROVIDER, code=read_token(message.get("code")))

    async def send_due(self) -> None:
        """Send Flux's next ``Configure``."""
        wanted = self._flux_patience and self._flux_patience.next_message(self._state.patience, self._clock())
        if wanted:
            await self.send_text(wanted)

    def keep_alive(self) -> str | None:
        """Nova's own message. Flux has none."""
        return None if self._options.is_flux else '{"type":"KeepAlive"}'

    @staticmethod
    def read_request_id(value: object) -> str | None:
        """See :meth:`SttSocket.read_request_id`."""
        return read_token(value)

    @staticmethod
    def status_error(status: int, headers: Mapping[str, str]) -> ProviderError:
        """Map an HTTP error status, with the vendor's headers, to our error."""
        known = {name.lower(): str(value) for name, value in headers.items()}
        request_id = known.get("dg-request-id")
        message = f"HTTP {status}" + (f", {known['dg-error'][:200]}" if "dg-error" in known else "")
        if status == 429:
            wished = retry_after_seconds(known.get("retry-after"))
            return ProviderRateLimited(PROVIDER, message, retry_after=wished, request_id=request_id)
        if status in (408, 504):
            return ProviderTimeout(PROVIDER, message, request_id=request_id)
        if status >= 500:
            return ProviderUnavailable(PROVIDER, message, request_id=request_id)
        if status < 300:
            return ProviderProtocolError(PROVIDER, message, request_id=request_id)
        return ProviderRejected(PROVIDER, message, status=status, request_id=request_id)

    @staticmethod
    def closed_error(code: int, reason: str) -> ProviderError:
        """Map a close by the code in its reason, because one close code has had several meanings."""
        found = re.search(r"\b(NET|DATA)-\d{4}\b", reason)
        named = f"closed with {code}" + (f", {found[0]}" if found else "")
        match found[0] if found else None:
            case "NET-0000":
                return ProviderTimeout(PROVIDER, named)
            case "DATA-0000":
                return ProviderRejected(PROVIDER, named)
            case _:
                return ProviderUnavailable(PROVIDER, named)
