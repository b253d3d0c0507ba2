"""Says the standard lines from the package, and nothing else."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial

from app.clients.phrases.archive import LANGUAGES, sound
from app.clients.piecewise import PiecewiseUtterance
from app.clients.resilient import BaseResilientClient
from app.errors import ContentRejected, ProviderError
from app.models import VoiceConfig, base_language
from app.ports.vendors import Charge, TtsCapabilities
from media.formats import ENCODINGS, AudioFormat
from media.resample import Converter

_PROVIDER = "phrases"
_MODEL = "standard-lines"
_STORED = AudioFormat("mulaw", 8000)
_FLUSH_SAMPLES = 400
"""Silence that pushes the end of a line out of the resampler."""


class PhrasesClient(BaseResilientClient):
    """The last link of a chain of voices: it cannot fail, but it has few words."""

    provider = _PROVIDER
    is_remote = False

    @property
    def capabilities(self) -> TtsCapabilities:
        """It has lines in a few languages."""
        return TtsCapabilities(word_times=False, languages=LANGUAGES, encodings=ENCODINGS, any_text=False)

    @property
    def variant(self) -> str:
        """Nothing besides the voice."""
        return ""

    @property
    def first_choice(self) -> "PhrasesClient":
        """Itself."""
        return self

    def utterance(self, voice: VoiceConfig, *, call_id: str, after: ProviderError | None = None) -> PiecewiseUtterance:
        """A line, to be given as text and iterated."""

        def charge(characters: int) -> Charge:
            return Charge(provider=_PROVIDER, model=_MODEL, cost=0.0, characters=characters)

        return PiecewiseUtterance(
            partial(self._speak, voice=voice),
            voice,
            attempt=partial(self.attempt, "speak"),
            charge=charge,
            name="phrases:speak",
        )

    async def _speak(self, text: str, *, voice: VoiceConfig) -> AsyncGenerator[bytes, None]:
        audio = await asyncio.to_thread(sound, base_language(voice.language), text.strip())
        if audio is None:
            raise ContentRejected(_PROVIDER, "no such line")
        converter = Converter(_STORED, AudioFormat(voice.encoding, voice.sample_rate))
        yield converter.convert(audio + _STORED.silence(_FLUSH_SAMPLES))


def packaged_voice(voice: VoiceConfig) -> VoiceConfig | None:
    """The voice of the lines; None where there are none in the language."""
    return replace(voice, voice_id=_MODEL, model=_MODEL) if base_language(voice.language) in LANGUAGES else None
