"""Checks what the law may ask of the agents: that callers hear that they speak with a machine."""

from collections.abc import Sequence
from importlib.metadata import version

from app.calls.agent.directory import AgentDirectory
from app.calls.agent.mcp import McpServer, keys_of, offer
from app.calls.agent.profile import AgentProfile
from app.cli.checks.findings import Check, Finding
from app.clients.http_tools import shown_address
from app.clients.mcp_tools import McpServers, checked
from app.clients.resilient import NoObserver, RetryPolicy
from app.errors import ProviderError
from app.settings import Settings


def agent_checks(settings: Settings) -> list[Check]:
    """A check of each agent, and of each of its MCP servers."""
    agents = [agent for _, agent in sorted(AgentDirectory(settings).current.by_name.items())]
    return [*map(_check, agents), *(_server_check(agent, server) for agent in agents for server in agent.mcp_servers)]


def _server_check(agent: AgentProfile, server: McpServer) -> Check:
    about = f"agent {agent.name}: {server.endpoint.name}"

    async def look() -> Sequence[Finding]:
        servers = McpServers(version=version("voice-agent"), retry=RetryPolicy(), observer=NoObserver())
        try:
            listed = checked(await servers.client(server.endpoint).list_tools())
        except ProviderError as error:
            said = f"the MCP server lists no tools: {error.reason}"
            return [
                Finding(
                    about,
                    "wrong",
                    said,
                    f"Check the server, its address and headers: {shown_address(server.endpoint.url)}",
                )
            ]
        finally:
            await servers.aclose()
        own_tools = [tool.spec.name for tool in agent.tools]
        others = [other for other in agent.mcp_servers if other is not server]
        keypad = [key for key in agent.policy.keypad if not any(keys_of(other, [key], own_tools) for other in others)]
        offered = offer([server], {server.endpoint.name: listed}, own_tools, keypad)
        names = ", ".join(each.tool.spec.name for each in offered.tools) or "none"
        advice = "Rename a tool, or name under tools: and keypad: only those that the server has"
        problems = [Finding(about, "wrong", problem, advice) for problem in offered.problems]
        return [Finding(about, "ok", f"the MCP server offers {names}"), *problems]

    return Check(about, look)


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
