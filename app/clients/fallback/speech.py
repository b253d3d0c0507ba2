"""A voice with fallbacks: the first link of a chain that gives sound speaks the utterance."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import structlog

from app.clients.entry import TtsSession
from app.clients.fallback.chain import Chain, Link
from app.clients.fallback.client import FallbackClient
from app.clients.fallback.race import FallbackFailed, LinkFailed, Race
from app.errors import ProviderError
from app.models import VoiceConfig
from app.ports.priority import Priority, requests_at
from app.ports.streams import VoiceAudio, VoiceEvent, VoiceFailed
from app.ports.vendors import Charge, TextToSpeech, TtsCapabilities, TtsUtterance

log = structlog.get_logger(__name__)

_LATE_SECONDS = 0.8
"""An idle voice gives its first sound in 0.1 to 0.3 s."""
_NEXT_LATE_SECONDS = 0.4
"""After the first link, and in the middle of an utterance, the caller is already waiting."""
_PROBE_SECONDS = 3.0
_PROBE_TEXT = "1, 2, 3."
"""In any language, and long enough to come in several pieces: a voice that stalls after the first one is not well."""


@dataclass(slots=True, eq=False)
class VoiceLink(Link[TtsSession]):
    """One way to speak."""

    voice: Callable[[VoiceConfig], VoiceConfig | None] = lambda voice: voice
    """The link's own voice that is nearest to one of the first choice; None when it cannot speak the language."""


class FallbackVoice(FallbackClient[TtsSession]):
    """Text to speech over a chain. The first link speaks as long as it is well."""

    def __init__(self, links: Sequence[VoiceLink]) -> None:
        super().__init__(Chain(links))
        self._links = tuple(links)
        self._spoken: VoiceConfig | None = None

    @property
    def capabilities(self) -> TtsCapabilities:
        """The first choice's, with the names of all links."""
        return replace(self.first.capabilities, chain=self.links)

    @property
    def variant(self) -> str:
        """The first choice's."""
        return self.first.variant

    @property
    def first_choice(self) -> TextToSpeech:
        """The first choice alone, for sound that is kept; the chain learns of its failures."""
        return FirstChoice(self)

    @property
    def is_first_down(self) -> bool:
        """Whether the first choice is down."""
        return self._chain.is_down(self._chain.first)

    def is_down_for(self, voice: VoiceConfig) -> bool:
        """Whether every link that could say any text in that language is down, and its breaker says so, too."""
        able = [link for link in self._links if link.client.capabilities.any_text and link.voice(voice) is not None]
        return all(self._chain.is_down(link) and link.client.is_down for link in able)

    def utterance(self, voice: VoiceConfig, *, call_id: str, after: ProviderError | None = None) -> "FallbackUtterance":
        """An utterance. ``after`` is the failure in the middle of the utterance that this one continues."""
        self._spoken = voice
        links = [(link, own) for link in self._links if (own := link.voice(voice)) is not None]
        return FallbackUtterance(self._chain, links, call_id=call_id, after=after)

    def first_utterance(self, voice: VoiceConfig, *, call_id: str) -> "FallbackUtterance":
        """An utterance of the first choice alone."""
        self._spoken = voice
        return FallbackUtterance(self._chain, [(self._links[0], voice)], call_id=call_id, after=None)

    async def warm_up(self) -> None:
        """Keep the first choice's connection open. Raises ProviderError; then the next link speaks until a probe."""
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        try:
            await self.first.warm_up()
        except ProviderError as error:
            final = FallbackFailed(error, retryable=False)
            self._chain.failed(self._chain.first, final, began_at=began_at, now=loop.time())
            raise

    async def probe(self) -> list[Charge]:
        """Have each link that is down and due for a probe speak one word. Returns what that cost."""
        charges: list[Charge] = []
        loop = asyncio.get_running_loop()
        for link in self._links:
            voice = link.voice(self._spoken) if self._spoken is not None else None
            if link not in self._chain.due(loop.time()) or voice is None:
                continue
            utterance = link.client.utterance(voice, call_id="probe")
            with requests_at(Priority.HEDGE):
                is_well = await _speaks(utterance)
            charges += utterance.charges()
            self._chain.probed(link, is_well=is_well, now=loop.time())
            if is_well:
                log.info("fallback.well", link=link.name)
        return charges


@dataclass(frozen=True, slots=True)
class FirstChoice:
    """The first link of a chain as a voice of its own, without fallbacks."""

    of: FallbackVoice

    @property
    def provider(self) -> str:
        """The link's."""
        return self.of.provider

    @property
    def capabilities(self) -> TtsCapabilities:
        """The link's."""
        return replace(self.of.capabilities, chain=())

    @property
    def variant(self) -> str:
        """The link's."""
        return self.of.variant

    @property
    def first_choice(self) -> TextToSpeech:
        """Itself."""
        return self

    def is_down_for(self, _voice: VoiceConfig) -> bool:
        """Whether the link is down."""
        return self.of.is_first_down

    def utterance(self, voice: VoiceConfig, *, call_id: str, after: ProviderError | None = None) -> "FallbackUtterance":
        """An utterance of that link."""
        return self.of.first_utterance(voice, call_id=call_id)


class FallbackUtterance:
    """Text in by :meth:`say` and :meth:`finish`, sound out by iterating once.

    Every link that is asked gets the whole text from its beginning, and all that follows. Task ledger:
    ``{call}:voice:{link}`` is a race's; ``{call}:feed:{link}`` gives a link its text, and ends with its sound.
    """

    def __init__(
        self,
        chain: Chain[TtsSession],
        links: Sequence[tuple[VoiceLink, VoiceConfig]],
        *,
        call_id: str,
        after: ProviderError | None,
    ) -> None:
        self._voices = {link.name: voice for link, voice in links}
        self._chain = chain
        self._call_id = call_id
        self._after = after
        self._texts: list[str] = []
        self._finished = self._cancelled = False
        self._news = asyncio.Event()
        self._asked: list[tuple[str, TtsUtterance]] = []
        self._race: Race[TtsSession, VoiceEvent] = Race(
            chain,
            self._speak,
            self._patience,
            f"{call_id}:voice",
            answers=lambda event: isinstance(event, VoiceAudio),
            may_serve=lambda link: link.name in self._voices,
        )

    def charges(self) -> list[Charge]:
        """The charges of all links that were asked; ``served`` marks the one that the caller heard."""
        winner = self._race.winner
        return [
            replace(charge, way=name, served=winner is not None and winner.name == name)
            for name, utterance in self._asked
            for charge in utterance.charges()
        ]

    async def say(self, text: str) -> None:
        """Speak this text next, verbatim. Never waits."""
        self._texts.append(text)
        self._wake()

    async def finish(self) -> None:
        """There is no more text."""
        self._finished = True
        self._wake()

    def cancel(self) -> None:
        """Drop the rest, and end the iteration."""
        self._cancelled = True
        self._race.cancel()
        for _name, utterance in self._asked:
            utterance.cancel()
        self._wake()

    async def __aiter__(self) -> AsyncGenerator[VoiceEvent, None]:
        """Yield sound until everything is spoken or the utterance is cancelled. Raises FallbackFailed."""
        while not any(map(str.isalnum, "".join(self._texts))):
            if self._finished or self._cancelled:
                return
            await self._news.wait()
        async with aclosing(self._race.events()) as events:
            async for event in events:
                yield VoiceFailed(event.error) if isinstance(event, LinkFailed) else event

    def _patience(self, index: int) -> float:
        return _LATE_SECONDS if index == 0 and self._after is None else _NEXT_LATE_SECONDS

    async def _speak(self, link: Link[TtsSession]) -> AsyncGenerator[VoiceEvent, None]:
        utterance = link.client.utterance(self._voices[link.name], call_id=self._call_id, after=self._after)
        self._asked.append((link.name, utterance))
        feeding = asyncio.get_running_loop().create_task(
            self._feed(utterance), name=f"{self._call_id}:feed:{link.name}"
        )
        feeding.add_done_callback(lambda fed: utterance.cancel() if not fed.cancelled() and fed.exception() else None)
        try:
            async for event in utterance:
                yield event
            if feeding.done():
                feeding.result()
        finally:
            utterance.cancel()
            feeding.cancel()
            await asyncio.wait([feeding])

    async def _feed(self, utterance: TtsUtterance) -> None:
        said = 0
        while True:
            news = self._news
            while said < len(self._texts):
                said += 1
                await utterance.say(self._texts[said - 1])
            if self._finished and said == len(self._texts):
                await utterance.finish()
                return
            if news is self._news:
                await news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


async def _speaks(utterance: TtsUtterance) -> bool:
    """Whether the word is spoken to its end."""
    sounded = False
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await utterance.say(_PROBE_TEXT)
            await utterance.finish()
            async for event in utterance:
                sounded = sounded or isinstance(event, VoiceAudio)
    except (ProviderError, TimeoutError):
        return False
    finally:
        utterance.cancel()
    return sounded
