"""The agent that answers a call."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from typing import Any

from app.calls.agent.facts import CallFacts
from app.calls.agent.hours import CallingHours
from app.calls.agent.knowledge import Knowledge
from app.calls.agent.lookup import LOOKUP
from app.calls.agent.mcp import McpServer
from app.calls.agent.outcome import OutcomeField, read_back
from app.calls.agent.texts import AgentTexts
from app.calls.agent.tools import AgentTool
from app.calls.agent.variables import Variable, defaults
from app.clients.webhook_sender import WebhookEndpoint
from app.conversation.policy import CallPolicy
from app.models import AS_USUAL, CallContext, Direction, RedactCategory, Retention, VoiceConfig
from app.ports.vendors import LlmOptions, SttOptions, TtsOptions
from app.redaction.finder import Finder
from media.formats import AudioFormat

_FACTS = frozenset({"called_number", "language_hint", "sip_headers"})
"""Keys of a call's metadata that describe the call itself."""
_SERVICE_S: Mapping[Direction, frozenset[str]] = {
    "inbound": _FACTS | {"trunk"},
    "outbound": _FACTS | {"direction"},
    "web": _FACTS | {"twilio"},
}
"""Those and the keys that the service sets. All others are the client's own."""


def sip_name(header: str) -> str:
    """The name of a SIP header in a template: ``x_order_id`` of ``X-Order-Id``."""
    return header.lower().replace("-", "_")


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
    """The version: the hash of the agent's file, and of the files of its knowledge if it has some; in hexadecimal.

    Of the prompt when there is no file.
    """
    file_sha256: str = ""
    """The hash of the agent's file alone."""
    tools: tuple[AgentTool, ...] = ()
    texts: AgentTexts | None = None
    """The templates among the prompt and the lines; None when all texts are plain."""
    variables: tuple[Variable, ...] = ()
    sip_headers: tuple[str, ...] = ()
    """SIP headers that the templates and the prompt may show, in lower case."""
    numbers: tuple[str, ...] = ()
    """Called numbers that the agent answers; with ``*`` at the end, all numbers with that beginning."""
    number_places: tuple[str, ...] = ()
    """Where each of them stands in a file."""
    outcome: tuple[OutcomeField, ...] = ()
    """What is worked out from each call after its end."""
    is_analysed: bool = True
    """Whether the model sums up each call after its end."""
    knowledge: Knowledge | None = None
    """What it knows from files."""
    mcp_servers: tuple[McpServer, ...] = ()
    """Who offers it more tools."""
    mcp_texts: AgentTexts | None = None
    """The templates among their headers; None when there are none."""
    webhooks: tuple[WebhookEndpoint, ...] = ()
    """Who else hears of the agent's calls."""
    is_recorded: bool = True
    retention: Retention = AS_USUAL
    """How long its calls are kept, where that is not as the settings say."""
    redact: tuple[RedactCategory, ...] = ()
    """What is taken out of its calls before they are stored."""
    finder: Finder | None = None
    """Finds it; None when there is nothing to take out."""
    max_day_cost_usd: float | None = None
    """What its calls may cost in a day; None for no limit of its own. The policy has the limit of each call."""
    lookup: AgentTool | None = None
    """Who is asked about a caller while the telephone rings."""
    lookup_texts: AgentTexts | None = None
    """The templates of that request; None when it has none."""
    hours: CallingHours | None = None
    """When the agent may place calls; None for always."""
    zone: tzinfo = UTC
    """The time zone of the agent's "today"."""
    weekdays: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the weekdays by language, beginning with Monday."""
    personal: frozenset[str] = frozenset()
    """The lines that hold values of the call, if this is the agent of one call."""

    @property
    def tool_names(self) -> frozenset[str]:
        """Names of the agent's own tools. Metrics use them as labels, and never a name that a model made up."""
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

    def facts(self, call: CallContext, direction: Direction) -> CallFacts:
        """What this agent knows about the call when it begins."""
        started = call.start_time.astimezone(self.zone)
        called = call.metadata.get("called_number")
        days = self.weekdays.get(self.language, ())
        return CallFacts(
            call_id=call.call_id,
            direction=direction,
            started=started,
            timezone=str(self.zone),
            agent=self.name,
            language=self.language,
            weekday=days[started.weekday()] if days else started.strftime("%A"),
            caller_number=call.caller_number,
            called_number=called if isinstance(called, str) else None,
            variables={**defaults(self.variables), **call.variables},
            metadata={name: value for name, value in call.metadata.items() if name not in _SERVICE_S[direction]},
            sip=self._listed(call.metadata.get("sip_headers")),
            lookup=call.lookup,
            looked_up=frozenset(variable.name for variable in self.variables if variable.name not in call.variables),
        )

    def for_call(self, facts: CallFacts) -> tuple["AgentProfile", tuple[str, ...]]:
        """The same agent with the texts of one call, and the places of templates that do not fit the call's values."""
        agent, failed = self._with_texts(facts)
        if self.mcp_texts is None:
            return agent, failed
        texts = self.mcp_texts.render(facts)
        both = zip(self.mcp_servers, texts.tools, strict=True)
        servers = tuple(replace(server, headers=tool.values) for server, tool in both)
        places = (place.replace("tools.", "mcp_servers.", 1) for place in texts.failed)
        return replace(agent, mcp_servers=servers), (*failed, *places)

    def _with_texts(self, facts: CallFacts) -> tuple["AgentProfile", tuple[str, ...]]:
        ends = [read_back(self.outcome), facts.prompt_end()]
        known = self.knowledge.block if self.knowledge is not None else None
        if self.texts is None:
            return replace(self, prompt=_joined(self.prompt.rstrip(), known, *ends)), ()
        texts = self.texts.render(facts)
        policy = replace(self.policy, lines=texts.lines)
        # What is the same in all calls comes first, so that the vendor's prompt cache works.
        begins = (known, texts.prompt.rstrip()) if self.texts.has_values_in_prompt else (texts.prompt.rstrip(), known)
        prompt = _joined(*begins, *ends)
        return replace(self, prompt=prompt, policy=policy, tools=texts.tools, personal=texts.personal), texts.failed

    def lookup_for(self, facts: CallFacts) -> tuple[AgentTool | None, tuple[str, ...]]:
        """Whom to ask about a call with these facts, and the places of templates that do not fit the facts."""
        if self.lookup_texts is None:
            return self.lookup, ()
        texts = self.lookup_texts.render(facts)
        return texts.tools[0], tuple(place.replace("tools.0", LOOKUP, 1) for place in texts.failed)

    def _listed(self, headers: object) -> dict[str, str]:
        """The headers that the agent lists, by the names that templates use."""
        sent = headers.items() if isinstance(headers, dict) else ()
        return {sip_name(name): str(value) for name, value in sent if name.lower() in self.sip_headers}

    def silent(self) -> "AgentProfile":
        """The same agent as a mere listener."""
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
            **({"mcp_servers": [each.describe() for each in self.mcp_servers]} if self.mcp_servers else {}),
            **({"knowledge": self.knowledge.describe()} if self.knowledge is not None else {}),
            **({"retention": kept} if (kept := self.retention.own()) else {}),
            **({"redact": list(self.redact)} if self.redact else {}),
            **({} if self.is_analysed else {"analysis": False}),
            **({"outcome": {field.name: field.schema for field in self.outcome}} if self.outcome else {}),
            "code_version": version,
        }


def _joined(*parts: str | None) -> str:
    return "\n\n".join(filter(None, parts))
