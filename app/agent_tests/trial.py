"""Calls over sound that test agents: a planner that gives each call the agent, the day and the answers of its scenario.

Everything else about such a call is as in the service: its planner is asked first, and only the plan is changed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.calls.agent.directory import AgentSet
from app.calls.agent.numbers import NumberTable
from app.calls.agent.plan import CallPlan, CallPlanner, McpToolsOfCall
from app.calls.agent.profile import AgentProfile
from app.calls.agent.tools import ToolEndpoint
from app.models import CallContext
from app.ports.services import Telephony
from media.formats import AudioFormat


@dataclass(frozen=True, slots=True)
class Trial:
    """What one call is to be."""

    endpoints: Callable[[Mapping[str, ToolEndpoint]], Mapping[str, ToolEndpoint]]
    """What answers in place of the agent's tools, which it is given by their names."""
    telephony: Telephony
    """What comes of a transfer."""
    now: datetime | None = None
    """When the call begins, for the agent; None: when it does."""
    lookup: Mapping[str, Any] | None = None
    """Variables that a lookup would have found; None: the agent's own is asked."""


class Trials:
    """The calls to come, by their ids, and the agents that they are for.

    Two agents may have the same name in their files, so that each gets one for the requests for calls.
    """

    def __init__(self, agents: Sequence[AgentProfile], mcp_tools: Callable[[AgentProfile], McpToolsOfCall]) -> None:
        """``mcp_tools`` returns what an agent has from its MCP servers."""
        self._agents: dict[str, AgentProfile] = {}
        self._names: dict[tuple[int, bool], str] = {}
        for agent in agents:
            for asks in (True, False):
                name = self._names.setdefault((id(agent), asks), f"trial-{len(self._names) + 1}")
                self._agents[name] = agent if asks else replace(agent, lookup=None, lookup_texts=None)
        self._mcp_tools = mcp_tools
        self._calls: dict[str, Trial] = {}

    def name_of(self, agent: AgentProfile, *, asks_lookup: bool) -> str:
        """By what name the agent is called, with its lookup or without it."""
        return self._names[id(agent), asks_lookup]

    def expect(self, call_id: str, trial: Trial) -> None:
        """The call with this id is to be so."""
        self._calls[call_id] = trial

    def find(self, call_id: str) -> Trial | None:
        """What the call with this id is to be; None if it is no trial."""
        return self._calls.get(call_id)

    def planner(self, agents: Callable[[], AgentSet], *arguments: Any, **options: Any) -> CallPlanner:
        """The planner of a service whose agents are these. Takes what :class:`CallPlanner` takes."""

        def tried() -> AgentSet:
            return AgentSet({**agents().by_name, **self._agents}, agents().default, NumberTable({}))

        return _TrialPlanner(self, tried, *arguments, **{**options, "mcp_tools": self._mcp_tools})


class _TrialPlanner(CallPlanner):
    """Plans the calls of trials; any other as usual."""

    def __init__(self, trials: Trials, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._trials = trials

    def plan(self, audio_format: AudioFormat, *, call: CallContext | None = None, **options: Any) -> CallPlan:
        """See :meth:`CallPlanner.plan`."""
        trial = self._trials.find(call.call_id) if call is not None else None
        if call is None or trial is None:
            return super().plan(audio_format, call=call, **options)
        known = call.lookup if trial.lookup is None else trial.lookup
        begun = replace(call, start_time=trial.now or call.start_time, lookup=dict(known))
        plan = super().plan(audio_format, call=begun, **options)
        endpoints = {**plan.endpoints, **trial.endpoints(plan.endpoints)}
        return replace(plan, endpoints=endpoints, telephony=trial.telephony)
