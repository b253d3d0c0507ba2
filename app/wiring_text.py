"""Builds what calls in text need: agents, language models, and clients of the tools; no sound and no database."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app.calls.agent.directory import AgentDirectory, AgentSet
from app.calls.agent.from_settings import agent_of_file
from app.calls.agent.plan import CallPlan, CallPlanner
from app.calls.agent.profile import AgentProfile
from app.calls.agent.tools import ToolEndpoint
from app.calls.agent.variables import check_variables
from app.calls.text.caller import TextCaller
from app.calls.text.outside import TextTelephony
from app.calls.text.session import TEXT_FORMAT, OnRow, TextCall
from app.clients.entry import ClientSetup
from app.clients.http_tools import HttpToolClients
from app.clients.registry import VendorRegistry
from app.clients.resilient import NoObserver, RetryPolicy
from app.clock import utc_now
from app.contained_tasks import ContainedTasks
from app.errors import InvalidRequest
from app.models import CallContext, JournalRow
from app.ports.services import Telephony
from app.ports.vendors import LlmOptions, TextGenerator
from app.settings import Settings

_FILES = (".yaml", ".yml")
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


class Agents:
    """The agents of the settings. Raises SettingsError for a wrong file."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.current: AgentSet = AgentDirectory(settings).current
        """Those of AGENTS_DIR, and the default."""

    def find(self, name: str | None) -> AgentProfile:
        """The agent of that name, or of that file; the default without one. Raises InvalidRequest, SettingsError."""
        if name is None:
            return self.current.default
        if name in self.current.by_name:
            return self.current.by_name[name]
        path = Path(name)
        if path.suffix.lower() in _FILES and path.is_file():
            return agent_of_file(path, self._settings)
        known = ", ".join(sorted(self.current.by_name))
        raise InvalidRequest(f"agent {name}: is not known; there are {known}, or give the path of an agent's file")


class TextCalls:
    """Holds calls in text."""

    def __init__(
        self,
        settings: Settings,
        agents: AgentSet,
        vendors: VendorRegistry,
        tools: HttpToolClients,
        tasks: ContainedTasks,
    ) -> None:
        self._settings = settings
        self._agents = agents
        self._vendors = vendors
        self._tasks = tasks

        def endpoints(of: AgentProfile) -> Mapping[str, ToolEndpoint]:
            return {tool.spec.name: tools.client(tool.endpoint) for tool in of.tools}

        self._planner = CallPlanner(
            lambda: agents,
            vendors,
            endpoints=endpoints,
            transfer_targets=settings.transfer_targets,
            playout_lead_seconds=0.0,
            version=VERSION,
            telephony_usd_per_minute=0.0,
        )

    def plan(self, request: TextRequest) -> tuple[CallPlan, CallContext]:
        """The plan of a call. Raises SettingsError when the vendors cannot do what the agent needs."""
        called = {"called_number": request.called_number} if request.called_number else {}
        call = CallContext(
            call_id=f"call_{secrets.token_hex(12)}",
            caller_number=request.caller_number,
            start_time=request.starts_at,
            metadata=called,
            agent=request.agent.name,
            variables=dict(request.variables),
        )
        plan = self._planner.plan(TEXT_FORMAT, agent=request.agent, call=call, language_hint=request.language)
        return replace(plan, telephony_usd_per_minute=0.0), call

    async def warm_up(self) -> None:
        """Load the library of the models that are planned, and connect to them, so that no answer waits for that."""
        await self._vendors.warm_up_llm()

    async def hold(
        self,
        plan: CallPlan,
        call: CallContext,
        caller: TextCaller,
        *,
        endpoints: Mapping[str, ToolEndpoint] | None = None,
        telephony: Telephony | None = None,
        on_row: OnRow = lambda _row: None,
    ) -> Sequence[JournalRow]:
        """Hold a call, and return its rows. ``endpoints`` answer in place of the agent's tools."""
        own = {**plan.endpoints, **(endpoints or {})}
        text_call = TextCall(
            plan,
            call,
            caller,
            background=self._tasks,
            telephony=telephony or TextTelephony(),
            on_row=on_row,
            endpoints=own,
        )
        return await text_call.run()

    def generator(self, model: str) -> TextGenerator:
        """A client of the model for whole answers. Raises SettingsError."""
        return self._vendors.generator(LlmOptions(model))


@asynccontextmanager
async def open_text_calls(settings: Settings, agents: Agents) -> AsyncIterator[TextCalls]:
    """Open what calls in text need."""
    retry = RetryPolicy(attempts=settings.retry_attempts)
    vendors = VendorRegistry(ClientSetup(settings, retry))
    tools = HttpToolClients(retry=retry, observer=NoObserver())
    async with ContainedTasks() as tasks:
        try:
            yield TextCalls(settings, agents.current, vendors, tools, tasks)
        finally:
            await vendors.aclose()
            await tools.aclose()
