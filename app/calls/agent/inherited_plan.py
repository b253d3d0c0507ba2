"""The plan of a call that another process has begun: its agent as it is here now, with what row 1 has of the call.

What decides the call comes from row 1: prompt, policy with all lines, and language. So the call goes on as it began,
also when the agent's file has changed meanwhile. What row 1 cannot hold comes from the agent of that name as it is
here: the clients, the voices, the tools with their secrets, and its knowledge. Of a changed agent's tools, the call
has those whose names row 1 has, too.
"""

from dataclasses import replace

import structlog

from app.calls.agent.plan import CallPlan
from app.conversation.events import CallCreated
from app.conversation.policy import CallPolicy
from app.redaction.marks import is_marked

log = structlog.get_logger(__name__)


def inherited(plan: CallPlan, created: CallCreated, policy: CallPolicy) -> CallPlan:
    """The plan with what the first row of the call says. ``policy`` is that of the row."""
    described = created.agent
    is_same = described.get("agent_hash") == plan.agent.sha256
    agent = replace(plan.agent, policy=policy, language=created.language)
    prompt = described.get("prompt")
    if isinstance(prompt, str) and not is_marked(prompt):  # else it holds the call's values as they were stored
        agent = replace(agent, prompt=prompt)
    if not is_same:
        log.warning("agent.changed", agent=agent.name)
        agent = replace(agent, tools=tuple(tool for tool in agent.tools if tool.spec.name in _tools(described)))
    if agent.texts is not None:
        agent = replace(agent, personal=_texts(policy))
    voices = {language: agent.voices.get(language) or agent.voices[plan.agent.language] for language in policy.lines}
    return replace(plan, agent=replace(agent, voices=voices))


def _tools(described: dict[str, object]) -> set[str]:
    tools = described.get("tools")
    return {tool["name"] for tool in tools if isinstance(tool, dict)} if isinstance(tools, list | tuple) else set()


def _texts(policy: CallPolicy) -> frozenset[str]:
    """Every line: which of them hold values of the call is not known any more, so no sound of them is kept."""
    found: set[str] = set()
    for lines in policy.lines.values():
        for name in lines.__slots__:
            value = getattr(lines, name)
            found |= {value} if isinstance(value, str) else set(value)
        found.add(lines.opening)
    return frozenset(found)
