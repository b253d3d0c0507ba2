"""Text to speech by eSpeak NG: one run of the program for each piece of text. It sounds like a machine, and needs none.

The program is GPL and stays a program: nothing of it is linked. Its options: ``espeak-ng(1)``.
"""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial

from app.clients.piecewise import PiecewiseUtterance
from app.clients.resilient import BaseResilientClient, ProviderObserver, RetryPolicy
from app.errors import ProviderError, ProviderProtocolError, ProviderUnavailable
from app.models import VoiceConfig, base_language
from app.ports.vendors import Charge, TtsCapabilities
from media.errors import BadAudio
from media.formats import ENCODINGS
from media.g711 import pcm_to_mulaw
from media.wav import read_wav

PROGRAM = "espeak-ng"
_PROVIDER = "espeak"
_WORDS_PER_MINUTE = 160
_AT_ONCE = 4
"""Runs at once in a process; a clause takes some 20 ms of a core."""
_VOICES = {"en": "en-us"}
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "ESPEAK_DATA_PATH", "LD_LIBRARY_PATH")
"""What the program may see of our environment, which holds keys."""


class EspeakClient(BaseResilientClient):
    """Speaks by the program ``espeak-ng``, which must be on the path."""

    provider = _PROVIDER
    is_remote = False

    def __init__(
        self,
        *,
        program: str = PROGRAM,
        retry: RetryPolicy | None = None,
        observer: ProviderObserver | None = None,
    ) -> None:
        super().__init__(retry=retry, observer=observer)
        self._program = program
        self._places = asyncio.Semaphore(_AT_ONCE)

    @property
    def capabilities(self) -> TtsCapabilities:
        """It speaks some hundred languages."""
        return TtsCapabilities(word_times=False, languages=None, encodings=ENCODINGS)

    @property
    def variant(self) -> str:
        """Nothing besides the voice."""
        return ""

    @property
    def first_choice(self) -> "EspeakClient":
        """Itself."""
        return self

    def utterance(self, voice: VoiceConfig, *, call_id: str, after: ProviderError | None = None) -> PiecewiseUtterance:
        """A turn of a call, to be given text and iterated."""

        def charge(characters: int) -> Charge:
            return Charge(provider=_PROVIDER, model=voice.model, cost=0.0, characters=characters)

        return PiecewiseUtterance(
            partial(self._speak, voice=voice),
            voice,
            attempt=partial(self.attempt, "speak"),
            charge=charge,
            name="espeak:speak",
        )

    async def _speak(self, text: str, *, voice: VoiceConfig) -> AsyncGenerator[bytes, None]:
        """The text goes in by a pipe: what an agent says is not for the list of processes."""
        options = ("-v", voice.voice_id, "-s", str(int(_WORDS_PER_MINUTE * voice.speed)), "-b", "1")
        async with self._places:
            try:
                program = await asyncio.create_subprocess_exec(
                    *(self._program, *options, "--stdin", "--stdout"),
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=DEVNULL,
                    env={name: value for name, value in os.environ.items() if name in _ENVIRONMENT},
                )
            except OSError as error:
                raise ProviderUnavailable(_PROVIDER, f"it cannot be run ({error.strerror})") from None
            try:
                sound, _ = await program.communicate(text.encode(errors="ignore"))
            finally:
                if program.returncode is None:
                    program.kill()
                    await program.wait()
        if program.returncode:
            raise ProviderUnavailable(_PROVIDER, f"it ended with status {program.returncode}")
        yield await asyncio.to_thread(_as_asked, sound, voice)


def local_voice(voice: VoiceConfig) -> VoiceConfig:
    """The program's voice in the language of that one."""
    language = base_language(voice.language)
    own = _VOICES.get(language, language)
    return replace(voice, voice_id=own, model=PROGRAM, emotion=None)


def _as_asked(sound: bytes, voice: VoiceConfig) -> bytes:
    """The program's WAV file in the format of the voice."""
    try:
        samples = read_wav(sound, voice.sample_rate)
    except BadAudio:
        raise ProviderProtocolError(_PROVIDER, "no sound came out") from None
    return pcm_to_mulaw(samples) if voice.encoding == "mulaw" else samples
