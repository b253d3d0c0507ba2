"""The voice of a simulated caller: the sandbox's, or the vendor's, whose sound is kept and costs nothing again."""

import asyncio
from collections.abc import Callable

from app.calls.agent.profile import AgentProfile
from app.calls.live.phrase_cache import PhraseCache
from app.ports.vendors import TextToSpeech
from media.formats import AudioFormat
from sandbox.caller.media_client import CallFailed
from sandbox.vendors.voice import synthesize

Speak = Callable[[str, str, int], bytes]
"""Text, code of the language, and sample rate; returns 16-bit samples. Runs in a thread."""
_VOICE_SECONDS = 30.0


def sandbox_voice(text: str, language: str, sample_rate: int) -> bytes:
    """The sandbox's voice, which is another one than the agent's only in what it says."""
    return synthesize(text, language, sample_rate).pcm


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
