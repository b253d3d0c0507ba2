"""Builds what calls in text need: agents, language models, and clients of the tools; no sound and no database.

Nobody is really on the telephone: a transfer succeeds at once, and the do-not-call list is not written.
"""

import secrets
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app.calls.agent.directory import AgentDirectory, AgentSet
from app.calls.agent.from_settings import agent_of_any_file
from app.calls.agent.mcp import McpTools
from app.calls.agent.plan import CallPlan, CallPlanner
from app.calls.agent.profile import AgentProfile
from app.calls.agent.tools import DO_NOT_CALL, ToolEndpoint
from app.calls.agent.variables import check_variables
from app.calls.dispatch.lookups import CallLookups
from app.calls.text.caller import TextCaller
from app.calls.text.outside import FixedAnswer, FixedTool, TextTelephony
from app.calls.text.session import TEXT_FORMAT, OnRow, TextCall
from app.clients.entry import ClientSetup
from app.clients.http_tools import HttpToolClients
from app.clients.mcp_tools import McpServers
from app.clients.registry import VendorRegistry
from app.clients.resilient import NoObserver, RetryPolicy
from app.clock import utc_now
from app.contained_tasks import ContainedTasks
from app.conversation.opening_events import LookupFinished
from app.errors import CallRejected, InvalidRequest
from app.models import CallContext, Direction, JournalRow
from app.ports.services import Telephony
from app.ports.vendors import LlmOptions, TextGenerator, TextToSpeech
from app.settings import Settings

NOTHING_MORE: Mapping[str, str] = {}
_FILES = (".yaml", ".yml")
_HINT = "language_hint"
_LIKE_BY_TELEPHONE = "text"
"""The room of a call that has none: the agent has the tools of a call by telephone."""
VERSION = version("voice-agent")


@dataclass(frozen=True, slots=True)
class TextRequest:
    """What a call in text is asked to be."""

    agent: AgentProfile
    language: str | None = None
    """Code of the language the call begins in; None: the agent's."""
    caller_number: str | None = None
    called_number: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    now: datetime | None = None
    """When the call begins, in the agent's time zone unless it has one; None: now."""

    @property
    def starts_at(self) -> datetime:
        """When the call begins, UTC."""
        if self.now is None:
            return utc_now()
        return (self.now if self.now.tzinfo else self.now.replace(tzinfo=self.agent.zone)).astimezone(UTC)

    def check(self) -> None:
        """Raises InvalidRequest for variables that the agent does not have, or that are missing."""
        check_variables(self.agent.variables, self.variables)


@dataclass(frozen=True, slots=True)
class TextPlan:
    """What a call in text is held with."""

    plan: CallPlan
    call: CallContext
    lookup: LookupFinished | None = None
    """What was found out about the caller; None if the agent looks nothing up."""


class Agents:
    """The agents of the settings. Raises SettingsError for a wrong file."""

    def __init__(self, settings: Settings, environment: Mapping[str, str] = NOTHING_MORE) -> None:
        """``environment`` has values for ``${NAME}`` of the files in AGENTS_DIR that the environment lacks."""
        self._settings = settings
        self._found: dict[str, AgentProfile] = {}
        self.current: AgentSet = AgentDirectory(settings, more=environment).current
        """Those of AGENTS_DIR, and the default."""

    def find(self, name: str | None, environment: Mapping[str, str] = NOTHING_MORE) -> AgentProfile:
        """The agent of that name, or of that file; the default without one. Raises InvalidRequest, SettingsError.

        ``environment`` has values for a file's ``${NAME}`` that the environment lacks.
        """
        if name is None:
            return self.current.default
        if name in self.current.by_name:
            return self.current.by_name[name]
        path = Path(name)
        if path.suffix.lower() in _FILES and path.is_file():
            if name not in self._found:
                self._found[name] = agent_of_any_file(path, self._settings, environment)
            return self._found[name]
        known = ", ".join(sorted(self.current.by_name))
        raise InvalidRequest(f"agent {name}: is not known; there are {known}, or give the path of an agent's file")


@dataclass(frozen=True, slots=True)
class _Answers:
    """The agent of one call."""

    agent: AgentProfile
    planner: CallPlanner

    def agent_of(self, _call: CallContext, _direction: Direction) -> AgentProfile:
        return self.agent


class TextCalls:
    """Holds calls in text."""

    def __init__(
        self,
        settings: Settings,
        agents: AgentSet,
        vendors: VendorRegistry,
        tools: HttpToolClients,
        mcp: McpTools,
        tasks: ContainedTasks,
    ) -> None:
        self._settings = settings
        self._agents = agents
        self._vendors = vendors
        self._tasks = tasks
        self._tools = tools
        self.mcp_tools = mcp.tools_of
        """What an agent has from its MCP servers."""

        def endpoints(of: AgentProfile) -> Mapping[str, ToolEndpoint]:
            return {tool.spec.name: tools.client(tool.endpoint) for tool in of.tools}

        self._planner = CallPlanner(
            lambda: agents,
            vendors,
            endpoints=endpoints,
            do_not_call=_unlisted if settings.dial_prefixes else lambda _number: None,
            mcp_tools=mcp.tools_of,
            transfer_targets=settings.transfer_targets,
            playout_lead_seconds=0.0,
            version=VERSION,
            telephony_usd_per_minute=0.0,
        )

    async def plan(self, request: TextRequest, *, lookup: ToolEndpoint | None = None) -> TextPlan:
        """The plan of a call, after the agent's lookup, which ``lookup`` answers in place of its endpoint.

        Raises SettingsError when the vendors cannot do what the agent needs, CallRejected when the lookup says so.
        """
        call = self._call(request)
        client = self._tools.client if lookup is None else lambda _endpoint: lookup
        looked = await CallLookups(_Answers(request.agent, self._planner), client).ask(call, "inbound")
        if looked.is_rejected:
            raise CallRejected("the lookup refuses this caller")
        call = looked.call
        other = self._agents.by_name.get(call.agent or "") if call.agent != request.agent.name else None
        language = call.metadata.get(_HINT, request.language)
        return TextPlan(self._plan(other or request.agent, call, language), call, looked.event)

    def check(self, request: TextRequest) -> None:
        """Raises SettingsError when the vendors cannot do what the agent needs."""
        self._plan(request.agent, self._call(request), request.language)

    def _call(self, request: TextRequest) -> CallContext:
        called = {"called_number": request.called_number} if request.called_number else {}
        return CallContext(
            call_id=f"call_{secrets.token_hex(12)}",
            caller_number=request.caller_number,
            start_time=request.starts_at,
            livekit_room=_LIKE_BY_TELEPHONE,
            metadata=called,
            agent=request.agent.name,
            variables=dict(request.variables),
        )

    def _plan(self, agent: AgentProfile, call: CallContext, language: str | None) -> CallPlan:
        plan = self._planner.plan(TEXT_FORMAT, agent=agent, call=call, language_hint=language)
        return replace(plan, telephony_usd_per_minute=0.0)

    async def warm_up(self) -> None:
        """Load the library of the models that are planned, and connect to them, so that no answer waits for that."""
        await self._vendors.warm_up_llm()

    async def hold(
        self,
        planned: TextPlan,
        caller: TextCaller,
        *,
        endpoints: Mapping[str, ToolEndpoint] | None = None,
        telephony: Telephony | None = None,
        on_row: OnRow = lambda _row: None,
    ) -> Sequence[JournalRow]:
        """Hold a call, and return its rows. ``endpoints`` answer in place of the agent's tools."""
        text_call = TextCall(
            planned.plan,
            planned.call,
            caller,
            background=self._tasks,
            telephony=telephony or TextTelephony(),
            on_row=on_row,
            endpoints={**planned.plan.endpoints, **(endpoints or {})},
            lookup=planned.lookup,
        )
        return await text_call.run()

    def tts(self, agent: AgentProfile) -> TextToSpeech:
        """The voices of the agent's vendor. Raises SettingsError."""
        return self._vendors.tts(agent.tts)

    def generator(self, model: str) -> TextGenerator:
        """A client of the model for whole answers. Raises SettingsError."""
        return self._vendors.generator(LlmOptions(model))


@asynccontextmanager
async def open_text_calls(
    settings: Settings, agents: Agents, used: Collection[AgentProfile]
) -> AsyncIterator[TextCalls]:
    """Open what calls in text need: of ``agents``, those that are ``used`` have the tools of their MCP servers."""
    retry = RetryPolicy(attempts=settings.retry_attempts)
    vendors = VendorRegistry(ClientSetup(settings, retry))
    tools = HttpToolClients(retry=retry, observer=NoObserver())
    servers = McpServers(version=VERSION, retry=retry, observer=NoObserver())
    mcp = McpTools(servers, lambda: used)
    async with ContainedTasks() as tasks:
        try:
            await mcp.refresh()
            yield TextCalls(settings, agents.current, vendors, tools, mcp, tasks)
        finally:
            await vendors.aclose()
            await tools.aclose()
            await servers.aclose()


def _unlisted(_number: str) -> ToolEndpoint:
    """The tool that would put a number on the do-not-call list."""
    return FixedTool(DO_NOT_CALL, (FixedAnswer('{"done": true}'),))
