"""A chain of scripted voices, with production's patience."""

from typing import Any, cast

from app.clients.entry import TtsSession
from app.clients.fallback.speech import FallbackVoice, VoiceLink
from app.models import VoiceConfig
from app.ports.streams import VoiceAudio, VoiceEvent, VoiceFailed
from tests.calls.vendors import ScriptedVoice

VOICE = VoiceConfig(voice_id="voice-1", model="sonic-3.5", language="en", sample_rate=8000)


class NamedVoice(ScriptedVoice):
    """A voice of a vendor of its own."""

    def __init__(self, provider: str, **pace: Any) -> None:
        super().__init__(**pace)
        self.provider = provider  # type: ignore[misc]

    @property
    def is_down(self) -> bool:
        return self.down is not None

    async def warm_up(self) -> None:
        if self.down is not None:
            raise self.down


def chain_of(*voices: NamedVoice) -> FallbackVoice:
    return FallbackVoice([VoiceLink(voice.provider, cast(TtsSession, voice)) for voice in voices])


async def speak(chain: FallbackVoice, *texts: str) -> list[VoiceEvent]:
    utterance = chain.utterance(VOICE, call_id="call-1")
    for text in texts:
        await utterance.say(text)
    await utterance.finish()
    return [event async for event in utterance]


def sound(events: list[VoiceEvent]) -> bytes:
    return b"".join(event.audio for event in events if isinstance(event, VoiceAudio))


def failed(events: list[VoiceEvent]) -> list[tuple[str, str]]:
    """Who failed, and how."""
    return [(event.error.provider, event.error.code) for event in events if isinstance(event, VoiceFailed)]
