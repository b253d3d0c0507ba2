"""One websocket to Cartesia's speech recognition: when it finalizes, and its errors."""

from collections.abc import Mapping
from typing import Self

from app.clients.cartesia.messages import PROVIDER, error_for_status
from app.clients.cartesia.stt_messages import InkOptions, InkTurns, handshake_error, read_request_id
from app.clients.rate_limit_headers import retry_after_seconds
from app.clients.stream_state import SttStreamState
from app.clients.stt_socket import Endpoint, RawSocket, SttSocket
from app.errors import ProviderError, ProviderUnavailable
from media.formats import AudioFormat

_KEPT_IN_SILENCE_SECONDS = 1.0
"""How much audio is kept while nobody speaks: the beginning of a sound is noticed late."""


class InkConnection(SttSocket[InkTurns]):
    """One open socket. It has stalled when it does not finalize in time."""

    provider = PROVIDER
    request_id_header = "x-request-id"
    close_message = "close"

    def __init__(
        self,
        socket: RawSocket,
        state: SttStreamState[InkTurns],
        audio_format: AudioFormat,
        options: InkOptions,
    ) -> None:
        super().__init__(socket, state, audio_format, options.socket_times)
        self._options = options
        self._has_new_sound = state.buffer.unsent > 0
        """Whether the caller may have made a sound that is not finalized yet."""
        self._silent_since: float | None = None
        self._asked_at = 0.0
        self._spoken_at = 0.0
        """When the last words came."""

    @classmethod
    async def open(
        cls,
        endpoint: Endpoint,
        state: SttStreamState[InkTurns],
        *,
        audio_format: AudioFormat,
        options: InkOptions,
        patience: float,
    ) -> Self:
        """Connect within ``patience`` seconds. Raises what :meth:`error_of` maps."""
        return cls(await cls.dial(endpoint, options.socket_times, patience), state, audio_format, options).opened()

    def note(self, message: Mapping[str, object]) -> None:
        """Note when words have come."""
        if message.get("type") == "transcript":
            self._spoken_at = self._clock()

    async def send_due(self) -> None:
        """Finalize in a pause of the caller, when everything has been sent."""
        now, state = self._clock(), self._state
        state.turns.caller_speaks = state.sound_since is not None
        if state.turns.caller_speaks:
            self._has_new_sound, self._silent_since = True, None
            return
        if self._silent_since is None:
            self._silent_since = now
        due_at = self.next_due_at()
        if due_at is not None and now >= due_at and state.buffer.unsent < state.piece:
            self._has_new_sound, self._asked_at = False, now
            state.turns.note_finalize(self._timeline.sent_seconds)
            await self.send_text("finalize")
        elif due_at is None and not state.turns.open and not state.turns.is_asked:
            kept = round(_KEPT_IN_SILENCE_SECONDS * self._format.sample_rate)
            state.buffer.acknowledge(state.buffer.next - kept)

    def next_due_at(self) -> float | None:
        """When to finalize."""
        if self._state.sound_since is not None or self._state.turns.is_asked:
            return None
        if self._has_new_sound and self._silent_since is not None:
            return self._silent_since + self._options.finalize_seconds
        return self._spoken_at + self._options.unnoticed_seconds if self._state.turns.open else None

    def owes_since(self) -> float | None:
        """Since the first ``finalize`` that is not answered."""
        return self._asked_at if self._state.turns.is_asked else None

    @staticmethod
    def read_request_id(value: object) -> str | None:
        """See :meth:`SttSocket.read_request_id`."""
        return read_request_id(value)

    @staticmethod
    def status_error(status: int, headers: Mapping[str, str]) -> ProviderError:
        """See :meth:`SttSocket.status_error`."""
        wait = retry_after_seconds(headers.get("retry-after"))
        return handshake_error(error_for_status(status, retry_after=wait))

    @staticmethod
    def closed_error(code: int, reason: str) -> ProviderError:
        """See :meth:`SttSocket.closed_error`. The reason is prose, and left out."""
        return ProviderUnavailable(PROVIDER, f"closed with {code}")
