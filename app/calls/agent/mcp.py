"""Tools that an agent has from MCP servers: which of a server's list it may use, under which names."""

import asyncio
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from app.calls.agent.tools import RESERVED_NAMES, AgentTool, ToolEndpoint
from app.clients.http_tools import HttpEndpoint, Method, RequestValues
from app.clients.mcp_tools import ListedTool, McpServers, McpToolEndpoint
from app.ports.streams import ToolSpec

log = structlog.get_logger(__name__)

MCP_SECONDS = 5.0
"""How long a call of a tool may take, unless the agent's file says otherwise."""
_NAME_LETTERS_MAX = 64
_DESCRIPTION_LETTERS_MAX = 4000
_TOOLS_MAX = 64
"""Of one agent. More of them confuse a model, and each costs time in every turn."""
_LOOK_SECONDS = 0.5
"""How often to look whether a list is due."""


@dataclass(frozen=True, slots=True)
class McpServer:
    """A server of an agent's file."""

    endpoint: HttpEndpoint
    """Its name, address and fixed headers."""
    headers: RequestValues
    """Templates of headers, or what they have become in one call."""
    allowed: tuple[str, ...] | None
    """The names of the tools that the agent may use, as the server lists them; None for all."""

    def describe(self) -> dict[str, Any]:
        """The server for row 1 of the journal. Headers appear by name only."""
        return {
            "name": self.endpoint.name,
            "url": self.endpoint.url,
            "headers": sorted((*self.endpoint.headers, *self.headers.headers)),
            "timeout_seconds": self.endpoint.timeout_seconds,
        }

    def as_tool(self) -> AgentTool:
        """The server as what has texts that may be templates."""
        return AgentTool(ToolSpec(self.endpoint.name, "", {}), self.endpoint, values=self.headers)


class McpUser(Protocol):
    """An agent, as far as its servers are concerned."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def mcp_servers(self) -> Sequence[McpServer]:
        """Its servers."""

    @property
    def tools(self) -> Sequence[AgentTool]:
        """The tools of its file."""


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool of a server, as the agent has it."""

    tool: AgentTool
    listed: ListedTool
    server: HttpEndpoint


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools that an agent has from its servers now."""

    tools: tuple[OfferedTool, ...]
    problems: tuple[str, ...]
    """Which tools it does not have, and why."""


def offer(
    servers: Collection[McpServer], lists: Mapping[str, Collection[ListedTool] | None], own_tools: Collection[str]
) -> Offer:
    """What the servers offer, by the list of each (None while it is not known). ``own_tools`` are names of the file."""
    owners = dict.fromkeys(RESERVED_NAMES, "a built-in tool") | dict.fromkeys(own_tools, "a tool of the file")
    tools: list[OfferedTool] = []
    problems: list[str] = []
    for server in servers:
        listed = lists.get(server.endpoint.name)
        for tool in () if listed is None else listed:
            if server.allowed is not None and tool.name not in server.allowed:
                continue
            made = _tool(server, tool)
            name, what = made.tool.spec.name, f"{tool.name} of {server.endpoint.name}"
            if name in owners:
                problems.append(f"{what} is left out: its name here, {name}, is also that of {owners[name]}")
            elif tool.problem is not None:
                problems.append(f"{what} is left out: {tool.problem}")
            elif len(name) > _NAME_LETTERS_MAX:
                problems.append(f"{what} is left out: its name here, {name}, has more than {_NAME_LETTERS_MAX} letters")
            elif len(tools) == _TOOLS_MAX:
                problems.append(f"{what} is left out: an agent has {_TOOLS_MAX} tools of servers at most; name some")
            else:
                owners[name] = what
                tools.append(made)
        known = {tool.name for tool in listed or ()}
        missing = [name for name in server.allowed or () if listed is not None and name not in known]
        problems += [f"{server.endpoint.name} lists no tool {name}" for name in missing]
    return Offer(tuple(tools), tuple(problems))


def _tool(server: McpServer, listed: ListedTool) -> OfferedTool:
    """The method says what may be done with a call: given up (GET), repeated (PUT), or neither (POST)."""
    method: Method = "GET" if listed.is_read_only else "PUT" if listed.is_idempotent else "POST"
    endpoint = server.endpoint
    name = re.sub(r"[^A-Za-z0-9_-]", "_", f"{endpoint.name}_{listed.name}")
    tool = AgentTool(
        spec=ToolSpec(name, listed.description[:_DESCRIPTION_LETTERS_MAX], dict(listed.parameters)),
        endpoint=HttpEndpoint(name, method, endpoint.url, endpoint.headers, endpoint.timeout_seconds),
        values=server.headers,
    )
    return OfferedTool(tool, listed, endpoint)


class McpTools:
    """The tools of all agents' servers, whose lists it keeps up to date."""

    def __init__(self, servers: McpServers, users: Callable[[], Collection[McpUser]]) -> None:
        """``users`` returns the agents."""
        self.servers = servers
        """Their clients."""
        self._users = users
        self._told: set[str] = set()
        """Problems that the log has."""

    def offer(self, user: McpUser) -> Offer:
        """What an agent has now."""
        lists = {server.endpoint.name: self.servers.client(server.endpoint).tools for server in user.mcp_servers}
        return offer(user.mcp_servers, lists, [tool.spec.name for tool in user.tools])

    def tools_of(self, user: McpUser) -> tuple[tuple[AgentTool, ...], dict[str, ToolEndpoint]]:
        """The same as tools of a call, and who is called for each, by its name."""
        tools = self.offer(user).tools
        endpoints: dict[str, ToolEndpoint] = {
            each.tool.spec.name: McpToolEndpoint(self.servers.client(each.server), each.listed) for each in tools
        }
        return tuple(each.tool for each in tools), endpoints

    async def refresh(self) -> None:
        """List the tools where that is due, and log what agents lack. A server that fails is only logged."""
        users = self._users()
        endpoints = [server.endpoint for user in users for server in user.mcp_servers]
        self.servers.keep_only(endpoints)
        await self.servers.refresh([each for place, each in enumerate(endpoints) if each not in endpoints[:place]])
        problems = {f"{user.name}: {problem}" for user in users for problem in self.offer(user).problems}
        for problem in sorted(problems - self._told):
            log.warning("mcp.tool_left_out", problem=problem)
        self._told = problems

    async def watch(self) -> None:
        """One round of the loop."""
        await self.refresh()
        await asyncio.sleep(_LOOK_SECONDS)
