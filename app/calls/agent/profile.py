"""The agent that answers a call."""

from dataclasses import dataclass, replace
from typing import Any

from app.calls.agent.tools import AgentTool
from app.conversation.policy import CallPolicy
from app.models import VoiceConfig
from app.ports.vendors import LlmOptions, SttOptions, TtsOptions
from media.formats import AudioFormat


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """Prompt, policy, models, voices and tools of one agent."""

    prompt: str
    policy: CallPolicy
    language: str
    """The language the agent speaks until it has heard which one the caller speaks."""
    voices: dict[str, str]
    """Voice ids by language. A language without a voice gets the one of ``language``."""
    stt: SttOptions
    llm: LlmOptions
    tts: TtsOptions
    speed: float = 1.0
    emotion: str | None = None
    name: str = "standard"
    sha256: str = ""
    """The hash of the agent's file, or of its prompt when there is no file; in hexadecimal."""
    tools: tuple[AgentTool, ...] = ()

    @property
    def tool_names(self) -> frozenset[str]:
        """Names of the agent's own tools. Metrics use them as labels: a name that a model made up must not be one."""
        return frozenset(tool.spec.name for tool in self.tools)

    def voice(self, language: str, audio_format: AudioFormat) -> VoiceConfig:
        """The agent's voice in that language and audio format."""
        return VoiceConfig(
            voice_id=self.voices.get(language) or self.voices[self.language],
            model=self.tts.model,
            language=language,
            speed=self.speed,
            emotion=self.emotion,
            encoding=audio_format.encoding,
            sample_rate=audio_format.sample_rate,
        )

    def for_language(self, hint: object) -> "AgentProfile":
        """The same agent, starting in the language of ``hint`` if the agent speaks it."""
        return replace(self, language=hint) if isinstance(hint, str) and hint in self.policy.lines else self

    def silent(self) -> "AgentProfile":
        """The same agent, which only listens."""
        return replace(self, policy=replace(self.policy, speaks=False))

    def describe(self, version: str) -> dict[str, Any]:
        """What row 1 of the journal says about the agent."""
        return {
            "name": self.name,
            "agent_hash": self.sha256,
            "prompt": self.prompt,
            "models": {"stt": self.stt.model, "llm": self.llm.model, "tts": self.tts.model},
            "voices": self.voices,
            "speed": self.speed,
            "emotion": self.emotion,
            "tools": [tool.describe() for tool in self.tools],
            "code_version": version,
        }
