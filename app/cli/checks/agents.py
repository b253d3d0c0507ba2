"""Checks what the law may ask of the agents: that callers hear that they speak with a machine."""

from collections.abc import Sequence

from app.calls.agent.directory import AgentDirectory
from app.calls.agent.profile import AgentProfile
from app.cli.checks.findings import Check, Finding
from app.settings import Settings


def agent_checks(settings: Settings) -> list[Check]:
    """A check of each agent."""
    return [_check(agent) for _, agent in sorted(AgentDirectory(settings).current.by_name.items())]


def _check(agent: AgentProfile) -> Check:
    about = f"agent {agent.name}"

    async def look() -> Sequence[Finding]:
        silent = [language for language, lines in agent.policy.lines.items() if not lines.disclosure]
        if not silent:
            return [Finding(about, "ok", "tells callers first that they speak with an automated system")]
        said = f"does not tell callers that they speak with an automated system (in {', '.join(silent)})"
        advice = "Many countries require it. Write in the agent's file: disclosure: true"
        return [Finding(about, "warning", said, advice)]

    return Check(about, look)
