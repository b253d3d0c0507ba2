"""Checks the tools of the agent, and what a service that runs on this machine says of its own parts.

No tool is called: only the service's calls know what may be asked of it. Its address is connected to.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.calls.agent.directory import AgentDirectory
from app.calls.agent.tools import AgentTool
from app.cli.checks.findings import Check, Finding, Grade, why
from app.clients.tls import tls_context
from app.settings import Settings

_SECONDS = 4.0
_SERVICE = "running service"
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what to ask instead
_GRADES: dict[str, Grade] = {"ok": "ok", "degraded": "wrong", "failed": "wrong"}


def running_checks(settings: Settings) -> list[Check]:
    """A check of each tool of the agents, and of the service."""

    async def service() -> Sequence[Finding]:
        return await ask_service(settings)

    agents = AgentDirectory(settings).current.by_name.values()
    tools = {(tool.spec.name, tool.endpoint.url): tool for agent in agents for tool in agent.tools}
    return [*map(_tool_check, tools.values()), Check(_SERVICE, service, 2 * _SECONDS)]


def _tool_check(tool: AgentTool) -> Check:
    about, address = f"tool {tool.spec.name}", urlsplit(tool.endpoint.url)

    async def look() -> Sequence[Finding]:
        secure = address.scheme == "https"
        port = address.port or (443 if secure else 80)
        try:
            async with asyncio.timeout(_SECONDS):
                _, writer = await asyncio.open_connection(address.hostname, port, ssl=tls_context() if secure else None)
        except (OSError, TimeoutError) as error:
            said = f"{address.hostname} port {port} cannot be reached: {type(error).__name__}"
            return [Finding(about, "wrong", said, why(error))]
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return [Finding(about, "ok", f"{address.hostname} port {port} can be reached; it was asked nothing")]

    return Check(about, look, 2 * _SECONDS)


async def ask_service(settings: Settings) -> Sequence[Finding]:
    """The parts of the running service that are not well, as its ``GET /health`` says."""
    address = f"http://{_ANYWHERE.get(settings.host, settings.host)}:{settings.port}/health"
    key = settings.api_key
    headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
    try:
        async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False) as http:
            answer: Any = (await http.get(address, headers=headers)).raise_for_status().json()
        parts = [(str(part["name"]), str(part["status"]), part.get("detail")) for part in answer["components"]]
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        said = f"no service with these settings answers at {address}: {type(error).__name__}"
        return [Finding(_SERVICE, "not checked", said)]
    bad = [(name, status, detail) for name, status, detail in parts if status != "ok"]
    if not bad:
        return [Finding(_SERVICE, "ok", f"all {len(parts)} parts of it are well")]
    return [
        Finding(name, _GRADES.get(status, "wrong"), f"the running service finds it {status}: {detail or 'no detail'}")
        for name, status, detail in bad
    ]
