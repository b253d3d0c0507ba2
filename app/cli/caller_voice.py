"""The voice of a simulated caller: the sandbox's, or the vendor's, whose sound is kept and costs nothing again."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable

from app.calls.agent.profile import AgentProfile
from app.calls.live.phrase_cache import PhraseCache
from app.clients.espeak.client import PROGRAM
from app.ports.vendors import TextToSpeech
from app.settings import environment_without_settings
from media.errors import BadAudio
from media.formats import AudioFormat
from media.wav import read_wav
from sandbox.caller.media_client import CallFailed
from sandbox.vendors.espeak import load_espeak
from sandbox.vendors.voice import synthesize

Speak = Callable[[str, str, int], bytes]
"""Text, code of the language, and sample rate; returns 16-bit samples. Runs in a thread."""
_VOICE_SECONDS = 30.0


def sandbox_voice(text: str, language: str, sample_rate: int) -> bytes:
    """The sandbox's voice, which is another one than the agent's only in what it says."""
    return synthesize(text, language, sample_rate).pcm


def recognisable_voice() -> Speak | None:
    """A voice whose words a real recogniser can make out: the sandbox's, or the program's; None without either."""
    if load_espeak() is not None:
        return sandbox_voice
    return None if shutil.which(PROGRAM) is None else _program_voice


def _program_voice(text: str, language: str, sample_rate: int) -> bytes:
    """eSpeak NG as a program of the system, as in the container. Raises CallFailed."""
    command = [PROGRAM, "-v", language, "-b", "1", "--stdin", "--stdout"]
    try:
        made = subprocess.run(  # noqa: S603 - the local voice
            command,
            input=text.encode(),
            capture_output=True,
            check=True,
            timeout=_VOICE_SECONDS,
            env=environment_without_settings(),
        )
        return read_wav(made.stdout, sample_rate)
    except (OSError, subprocess.SubprocessError, BadAudio) as error:
        raise CallFailed(f"{PROGRAM} gave no sound for the caller's words") from error


def vendor_voice(agent: AgentProfile, tts: TextToSpeech, phrases: PhraseCache) -> Speak:
    """The voice of the agent's vendor, in the agent's own voice for that language. Raises CallFailed."""
    loop = asyncio.get_running_loop()

    async def sound(text: str, language: str, sample_rate: int) -> bytes:
        voice = agent.voice(language, AudioFormat("pcm_s16le", sample_rate))
        await phrases.prepare([text], voice, tts)
        phrase = await phrases.get(text, voice, tts)
        if phrase is None:
            raise CallFailed(f"{tts.provider} gave no sound for the caller's words")
        return phrase.audio

    def speak(text: str, language: str, sample_rate: int) -> bytes:
        return asyncio.run_coroutine_threadsafe(sound(text, language, sample_rate), loop).result(_VOICE_SECONDS)

    return speak
