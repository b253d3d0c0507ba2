"""What one call runs with. Resolved once, when the service takes the call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from app.calls.agent.directory import AgentSet
from app.calls.agent.facts import UNKNOWN_CALL
from app.calls.agent.profile import AgentProfile
from app.calls.agent.tools import DO_NOT_CALL, AgentTool, ToolEndpoint, do_not_call_tool
from app.conversation.events import CallCreated
from app.conversation.policy import CallPolicy, Lines
from app.errors import SettingsError
from app.models import CallContext, Direction, VoiceConfig, base_language
from app.ports.services import Telephony
from app.ports.vendors import LanguageModel, LlmOptions, SpeechToText, SttOptions, TextToSpeech, TtsOptions
from media.formats import AudioFormat

log = structlog.get_logger(__name__)

_TWILIO = "twilio"
"""The key in the metadata of Twilio's ids, for a call that Twilio streams."""
_ANY_LANGUAGE = "multi"
_FALLBACK_TARGET = "fallback"
"""The transfer target that takes the calls which the agent cannot serve."""


class Vendors(Protocol):
    """Makes the clients for an agent's options; implemented by :class:`app.clients.registry.VendorRegistry`."""

    def stt(self, options: SttOptions, audio_format: AudioFormat) -> SpeechToText:
        """The speech-to-text client for the options. Raises SettingsError when there is none."""

    def llm(self, options: LlmOptions) -> LanguageModel:
        """The language model client for the options. Raises SettingsError when there is none."""

    def tts(self, options: TtsOptions) -> TextToSpeech:
        """The text-to-speech client for the options. Raises SettingsError when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """Everything that a call needs to know about itself: who answers, with which vendors, and what it may do.

    A live call keeps its plan, even if its agent's file changes. Row 1 of the journal is the public part.
    """

    agent: AgentProfile
    audio_format: AudioFormat
    """The format of the leg's audio."""
    stt: SpeechToText
    llm: LanguageModel
    tts: TextToSpeech
    endpoints: Mapping[str, ToolEndpoint]
    """The endpoints of the agent's tools, by name."""
    transfer_targets: Mapping[str, str]
    """The addresses to which the caller may be transferred, by name."""
    playout_lead_seconds: float
    is_recorded: bool
    version: str
    """The version of the service."""
    direction: Direction
    telephony_usd_per_minute: float | None
    """The price of the line: 0 without a telephone, None when it is not known."""
    telephony: Telephony | None = None
    """Who transfers the caller, where their line cannot."""

    @property
    def language(self) -> str:
        """The language the agent answers in before it has heard the caller's."""
        return self.agent.language

    @property
    def clients(self) -> tuple[SpeechToText, LanguageModel, TextToSpeech]:
        """The vendors' clients that the call uses until it ends."""
        return self.stt, self.llm, self.tts

    @property
    def policy(self) -> CallPolicy:
        """How the conversation is held, and its fixed lines."""
        return self.agent.policy

    @property
    def prompt(self) -> str:
        """The instructions for the model."""
        return self.agent.prompt

    def voice(self, language: str) -> VoiceConfig:
        """The agent's voice in that language."""
        return self.agent.voice(language, self.audio_format)

    def phrases(self) -> list[tuple[str, list[str]]]:
        """The lines to keep as sound, by language. Lines for trouble come first."""
        return [
            (language, [text for text in self._said(language, lines) if self.may_keep(text)])
            for language, lines in self.policy.lines.items()
        ]

    def may_keep(self, line: str) -> bool:
        """Whether the sound of that line may outlive the call. It may not if the line holds values of the call."""
        return line not in self.agent.personal

    def personal_opening(self) -> list[str]:
        """What is said first, as far as it holds values of the call, so that no sound of it can have been kept."""
        lines = self.policy.lines[self.language]
        opening = [] if self.policy.is_out_of_order else [lines.opening, lines.greeting]
        return [text for text in opening if text and not self.may_keep(text)]

    def _said(self, language: str, lines: Lines) -> list[str]:
        tools = [tool for tool in self.agent.tools if language in tool.waiting_phrase]
        asked = (lines.consent, lines.not_recorded) if self.policy.asks_consent else ()
        return [
            *_texts(lines),
            *asked,
            *_keypad(self.policy, lines),
            *(tool.waiting_phrase[language] for tool in tools),
        ]

    def created(self) -> CallCreated:
        """Row 1 of the journal."""
        described = self.agent.describe(self.version)
        described["models"] = {"stt": self.stt.model, "llm": self.llm.model, "tts": self.agent.tts.model}
        chains = {
            "stt": self.stt.capabilities.chain,
            "llm": self.llm.capabilities.chain,
            "tts": self.tts.capabilities.chain,
        }
        described["chains"] = {kind: list(chain) for kind, chain in chains.items() if chain}
        return CallCreated(self.policy.to_dict(), self.language, described, self.telephony_usd_per_minute)


def _no_endpoint(_number: str) -> None:
    """There is no list of numbers that are never called."""


McpToolsOfCall = tuple[tuple[AgentTool, ...], Mapping[str, ToolEndpoint]]
"""Tools that an agent has from MCP servers, and their endpoints by name."""


def _no_tools(_agent: AgentProfile) -> McpToolsOfCall:
    """There are no MCP servers."""
    return (), {}


class CallPlanner:
    """Makes the plan of each call of a process."""

    def __init__(
        self,
        agents: Callable[[], AgentSet],
        vendors: Vendors,
        *,
        endpoints: Callable[[AgentProfile], Mapping[str, ToolEndpoint]],
        do_not_call: Callable[[str], ToolEndpoint | None] = _no_endpoint,
        mcp_tools: Callable[[AgentProfile], McpToolsOfCall] = _no_tools,
        transfer_targets: Mapping[str, str],
        playout_lead_seconds: float,
        version: str,
        telephony_usd_per_minute: float | None = None,
    ) -> None:
        """``agents`` returns the current agents; ``endpoints`` returns the endpoints of an agent's tools, by name.

        ``do_not_call`` returns what puts a number on the do-not-call list; None if there is nothing to put there.
        ``mcp_tools`` returns what the agent has from its MCP servers now.
        """
        self.agents = agents
        self._vendors = vendors
        self._endpoints = endpoints
        self._do_not_call = do_not_call
        self._mcp_tools = mcp_tools
        self._transfer_targets = transfer_targets
        self._playout_lead_seconds = playout_lead_seconds
        self.version = version
        """The version of the service."""
        self._telephony_usd_per_minute = telephony_usd_per_minute

    def tool_names(self) -> frozenset[str]:
        """Names of the agents' tools. Labels of the metrics may show only these."""
        agents = self.agents().by_name.values()
        of_servers = {tool.spec.name for agent in agents for tool in self._mcp_tools(agent)[0] if agent.mcp_servers}
        return frozenset(of_servers).union(*(agent.tool_names for agent in agents))

    def plan(
        self,
        audio_format: AudioFormat,
        *,
        agent: AgentProfile | None = None,
        call: CallContext | None = None,
        direction: Direction = "inbound",
        language_hint: object = None,
        listens_only: bool = False,
    ) -> CallPlan:
        """The plan of a call in that format; ``listens_only`` is for a leg through which nobody can be spoken to.

        Without a ``call`` the texts are those of a call of which nothing is known.
        Raises SettingsError when the vendors cannot do what the agent needs.
        """
        agent = (agent or self.agents().default).for_language(language_hint)
        facts = agent.facts(call or UNKNOWN_CALL, direction)
        agent, failed = agent.for_call(facts)
        for place in failed:
            log.warning("template.not_rendered", agent=agent.name, place=place)
        if listens_only:
            agent = agent.silent()
        stt, llm = self._vendors.stt(agent.stt, audio_format), self._vendors.llm(agent.llm)
        tts, voice = self._vendors.tts(agent.tts), agent.voice(agent.language, audio_format)
        is_down = call is not None and (stt.is_down or llm.is_down or tts.is_down_for(voice))
        agent, endpoints = self._with_do_not_call(*self._with_mcp_tools(agent), call, direction)
        plan = CallPlan(
            agent=self._when_unserved(agent, call, direction, is_down=is_down),
            audio_format=audio_format,
            stt=stt,
            llm=llm,
            tts=tts,
            endpoints=endpoints,
            transfer_targets=self._transfer_targets,
            playout_lead_seconds=self._playout_lead_seconds,
            is_recorded=agent.is_recorded,
            version=self.version,
            direction=direction,
            telephony_usd_per_minute=self._telephony_usd_per_minute if _is_telephone(call) else 0.0,
        )
        problems = _problems(plan)
        if problems:
            raise SettingsError(problems)
        return plan

    def _with_do_not_call(
        self,
        agent: AgentProfile,
        endpoints: Mapping[str, ToolEndpoint],
        call: CallContext | None,
        direction: Direction,
    ) -> tuple[AgentProfile, Mapping[str, ToolEndpoint]]:
        """The agent and the endpoints of its tools. If the other side has a number, it can ask not to be called."""
        number = _other_number(call, direction)
        remover = self._do_not_call(number) if number is not None else None
        if remover is None or not self._vendors.llm(agent.llm).capabilities.tools:
            return agent, endpoints
        return replace(agent, tools=(*agent.tools, do_not_call_tool())), {**endpoints, DO_NOT_CALL: remover}

    def _with_mcp_tools(self, agent: AgentProfile) -> tuple[AgentProfile, Mapping[str, ToolEndpoint]]:
        """The agent with the tools that its MCP servers offer now, and the endpoints of all its tools."""
        endpoints = self._endpoints(agent)
        if not agent.mcp_servers:
            return agent, endpoints
        tools, of_servers = self._mcp_tools(agent)
        agent = replace(agent, tools=(*agent.tools, *tools))
        # Such a key may name a tool that its server does not offer now. It then goes to the model as other keys do.
        gone = [key.key for key in agent.policy.keypad if key.tool is not None and key.tool not in agent.tool_names]
        policy = agent.policy.without_keys(gone) if gone else agent.policy
        return replace(agent, policy=policy), {**endpoints, **of_servers}

    def _when_unserved(
        self, agent: AgentProfile, call: CallContext | None, direction: Direction, *, is_down: bool
    ) -> AgentProfile:
        """The agent that also knows what to do when it cannot serve the call.

        Only a caller in a room can be transferred. Whom we call wants nothing from us, so they leave no message.
        """
        is_called = direction == "outbound"
        has_human = call is not None and call.livekit_room is not None and _FALLBACK_TARGET in self._transfer_targets
        policy = replace(
            agent.policy,
            fallback_human=_FALLBACK_TARGET if has_human else None,
            takes_messages=agent.policy.takes_messages and not is_called,
            is_out_of_order=is_down and not is_called,
        )
        return replace(agent, policy=policy)


MakePlanner = Callable[..., CallPlanner]
"""Makes the planner of a service, from what :class:`CallPlanner` is made of."""


def _texts(lines: Lines) -> list[str]:
    """Every line. Lines for trouble come first."""
    opening = [lines.opening] if lines.opening else []
    urgent = [*lines.fillers, lines.apology, lines.failure_goodbye, *opening, lines.greeting]
    messages = [lines.message, lines.message_again, lines.message_more, lines.message_thanks]
    others = [*lines.long_wait, lines.repeat, lines.keypad, *lines.idle, lines.refused, lines.cut_off, lines.deaf]
    transfers = [lines.transfer, lines.transfer_failed]
    goodbyes = [lines.goodbye, lines.silence_goodbye, lines.limit_goodbye, lines.shutdown_goodbye]
    bridges = [lines.reconnected, lines.reconnected_repeat]
    return [*urgent, *bridges, lines.unserved, *messages, *others, *transfers, *goodbyes]


def _other_number(call: CallContext | None, direction: Direction) -> str | None:
    """The number of the person on the telephone; None without a telephone, or when they withhold it."""
    if call is None or not _is_telephone(call):
        return None
    number = call.metadata.get("called_number") if direction == "outbound" else call.caller_number
    return number if isinstance(number, str) else None


def _keypad(policy: CallPolicy, lines: Lines) -> list[str]:
    """What is said about the keys, and when one is pressed, where keys have a meaning."""
    if not policy.keypad:
        return []
    return [*(policy.with_menu(lines, line) for line in (lines.deaf, lines.keypad)), *filter(None, lines.keypad_texts)]


def _is_telephone(call: CallContext | None) -> bool:
    """Whether a carrier bills minutes: a call through a room, or one that Twilio streams."""
    return call is not None and (call.livekit_room is not None or _TWILIO in call.metadata)


def _problems(plan: CallPlan) -> list[str]:
    """What the agent needs and the plan's vendors cannot do."""
    agent, encoding, problems = plan.agent, plan.audio_format.encoding, []
    for kind, model, can in (
        ("speech recognition", plan.stt.model, plan.stt.capabilities),
        ("speech synthesis", agent.tts.model, plan.tts.capabilities),
    ):
        if encoding not in can.encodings:
            problems.append(f"{kind}: {model} takes no {encoding}; choose another model or vendor")
    hears, speaks = plan.stt.capabilities.languages, plan.tts.capabilities.languages
    if agent.stt.language != _ANY_LANGUAGE and hears is not None and base_language(agent.stt.language) not in hears:
        problems.append(
            f"speech recognition: {plan.stt.model} does not know {agent.stt.language}; choose another model, or one of "
            f"{_both(hears, speaks)}"
        )
    for language in plan.policy.lines:
        if speaks is not None and base_language(language) not in speaks:
            problems.append(
                f"speech synthesis: {agent.tts.model} does not speak {language}; choose another model, or one of "
                f"{_both(hears, speaks)}"
            )
    for meaning in plan.policy.keypad:
        if meaning.transfers_to is not None and meaning.transfers_to not in plan.transfer_targets:
            problems.append(
                f"keypad: {meaning.key}: there is no transfer target {meaning.transfers_to}; add it to TRANSFER_TARGETS"
            )
    if (agent.tools or agent.mcp_servers) and not plan.llm.capabilities.tools:
        problems.append(f"language model: {plan.llm.model} takes no tools, and the agent {agent.name} has some")
    return problems


def _both(hears: frozenset[str] | None, speaks: frozenset[str] | None) -> str:
    """The languages to choose from, as far as they are known: those of both vendors."""
    known = [languages for languages in (hears, speaks) if languages is not None]
    return ", ".join(sorted(frozenset.intersection(*known)))
