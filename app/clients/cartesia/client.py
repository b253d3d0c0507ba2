"""The Cartesia client: streaming synthesis over a shared websocket, and whole texts over HTTP."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

import structlog

from app.clients.breaker import CircuitBreaker
from app.clients.cartesia.messages import PROVIDER, CartesiaOptions, websocket_url
from app.clients.cartesia.socket import CartesiaSocket
from app.clients.cartesia.utterance import CartesiaUtterance
from app.clients.limiter import RequestLimiter, Slot
from app.clients.loading import LoadedWhenNeeded
from app.clients.prices import DEFAULT_PRICES, Prices
from app.clients.resilient import BaseResilientClient, ProviderObserver, RetryPolicy
from app.errors import BreakerOpen, ProviderError, ProviderUnavailable
from app.models import VoiceConfig
from app.ports.streams import VoiceAudio
from app.ports.vendors import TtsCapabilities
from media.formats import ENCODINGS

if TYPE_CHECKING:  # see _texts
    from app.clients.cartesia.batch import CartesiaTexts

__all__ = ["CartesiaOptions", "CartesiaTTSClient", "CartesiaUtterance"]

log = structlog.get_logger(__name__)

_DEFAULT_OPTIONS = CartesiaOptions()


class CartesiaTTSClient(BaseResilientClient):
    """Text to speech by Cartesia; create it inside a running loop, close it with :meth:`aclose`.

    All calls share one socket. When it gets old a new one replaces it, and the old one closes with its last context.
    The task ``cartesia:open`` opens a socket for everyone who waits for one; it ends within ``connect_seconds``.
    """

    provider = PROVIDER

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        options: CartesiaOptions = _DEFAULT_OPTIONS,
        prices: Prices = DEFAULT_PRICES,
        retry: RetryPolicy | None = None,
        breaker: CircuitBreaker | None = None,
        observer: ProviderObserver | None = None,
        limiter: RequestLimiter | None = None,
    ) -> None:
        super().__init__(retry=retry, breaker=breaker, observer=observer, limiter=limiter)
        self._api_key = api_key
        self._url = websocket_url(base_url)
        self._options = options
        self._prices = prices
        self._texts = LoadedWhenNeeded(
            partial(_texts, api_key=api_key, base_url=base_url, options=options),
            provider=PROVIDER,
            name="cartesia.loading",
        )
        self._socket: CartesiaSocket | None = None
        self._retired: list[CartesiaSocket] = []
        self._opening: asyncio.Task[CartesiaSocket] | None = None
        self._contexts = 0
        self._closed = False

    @property
    def capabilities(self) -> TtsCapabilities:
        """What the socket gives."""
        return TtsCapabilities(word_times=True, languages=self._options.languages, encodings=ENCODINGS)

    @property
    def variant(self) -> str:
        """The pronunciation dictionary."""
        return self._options.pronunciation_dict_id or ""

    @property
    def first_choice(self) -> "CartesiaTTSClient":
        """Itself."""
        return self

    # --- synthesis ----------------------------------------------------------------------------------------------

    def utterance(self, voice: VoiceConfig, *, call_id: str, after: ProviderError | None = None) -> CartesiaUtterance:
        """A new utterance of a call: give it text and iterate it. Raises ValueError for an unknown audio format.

        ``after`` is the failure of the utterance that this one replaces. If that failure hit many at once, such as the
        loss of their socket, the breaker does not refuse this one.
        """
        insist = after is not None and after.is_shared and after.retryable
        return CartesiaUtterance(self, voice, self._options, call_id=call_id, prices=self._prices, insist=insist)

    async def synthesize_stream(self, text: str, voice_config: VoiceConfig) -> AsyncIterator[bytes]:
        """The audio of a text, as it is produced, in whole samples. Raises ProviderError."""
        utterance = self.utterance(voice_config, call_id="text")
        await utterance.say(text)
        await utterance.finish()
        async with aclosing(aiter(utterance)) as events:
            async for event in events:
                if isinstance(event, VoiceAudio):
                    yield event.audio

    async def synthesize_batch(self, text: str, voice_config: VoiceConfig) -> bytes:
        """The audio of a whole text, by HTTP, with retries. Raises ProviderError."""
        audio: bytes = await self.make_request(self.speak_once, text, voice_config)
        return audio

    async def speak_once(self, text: str, voice_config: VoiceConfig) -> bytes:
        """The audio of a whole text by a single ``POST /tts/bytes``, not counted and not retried.

        Raises ProviderError without the vendor's message, which may repeat the text.
        """
        texts = await self._texts.get()
        return await texts.speak(text, voice_config)

    async def warm_up(self) -> None:
        """Open the socket before it is needed. Raises ProviderError."""
        if self._is_fresh(self._socket):
            return
        async with self.attempt("connect", takes_turn=False):
            await self._new_socket()

    async def aclose(self) -> None:
        """Fail live utterances and close everything, within about half a second."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        async with asyncio.TaskGroup() as tasks:
            for socket in [*self._retired, *([self._socket] if self._socket else [])]:
                tasks.create_task(socket.aclose(), name="cartesia:close")
        await self._texts.aclose()

    # --- for utterances -----------------------------------------------------------------------------------------

    def check_breaker(self) -> None:
        """Raises BreakerOpen while the breaker is open; takes no permit."""
        if self._breaker.state(asyncio.get_running_loop().time()) == "open":
            raise BreakerOpen(self.provider, "not asked, it failed too often just now")

    async def context_slot(self) -> Slot:
        """Permission for one context, to be released with it. Raises Throttled."""
        return await self.limiter.acquire()

    def new_context_id(self, call_id: str) -> str:
        """A new, unique context id that begins with the call's id."""
        self._contexts += 1
        return f"{call_id}:{self._contexts}-{secrets.token_hex(4)}"

    async def live_socket(self) -> CartesiaSocket:
        """The open socket, or a new one. Raises ProviderError.

        An old socket that was used recently serves once more while its successor opens.
        """
        socket = self._socket
        if socket is None or not socket.is_open:
            return await self._new_socket()
        if not self._is_fresh(socket):
            idle = asyncio.get_running_loop().time() - socket.used_at
            if idle >= self._options.recycle_seconds:
                return await self._new_socket()
            self._start_opening()
        return socket

    def _is_fresh(self, socket: CartesiaSocket | None) -> bool:
        if socket is None or not socket.is_open:
            return False
        return asyncio.get_running_loop().time() - socket.opened_at < self._options.recycle_seconds

    async def _new_socket(self) -> CartesiaSocket:
        """Wait for the opening in progress, or start one. Cancelling a waiter does not cancel the opening."""
        opening = self._start_opening()
        await asyncio.wait([opening])
        if opening.cancelled():
            raise ProviderUnavailable(self.provider, "the client was closed")
        return opening.result()

    def _start_opening(self) -> asyncio.Task[CartesiaSocket]:
        if self._closed:
            raise ProviderUnavailable(self.provider, "the client was closed")
        if self._opening is None or self._opening.done():
            self._opening = asyncio.get_running_loop().create_task(self._open_socket(), name="cartesia:open")
            self._opening.add_done_callback(_log_failed_opening)
        return self._opening

    async def _open_socket(self) -> CartesiaSocket:
        try:
            fresh = await CartesiaSocket.open(self._url, api_key=self._api_key, seconds=self._options.connect_seconds)
        except ProviderError as error:
            error.is_shared = True  # everyone who waits for the socket gets it
            raise
        self._retired = [socket for socket in self._retired if not socket.is_over]
        if self._socket is not None:
            self._socket.retire()
            self._retired.append(self._socket)
        self._socket = fresh
        return fresh


def _texts(*, api_key: str, base_url: str, options: CartesiaOptions) -> "CartesiaTexts":
    """Load the vendor's SDK, which only whole texts need, so that no start waits for it."""
    from app.clients.cartesia.batch import CartesiaTexts

    return CartesiaTexts(api_key=api_key, base_url=base_url, options=options)


def _log_failed_opening(opening: asyncio.Task[CartesiaSocket]) -> None:
    """Log a failed opening: waiters get the error too, but nobody may be waiting."""
    error = None if opening.cancelled() else opening.exception()
    if isinstance(error, ProviderError):
        log.warning("socket.not_opened", provider=PROVIDER, code=error.code)
