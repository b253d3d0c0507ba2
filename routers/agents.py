"""The agents that answer calls."""

from fastapi import APIRouter, HTTPException

from routers.auditing import WITH_KEY
from routers.dependencies import TheServices
from routers.schemas import Agent, AgentList
from routers.views import agent_of, agent_summary_of

router = APIRouter(prefix="/agents", dependencies=WITH_KEY, tags=["agents"])


@router.get("")
async def list_agents(services: TheServices) -> AgentList:
    """List the agents, and what is wrong with the files that the service has refused since the start."""
    now = services.agents.current
    return AgentList(
        agents=[agent_summary_of(agent) for _, agent in sorted(now.by_name.items())],
        default=now.default.name,
        problems=list(now.problems),
        transfer_targets=list(services.settings.transfer_targets),
        places_calls=services.telephone is not None and bool(services.settings.dial_prefixes),
    )


@router.get("/{name}")
async def get_agent(name: str, services: TheServices) -> Agent:
    """Get one agent, with its prompt as it is written."""
    agent = services.agents.current.by_name.get(name)
    if agent is None:
        raise HTTPException(404, "there is no agent of that name")
    return agent_of(agent, (each.tool.spec.name for each in services.mcp.offer(agent).tools))
