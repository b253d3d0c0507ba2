"""Speech to text with fallbacks: the first link that reports the caller's words hears the turn."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import structlog

from app.clients.entry import SttSession
from app.clients.fallback.chain import Chain
from app.clients.fallback.client import FallbackClient
from app.clients.fallback.hearing_link import SttLink
from app.clients.fallback.hearing_stream import FallbackStream
from app.errors import ProviderError
from app.models import TranscriptionResult
from app.ports.priority import Priority, requests_at
from app.ports.streams import StreamLost, TurnEnded, TurnUpdated
from app.ports.vendors import Charge, SttCapabilities
from media.formats import AudioFormat

log = structlog.get_logger(__name__)

_PROBE_SECONDS = 4.0
_PROBE_SILENCE_SECONDS = 1.0
"""What follows the sentence of a probe, so that its words become final."""


class FallbackHearing(FallbackClient[SttSession]):
    """Speech to text over a chain. The first link hears as long as it is well."""

    def __init__(
        self, links: Sequence[SttLink], audio_format: AudioFormat, *, sentence: Callable[[], Awaitable[bytes]]
    ) -> None:
        """``sentence`` returns something said, in that format: a link that is down must recognise it."""
        super().__init__(Chain(links))
        self._links = tuple(links)
        self._format = audio_format
        self._sentence = sentence

    @property
    def model(self) -> str:
        """The first choice's."""
        return self.first.model

    @property
    def capabilities(self) -> SttCapabilities:
        """The first choice's, with the names of all links."""
        return replace(self.first.capabilities, chain=self.links)

    @property
    def is_down(self) -> bool:
        """Whether every link is down, and its breaker says so, too."""
        return all(self._chain.is_down(link) and link.client.is_down for link in self._links)

    def listen(self, *, call_id: str, language: str | None = None) -> FallbackStream:
        """Open a stream for one call. ``language`` is the one in which the caller probably speaks at first."""
        return FallbackStream(self._chain, self._links, self._format, call_id=call_id, language=language)

    async def transcribe_batch(self, audio_data: bytes) -> TranscriptionResult:
        """Transcribe a recording, by the first link that can. Raises BadAudio, or the first failure of a link."""
        failures: list[ProviderError] = []
        for link in self._chain.order():
            try:
                return await link.client.transcribe_batch(audio_data)
            except ProviderError as error:
                failures.append(error)
        raise failures[0]

    def recording_charge(self, seconds: float) -> Charge:
        """The charge of the link that is asked first for a recording."""
        return self._chain.order()[0].client.recording_charge(seconds)

    async def probe(self) -> list[Charge]:
        """Have each link that is down and due for a probe hear a sentence. Returns what that cost."""
        charges: list[Charge] = []
        loop = asyncio.get_running_loop()
        for link in self._chain.due(loop.time()):
            sentence = await self._sentence()
            with requests_at(Priority.HEDGE):
                is_well, cost = await self._hears(link.client, sentence)
            charges += cost
            self._chain.probed(link, is_well=is_well, now=loop.time())
            if is_well:
                log.info("fallback.well", link=link.name)
        return charges

    async def _hears(self, client: SttSession, sentence: bytes) -> tuple[bool, list[Charge]]:
        """Whether the link finds words in the sentence, and what that cost."""
        stream = client.listen(call_id="probe")
        silence = self._format.silence(round(_PROBE_SILENCE_SECONDS * self._format.sample_rate))
        is_well = False
        try:
            async with asyncio.timeout(_PROBE_SECONDS), stream:
                stream.note_sound(is_heard=True)
                stream.send(sentence)
                await asyncio.sleep(0)
                stream.note_sound(is_heard=False)
                stream.send(silence)
                async for event in stream:
                    is_well = isinstance(event, TurnUpdated | TurnEnded) and bool(event.transcript.text)
                    if is_well or isinstance(event, StreamLost):
                        break
        except TimeoutError:
            pass
        return is_well, stream.charges()
