"""Cartesia without its socket: each piece of text is one HTTP request, and its sound has no word times."""

import asyncio
from collections.abc import AsyncGenerator

from app.clients.cartesia.client import CartesiaTTSClient
from app.clients.cartesia.context import letters
from app.clients.cartesia.messages import PROVIDER
from app.clients.prices import Prices
from app.errors import ProviderError
from app.models import VoiceConfig
from app.ports.streams import VoiceAudio, VoiceEvent
from app.ports.vendors import Charge, TtsCapabilities
from media.formats import ENCODINGS

_REQUEST_SECONDS = 5.0
"""For the sound of one piece of text: by then the caller has been given a filler, or the answer up."""


class CartesiaHttpClient(CartesiaTTSClient):
    """As :class:`CartesiaTTSClient`, for a network that no websocket gets through; needs no warm-up."""

    @property
    def capabilities(self) -> TtsCapabilities:
        """It speaks every language and format of the socket, but tells no word times."""
        return TtsCapabilities(word_times=False, languages=None, encodings=ENCODINGS)

    def utterance(  # type: ignore[override]  # the ports are the same, and nobody needs more of the socket's
        self, voice: VoiceConfig, *, call_id: str, after: ProviderError | None = None
    ) -> "CartesiaHttpUtterance":
        """A turn of a call, to be given text and iterated."""
        return CartesiaHttpUtterance(self, voice, prices=self._prices)

    async def warm_up(self) -> None:
        """Nothing: requests open their connection themselves."""


class CartesiaHttpUtterance:
    """Text in by :meth:`say` and :meth:`finish`, sound out by iterating once.

    What is said while a request is under way goes out with the next. Task ``cartesia:http`` is one request; it ends
    with the iteration, or when the utterance is cancelled.
    """

    def __init__(self, client: CartesiaTTSClient, voice: VoiceConfig, *, prices: Prices) -> None:
        self._client = client
        self._voice = voice
        self._prices = prices
        self._text = ""
        self._news = asyncio.Event()
        self._finished = self._cancelled = False
        self._request: asyncio.Task[bytes] | None = None
        self._characters = 0

    def charges(self) -> list[Charge]:
        """What the vendor bills, cancelled or not; empty while nothing was sent."""
        if not self._characters:
            return []
        cost = self._prices.tts_cost(self._voice.model, self._characters)
        return [Charge(provider=PROVIDER, model=self._voice.model, cost=cost, characters=self._characters)]

    async def say(self, text: str) -> None:
        """Speak this next, verbatim; never waits."""
        self._text += text
        self._news.set()

    async def finish(self) -> None:
        """There is no more text; the iteration ends with the sound of what was said."""
        self._finished = True
        self._news.set()

    def cancel(self) -> None:
        """The rest is not wanted: the iteration ends at once."""
        self._cancelled = True
        self._news.set()
        if self._request is not None:
            self._request.cancel()

    async def __aiter__(self) -> AsyncGenerator[VoiceEvent, None]:
        """Sound until all is spoken or cancelled. Raises ProviderError."""
        while text := await self._next_text():
            self._characters += len(text)
            self._request = asyncio.get_running_loop().create_task(self._ask(text), name="cartesia:http")
            try:
                await asyncio.wait([self._request])
            finally:
                self._request.cancel()
                await asyncio.wait([self._request])
            if self._cancelled:
                return
            yield VoiceAudio(self._request.result())

    async def _next_text(self) -> str:
        """All that was said since the last request; empty when nothing more is to be spoken."""
        while not self._cancelled and not letters(self._text):
            if self._finished:
                return ""
            self._news.clear()
            await self._news.wait()
        text, self._text = self._text, ""
        return "" if self._cancelled else text

    async def _ask(self, text: str) -> bytes:
        async with self._client.attempt("speak_over_http") as attempt, asyncio.timeout(_REQUEST_SECONDS):
            audio = await self._client.speak_once(text, self._voice)
            attempt.answered()
            return audio
