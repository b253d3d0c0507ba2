"""All vendors' services by name, and the clients that are in use.

A vendor is a folder beside this file with an ``entries.py``, and one line in ``ENTRIES``.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Literal, Protocol, TypeVar

import structlog

from app.clients.cartesia import entries as cartesia
from app.clients.deepgram import entries as deepgram
from app.clients.entry import (
    ClientSetup,
    Entry,
    LlmEntry,
    LlmSession,
    Session,
    SttEntry,
    SttSession,
    TtsEntry,
    TtsSession,
)
from app.clients.espeak import entries as espeak
from app.clients.fallback.chain import Link
from app.clients.fallback.hearing import FallbackHearing
from app.clients.fallback.hearing_link import SttLink
from app.clients.fallback.model import FallbackModel
from app.clients.fallback.sentence import sentence
from app.clients.fallback.speech import FallbackVoice, VoiceLink
from app.clients.limiter import Limiters
from app.clients.openai import entries as openai
from app.clients.phrases import entries as phrases
from app.errors import ProviderError, SettingsError
from app.models import ServiceHealth, worst_health
from app.ports.vendors import (
    Charge,
    LanguageModel,
    LlmOptions,
    SpeechToText,
    SttOptions,
    TextGenerator,
    TextToSpeech,
    TtsOptions,
)
from app.settings import Settings
from media.formats import AudioFormat

log = structlog.get_logger(__name__)

KEEP_WARM_SECONDS = 240.0
"""Time between two warm-ups. Clients keep an unused connection longer than that."""

ENTRIES: tuple[Entry, ...] = (
    *deepgram.ENTRIES,
    *openai.ENTRIES,
    *cartesia.ENTRIES,
    *espeak.ENTRIES,
    *phrases.ENTRIES,
)
"""If several entries of a kind serve a model, the first one is used."""

_NOBODY, _AGAIN, _ENDPOINT = "none", "again", "endpoint"
"""Special names in the lists of fallbacks."""

_LONGEST_ANALYSIS_SECONDS = 300.0
"""Longer than any request of the work after calls may take."""

Kind = Literal["stt", "llm", "tts"]
VendorOptions = SttOptions | LlmOptions | TtsOptions


class _Named(Protocol):
    @property
    def name(self) -> str: ...
    def serves(self, model: str, settings: Settings, /) -> bool: ...


_Entry = TypeVar("_Entry", bound=_Named)


class _Warm(Protocol):
    async def warm_up(self) -> None: ...


class VendorRegistry:
    """Makes one client for each choice. Agents with the same choice share its connections and its breaker."""

    def __init__(self, setup: ClientSetup, entries: Sequence[Entry] = ENTRIES) -> None:
        self._setup = setup
        self._stt_entries = [entry for entry in entries if isinstance(entry, SttEntry)]
        self._llm_entries = [entry for entry in entries if isinstance(entry, LlmEntry)]
        self._tts_entries = [entry for entry in entries if isinstance(entry, TtsEntry)]
        self._stt: dict[tuple[str, SttOptions, AudioFormat], SttSession] = {}
        self._llm: dict[tuple[str, LlmOptions], LlmSession] = {}
        self._tts: dict[tuple[str, TtsOptions], TtsSession] = {}
        self._hearings: dict[tuple[str, SttOptions, AudioFormat], FallbackHearing] = {}
        self._generators: dict[tuple[str, LlmOptions], LlmSession] = {}
        """Clients of work after the calls. What they suffer opens no breaker of the calls, and is no health of them."""
        self._asked_at: dict[tuple[str, LlmOptions], float] = {}
        """When each of these was last asked for, by the loop's clock."""
        self._models: dict[tuple[str, LlmOptions], FallbackModel] = {}
        self._voices: dict[tuple[str, TtsOptions], FallbackVoice] = {}
        """The first choices of ``_stt``, ``_llm`` and ``_tts``, with their fallbacks."""

    def __repr__(self) -> str:
        return f"<VendorRegistry {len(self._stt)} hear, {len(self._llm)} think, {len(self._tts)} speak>"

    def stt(self, options: SttOptions, audio_format: AudioFormat) -> SpeechToText:
        """The client for that model and format, with its fallbacks. Raises SettingsError when no entry fits."""
        entry = self._entry(self._stt_entries, options.vendor, options.model)
        key = (entry.name, options, audio_format)
        if key not in self._hearings:
            links = [SttLink(entry.name, self._hearer(entry, options, audio_format), late_seconds=entry.late_seconds)]
            for name in filter(_NOBODY.__ne__, self._setup.settings.stt_fallbacks):
                other = self._fallback(self._stt_entries, name, "STT_FALLBACKS")
                own = other.fallback_options(options)
                if other is not entry and own is not None:
                    client = self._hearer(other, own, audio_format)
                    links.append(SttLink(name, client, late_seconds=other.late_seconds))
            spoken = partial(asyncio.to_thread, sentence, options.likely_language, audio_format)
            self._hearings[key] = FallbackHearing(links, audio_format, sentence=spoken)
        return self._hearings[key].given

    def llm(self, options: LlmOptions) -> LanguageModel:
        """The client for that model, with its fallbacks. Raises SettingsError when no entry fits."""
        entry = self._entry(self._llm_entries, options.vendor, options.model)
        key = (entry.name, options)
        if key not in self._models:
            first = self._thinker(entry, options)
            others = [self._other_model(name, first, options) for name in self._setup.settings.llm_fallbacks]
            self._models[key] = FallbackModel([Link(entry.name, first), *(link for link in others if link is not None)])
        return self._models[key].given

    def generator(self, options: LlmOptions) -> TextGenerator:
        """A client of the model for work that no caller waits for. Raises SettingsError when there is none."""
        entry = self._entry(self._llm_entries, options.vendor, options.model)
        key = (entry.name, options)
        if key not in self._generators:
            self._generators[key] = entry.make(self._setup, options)
        self._asked_at[key] = asyncio.get_running_loop().time()
        return self._generators[key]

    def tts(self, options: TtsOptions) -> TextToSpeech:
        """The client for that voice model, with its fallbacks. Raises SettingsError when no entry fits."""
        entry = self._entry(self._tts_entries, options.vendor, options.model)
        key = (entry.name, options)
        if key not in self._voices:
            links = [VoiceLink(entry.name, self._speaker(entry, options))]
            for name in filter(_NOBODY.__ne__, self._setup.settings.tts_fallbacks):
                other = self._fallback(self._tts_entries, name, "TTS_FALLBACKS")
                if other is not entry and other.is_available(self._setup.settings):
                    links.append(VoiceLink(name, self._speaker(other, options), voice=other.fallback_voice))
            self._voices[key] = FallbackVoice(links)
        return self._voices[key].given

    @property
    def limits(self) -> Limiters:
        """Those of the vendors, as far as requests were made."""
        return self._setup.limiters

    @property
    def providers(self) -> list[str]:
        """The vendors in use: STT first, then LLM, then TTS."""
        return list(dict.fromkeys(session.provider for session in self._sessions if session.is_remote))

    def kinds(self, provider: str) -> list[Kind]:
        """The kinds of service that the vendor provides here."""
        tables: dict[Kind, Iterable[Session]] = {
            "stt": self._stt.values(),
            "llm": self._llm.values(),
            "tts": self._tts.values(),
        }
        return [kind for kind, made in tables.items() if any(session.provider == provider for session in made)]

    async def health_check(self, provider: str) -> ServiceHealth:
        """The worst health of the vendor's clients."""
        checks = [await session.health_check() for session in self._sessions if session.provider == provider]
        return worst_health(checks)

    async def warm_up_llm(self) -> None:
        """Open a connection to each language model. A failure is logged, and the health shows it."""
        await self._warm_up(self._models.values())

    async def warm_up_tts(self) -> None:
        """Open a connection to each TTS vendor. A failure is logged, and the health shows it."""
        await self._warm_up(self._voices.values())

    async def probe(self) -> list[Charge]:
        """Probe the links that are down and due for a probe. Returns what that cost."""
        return [charge for chain in self._chains for charge in await chain.probe()]

    async def close_unused(self, wanted: Collection[VendorOptions], in_use: Iterable[object]) -> None:
        """Close the clients that no agent asks for any more, unless a live call still uses them.

        ``wanted`` holds the options of all agents; ``in_use`` holds the clients that live calls got from here.
        """
        used = set(map(id, in_use))

        def stays(options: VendorOptions, given: object) -> bool:
            return options in wanted or id(given) in used

        self._hearings = {key: hearing for key, hearing in self._hearings.items() if stays(key[1], hearing.given)}
        self._models = {key: model for key, model in self._models.items() if stays(key[1], model.given)}
        self._voices = {key: voice for key, voice in self._voices.items() if stays(key[1], voice.given)}
        kept = {id(session) for chain in self._chains for session in chain.sessions}
        unused = [session for session in self._sessions if id(session) not in kept]
        self._stt = {key: session for key, session in self._stt.items() if id(session) in kept}
        self._llm = {key: session for key, session in self._llm.items() if id(session) in kept}
        self._tts = {key: session for key, session in self._tts.items() if id(session) in kept}
        models, now = {options.model for options in wanted}, asyncio.get_running_loop().time()
        gone = [
            key
            for key in self._generators
            if key[1].model not in models and now - self._asked_at[key] > _LONGEST_ANALYSIS_SECONDS
        ]
        self._asked_at = {key: asked_at for key, asked_at in self._asked_at.items() if key not in gone}
        await _close([*unused, *(self._generators.pop(key) for key in gone)])

    async def aclose(self) -> None:
        """Close every client."""
        await _close([*self._sessions, *self._generators.values()])

    @property
    def _sessions(self) -> list[Session]:
        return [*self._stt.values(), *self._llm.values(), *self._tts.values()]

    @property
    def _chains(self) -> list[FallbackHearing | FallbackModel | FallbackVoice]:
        return [*self._hearings.values(), *self._models.values(), *self._voices.values()]

    def _hearer(self, entry: SttEntry, options: SttOptions, audio_format: AudioFormat) -> SttSession:
        key = (entry.name, options, audio_format)
        if key not in self._stt:
            try:
                self._stt[key] = entry.make(self._setup, options, audio_format)
            except ValueError as error:  # such as a language that the model does not know
                raise SettingsError([f"speech recognition: {error}"]) from None
        return self._stt[key]

    def _thinker(self, entry: LlmEntry, options: LlmOptions) -> LlmSession:
        key = (entry.name, options)
        if key not in self._llm:
            self._llm[key] = entry.make(self._setup, options)
        return self._llm[key]

    def _other_model(self, name: str, first: LlmSession, options: LlmOptions) -> Link[LlmSession] | None:
        """The link of that name; None if there is no such server, or if it is the first choice itself."""
        settings = self._setup.settings
        if name == _AGAIN:
            return Link(name, first)
        if name == _ENDPOINT:
            if settings.llm_fallback_base_url is None:
                return None
            entry = self._fallback(self._llm_entries, openai.ENDPOINT, "LLM_FALLBACKS")
            return Link(name, self._thinker(entry, LlmOptions(settings.llm_fallback_model or options.model)))
        if name in (_NOBODY, options.model):
            return None
        other = LlmOptions(name, options.vendor)
        return Link(name, self._thinker(self._entry(self._llm_entries, other.vendor, name), other))

    def _speaker(self, entry: TtsEntry, options: TtsOptions) -> TtsSession:
        key = (entry.name, options)
        if key not in self._tts:
            self._tts[key] = entry.make(self._setup, options)
        return self._tts[key]

    def _fallback(self, entries: Iterable[_Entry], name: str, setting: str) -> _Entry:
        entries = list(entries)
        for entry in entries:
            if entry.name == name:
                return entry
        known = ", ".join(entry.name for entry in entries)
        raise SettingsError([f"{setting}: there is no {name}; use some of {known}"])

    async def _warm_up(self, sessions: Iterable[_Warm]) -> None:
        for session in list(sessions):
            try:
                await session.warm_up()
            except ProviderError as error:
                log.warning("warm_up.failed", error=error.code)

    def _entry(self, entries: Iterable[_Entry], vendor: str | None, model: str) -> _Entry:
        entries = list(entries)
        for entry in entries:
            if entry.name == vendor or (vendor is None and entry.serves(model, self._setup.settings)):
                return entry
        known = ", ".join(entry.name for entry in entries)
        raise SettingsError([f"no vendor {vendor or ''} offers the model {model}; there are {known}"])


async def _close(sessions: Iterable[Session]) -> None:
    """Close all of them, whatever one of them raises."""
    async with AsyncExitStack() as closing:
        for session in sessions:
            closing.push_async_callback(session.aclose)
