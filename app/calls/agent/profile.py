"""Who answers the telephone."""

from dataclasses import dataclass, replace
from typing import Any

from app.calls.agent.tools import AgentTool
from app.conversation.policy import CallPolicy
from app.models import VoiceConfig
from media.formats import AudioFormat


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """Prompt, manners, models and voices."""

    prompt: str
    policy: CallPolicy
    language: str
    """The language the agent answers in before it has heard the caller's."""
    voices: dict[str, str]
    """Voice ids by language; the one of ``language`` serves the others."""
    stt_model: str
    language_model: str
    voice_model: str
    speed: float = 1.0
    emotion: str | None = None
    hears: str = "multi"
    """The language it expects to hear at first, or ``multi``."""
    name: str = "standard"
    sha256: str = ""
    """Of the file it was read from, or of its prompt when there is none; in hexadecimal."""
    tools: tuple[AgentTool, ...] = ()

    @property
    def tool_names(self) -> frozenset[str]:
        """Of the tools of its own; nothing else that a model may write for a name."""
        return frozenset(tool.spec.name for tool in self.tools)

    def voice(self, language: str, audio_format: AudioFormat) -> VoiceConfig:
        """How the agent sounds in that language and format."""
        return VoiceConfig(
            voice_id=self.voices.get(language) or self.voices[self.language],
            model=self.voice_model,
            language=language,
            speed=self.speed,
            emotion=self.emotion,
            encoding=audio_format.encoding,
            sample_rate=audio_format.sample_rate,
        )

    def for_language(self, hint: object) -> "AgentProfile":
        """The same agent, beginning in the language that the caller is expected to speak, if it is one of its own."""
        return replace(self, language=hint) if isinstance(hint, str) and hint in self.policy.lines else self

    def silent(self) -> "AgentProfile":
        """The same agent, listening only."""
        return replace(self, policy=replace(self.policy, speaks=False))

    def describe(self, version: str) -> dict[str, Any]:
        """What row 1 of the journal says of the agent."""
        return {
            "name": self.name,
            "agent_hash": self.sha256,
            "prompt": self.prompt,
            "models": {"stt": self.stt_model, "llm": self.language_model, "tts": self.voice_model},
            "voices": self.voices,
            "speed": self.speed,
            "emotion": self.emotion,
            "tools": [tool.describe() for tool in self.tools],
            "code_version": version,
        }
