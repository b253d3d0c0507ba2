"""Tools that an agent has from MCP servers: which of a server's list it may use, under which names."""

import asyncio
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Protocol

import structlog

from app.calls.agent.tools import RESERVED_NAMES, AgentTool, ToolEndpoint
from app.clients.http_tools import HttpEndpoint, Method, RequestValues, shown_address
from app.clients.mcp_tools import ListedTool, McpServers, McpToolEndpoint
from app.conversation.policy import CallPolicy, KeyMeaning
from app.models import ServiceHealth
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
        """The server for row 1 of the journal. Headers and the address's parameters appear by name only."""
        return {
            "name": self.endpoint.name,
            "url": shown_address(self.endpoint.url),
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

    @property
    def policy(self) -> CallPolicy:
        """What the keys of the telephone do."""


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
    missing: Mapping[str, tuple[str, ...]]
    """Those problems that are about tools which the file names, by the server that should have them."""


def offered_name(server: str, tool: str) -> str:
    """The name that a server's tool has for the model and in the agent's file."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", f"{server}_{tool}")


def may_offer(server: str, allowed: Collection[str] | None, name: str) -> bool:
    """Whether that may be the name of a tool of the server, whose list is not known."""
    if allowed is not None:
        return any(offered_name(server, tool) == name for tool in allowed if isinstance(tool, str))
    return name.startswith(offered_name(server, "")) and name != offered_name(server, "")


def keys_of(server: McpServer, keypad: Collection[KeyMeaning], own_tools: Collection[str]) -> list[KeyMeaning]:
    """The keys of the telephone that are to call a tool of that server."""
    tools = [(key, key.tool) for key in keypad if key.tool is not None and key.tool not in own_tools]
    return [key for key, tool in tools if may_offer(server.endpoint.name, server.allowed, tool)]


def offer(
    servers: Collection[McpServer],
    lists: Mapping[str, Collection[ListedTool] | None],
    own_tools: Collection[str],
    keypad: Collection[KeyMeaning] = (),
) -> Offer:
    """What the servers offer, by the list of each (None while it is not known).

    ``own_tools`` are the names of the file's tools, and ``keypad`` its keys.
    """
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
    missing: dict[str, tuple[str, ...]] = {}
    offered = {each.tool.spec.name for each in tools}
    for server in servers:
        name, listed = server.endpoint.name, lists.get(server.endpoint.name)
        known = {tool.name for tool in listed or ()}
        absent = [tool for tool in server.allowed or () if listed is not None and tool not in known]
        dead = [key for key in keys_of(server, keypad, own_tools) if key.tool not in offered]
        missing[name] = (
            *(f"{name} lists no tool {tool}" for tool in absent),
            *(f"the key {key.key} does nothing: {name} offers no tool {key.tool}" for key in dead),
        )
    return Offer(tuple(tools), (*problems, *chain.from_iterable(missing.values())), missing)


def _tool(server: McpServer, listed: ListedTool) -> OfferedTool:
    """The method says what may be done with a call: given up (GET), repeated (PUT), or neither (POST)."""
    method: Method = "GET" if listed.is_read_only else "PUT" if listed.is_idempotent else "POST"
    endpoint = server.endpoint
    name = offered_name(endpoint.name, listed.name)
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
        return offer(user.mcp_servers, lists, [tool.spec.name for tool in user.tools], user.policy.keypad)

    def tools_of(self, user: McpUser) -> tuple[tuple[AgentTool, ...], dict[str, ToolEndpoint]]:
        """The same as tools of a call, and who is called for each, by its name."""
        tools = self.offer(user).tools
        endpoints: dict[str, ToolEndpoint] = {
            each.tool.spec.name: McpToolEndpoint(self.servers.client(each.server), each.listed) for each in tools
        }
        return tuple(each.tool for each in tools), endpoints

    async def health_check(self, name: str) -> ServiceHealth:
        """The health of the servers of that name; degraded also without a tool that an agent's file names."""
        health = await self.servers.health_check(name)
        users = sorted(self._users(), key=lambda user: user.name)
        missing = [f"{user.name}: {each}" for user in users for each in self.offer(user).missing.get(name, ())]
        if health.status != "ok" or not missing:
            return health
        return replace(health, status="degraded", detail="; ".join(missing))

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
