"""Asks the endpoint that knows the caller before a call begins, and never longer than it may take."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from app.calls.agent.lookup import LOOKUP, LookupAnswer, read_answer
from app.calls.agent.plan import CallPlanner
from app.calls.agent.profile import AgentProfile
from app.calls.agent.tools import ToolEndpoint
from app.calls.agent.variables import missing
from app.clients.http_tools import HttpEndpoint
from app.conversation.opening_events import LookupFinished
from app.errors import ProviderError
from app.models import CallContext, Direction

log = structlog.get_logger(__name__)

_DIGITS = 3


@dataclass(frozen=True, slots=True)
class LookedUp:
    """A call with what was found out about it."""

    call: CallContext
    event: LookupFinished | None = None
    """None if the agent looks nothing up."""
    is_rejected: bool = False


class Answering(Protocol):
    """Knows who answers a call; implemented by :class:`app.calls.dispatch.admission.Admission`."""

    @property
    def planner(self) -> CallPlanner:
        """Knows all agents."""

    def agent_of(self, call: CallContext, direction: Direction) -> AgentProfile:
        """The agent that answers the call."""


def _lacking(agent: AgentProfile, given: Mapping[str, Any]) -> list[str]:
    """The names of variables without which that agent cannot take a call."""
    return missing([variable for variable in agent.variables if variable.default is None], given)


class CallLookups:
    """The lookups of a process."""

    def __init__(self, admission: Answering, client: Callable[[HttpEndpoint], ToolEndpoint]) -> None:
        self._admission = admission
        self._client = client

    async def ask(self, call: CallContext, direction: Direction) -> LookedUp:
        """Ask the endpoint of the agent that would answer. When it is late or fails, the call is as before."""
        agent = self._admission.agent_of(call, direction)
        facts = agent.for_language(call.metadata.get("language_hint")).facts(call, direction)
        lookup, failed = agent.lookup_for(facts)
        if lookup is None:
            return LookedUp(call)
        for place in failed:
            log.warning("template.not_rendered", agent=agent.name, place=place)
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            values = replace(lookup.values, arguments=facts.to_json())  # all of them, whatever the address says
            answer = await self._client(lookup.endpoint).call(
                {}, call_id=call.call_id, tool_call_id=LOOKUP, values=values
            )
        except ProviderError as error:
            log.warning("lookup.failed", call_id=call.call_id, agent=agent.name, code=error.code, detail=error.reason)
            return LookedUp(call, LookupFinished(False, round(clock() - began, _DIGITS), problems=(error.reason,)))
        seconds = round(clock() - began, _DIGITS)
        if not answer.ok:
            problem = f"answered {answer.status}"
            log.warning("lookup.failed", call_id=call.call_id, agent=agent.name, code="refused", detail=problem)
            return LookedUp(call, LookupFinished(False, seconds, problems=(problem,)))
        return self._with_answer(call, agent, read_answer(answer.text), seconds)

    def _with_answer(self, call: CallContext, agent: AgentProfile, answer: LookupAnswer, seconds: float) -> LookedUp:
        problems = list(answer.problems)
        agents = self._admission.planner.agents().by_name
        if answer.agent is not None:
            other = agents.get(answer.agent)
            if other is None:
                problems.append("agent: is not known")
            elif lacking := _lacking(other, {**answer.variables, **call.variables}):
                problems.append(f"agent: lacks its required variables {', '.join(lacking)}")
            else:
                agent, call = other, replace(call, agent=other.name)
        if answer.language is not None:
            if answer.language in agent.policy.lines:
                call = replace(call, metadata={**call.metadata, "language_hint": answer.language})
            else:
                problems.append("language: the agent does not speak it")
        call = replace(call, lookup=dict(answer.variables))
        for problem in problems:
            log.warning("lookup.failed", call_id=call.call_id, agent=agent.name, code="unusable", detail=problem)
        event = LookupFinished(
            not problems, seconds, tuple(sorted(map(str, answer.variables))), answer.rejects, tuple(problems)
        )
        return LookedUp(call, event, answer.rejects)
