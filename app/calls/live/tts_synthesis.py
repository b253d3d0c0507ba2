"""Turns clauses into sound on a track. After a failure it continues from the last word that has sound."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from app.calls.live.speech_track import SpeechTrack
from app.errors import ProviderError, WrongSound
from app.models import VoiceConfig
from app.ports.streams import VoiceAudio, VoiceEvent, VoiceFailed, VoiceWords
from app.ports.vendors import Charge, TextToSpeech, TtsUtterance, add_up
from app.speech_text.verbalize import speakable
from media.formats import AudioFormat

ErrorT = TypeVar("ErrorT", bound=Exception)

_FRUITLESS_MAX = 1
"""How many attempts in a row may fail without useful sound, in addition to one for each voice of the chain."""
_FRUIT_SECONDS = 1.0
_ATTEMPTS_MAX = 5
"""How many attempts may fail in total, in addition to one for each voice of the chain."""


class TtsSynthesis:
    """Synthesizes one utterance."""

    def __init__(
        self,
        tts: TextToSpeech,
        voice: VoiceConfig,
        track: SpeechTrack,
        *,
        call_id: str,
        on_sound: Callable[[], None],
        on_retry: Callable[[ProviderError], None],
    ) -> None:
        self._tts = tts
        self._voice = voice
        self._format = AudioFormat(voice.encoding, voice.sample_rate)
        self._track = track
        self._call_id = call_id
        self._on_sound = on_sound
        self._on_retry = on_retry
        self._spoken: list[str] = []
        self._is_finished = False
        self._more = asyncio.Event()
        self._charges: list[Charge] = []

    def say(self, clause: str) -> None:
        """Add the next clause, as the model wrote it."""
        spoken = speakable(clause, self._voice.language)
        self._track.add_clause(clause, spoken)
        self._spoken.append(spoken.text)
        self._more.set()

    def finish(self) -> None:
        """Say that no more clauses follow."""
        self._is_finished = True
        self._more.set()

    def charges(self) -> list[Charge]:
        """The charges of all attempts so far, by vendor and model."""
        return add_up(self._charges)

    @property
    def is_first_choice(self) -> bool:
        """Whether no fallback has been heard."""
        return all(charge.provider == self._tts.provider for charge in self._charges if charge.served)

    async def run(self) -> None:
        """Run until the last clause has its sound. Raises ProviderError when the vendors fail.

        After a failure it continues from the last word that has sound, as long as each attempt brings some.
        """
        fruitless = 0
        error: ProviderError | None = None
        ways = max(1, len(self._tts.capabilities.chain))
        for attempt in range(1, _ATTEMPTS_MAX + ways + 1):
            begin = self._track.samples
            error = await self._try(error)
            if error is None:
                self._track.complete = True
                self._on_sound()
                return
            brought = (self._track.samples - begin) / self._format.sample_rate
            fruitless = 1 if brought >= _FRUIT_SECONDS else fruitless + 1
            if fruitless == _FRUITLESS_MAX + ways or attempt == _ATTEMPTS_MAX + ways or not error.retryable:
                raise error
            self._on_retry(error)

    async def _try(self, after: ProviderError | None) -> ProviderError | None:
        begin = self._track.samples
        error = None
        try:
            await self._attempt(after)
        except* ProviderError as group:
            error = first_of(group)
        if isinstance(error, WrongSound):
            self._track.take_back(begin)
        return error

    async def _attempt(self, after: ProviderError | None) -> None:
        text = self._track.break_off()
        while not text:
            if self._is_finished:
                return
            await self._wait_for_more()
            text = self._track.unspoken()
        utterance = self._tts.utterance(self._voice, call_id=self._call_id, after=after)
        try:
            async with asyncio.TaskGroup() as tasks:
                feeding = self._feed(utterance, text, len(self._spoken))
                tasks.create_task(feeding, name=f"{self._call_id}:feed")
                await self._listen(utterance)
        finally:
            self._charges += utterance.charges()
            utterance.cancel()

    async def _feed(self, utterance: TtsUtterance, text: str, said: int) -> None:
        """Send the text, then every clause that follows it."""
        while True:
            if text:
                await utterance.say(f"{text} ")
            while said == len(self._spoken):
                if self._is_finished:
                    await utterance.finish()
                    return
                await self._wait_for_more()
            text = self._spoken[said]
            said += 1

    async def _wait_for_more(self) -> None:
        self._more.clear()
        await self._more.wait()

    async def _listen(self, utterance: TtsUtterance) -> None:
        offset = self._track.samples / self._format.sample_rate
        events: AsyncIterator[VoiceEvent] = aiter(utterance)
        async for event in events:
            match event:
                case VoiceAudio(audio):
                    self._track.add_audio(audio, self._format.samples(audio))
                    self._on_sound()
                case VoiceWords(words):
                    self._track.add_words(words, offset)
                case VoiceFailed(error):
                    self._on_retry(error)


def first_of(group: BaseExceptionGroup[ErrorT]) -> ErrorT:
    """The first error of a group, however deep."""
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error
