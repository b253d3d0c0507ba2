"""An agent with tools of an MCP server: whole calls, and a server that comes back."""

import asyncio
import json
from pathlib import Path
from typing import Any

from sandbox.caller.score import says, waits_for_agent, waits_for_end
from tests.end_to_end.calls import END_CALL, QUIET, hold, score
from tests.end_to_end.service import RunningService, running_service
from tests.support.mcp_endpoint import mcp_endpoint

LEAPING_TIME = True

AGENT = """\
prompt: You answer for the clinic.
language: en
greeting: {en: Hello.}
mcp_servers:
  - name: schedule
    url: %s
    headers: {X-Language: "{{ language }}"}
    tools: [find_times, refuse]
"""


def uses(tool: str) -> dict[str, Any]:
    arguments = {"day": "Friday"} if tool == "find_times" else {}
    return {"text": "", "tool_calls": [{"name": f"schedule_{tool}", "arguments": arguments}]}


def talk(tool: str = "find_times") -> Any:
    return score(
        waits_for_agent(QUIET), says("When is there time on Friday?"), waits_for_end(),
        replies=(uses(tool), {"text": "I have looked. Goodbye!", "tool_calls": END_CALL}), language="en", patience=20,
    )  # fmt: skip


async def health_of(service: RunningService) -> dict[str, Any]:
    async with service.async_client() as http:
        parts = (await http.get("/health")).json()["components"]
    [part] = [part for part in parts if part["name"] == "mcp:schedule"]
    return dict(part)


async def test_the_model_uses_a_tool_of_the_server(tmp_path: Path) -> None:
    file = tmp_path / "clinic.yaml"
    async with mcp_endpoint() as endpoint:
        file.write_text(AGENT % endpoint.url)
        async with running_service(tmp_path / "data", agent_prompt_file=file) as service:
            held = await hold(service, talk())
            refused = await hold(service, talk("refuse"))
            requests = [each.body for each in service.sandbox.stage.requests if each.route == "responses"]

    offered = [tool["name"] for tool in requests[0]["tools"]]
    assert {"schedule_find_times", "schedule_refuse"} < set(offered)
    assert "schedule_book" not in offered
    assert "On Friday: ten, eleven" in json.dumps(requests[1])
    [tool] = held.record["tools"]
    assert (tool["name"], tool["outcome"]) == ("schedule_find_times", "ok")
    assert held.record["fault"] == "none"
    assert refused.record["tools"][0]["outcome"] == "failed"
    of_call = [request for request in endpoint.requests if request.get("x-call-id") == held.call_id]
    assert {request["x-language"] for request in of_call} == {"en"}
    assert held.rows("call.created")[0]["data"]["agent"]["mcp_servers"][0]["headers"] == ["X-Language"]


async def test_a_server_that_is_down_stops_neither_the_start_nor_a_call_and_its_tools_appear_when_it_is_back(
    tmp_path: Path,
) -> None:
    file = tmp_path / "clinic.yaml"
    async with mcp_endpoint() as endpoint:
        endpoint.refuses = 503
        file.write_text(AGENT % endpoint.url)
        async with running_service(tmp_path / "data", agent_prompt_file=file) as service:
            before = await hold(service, talk())
            ill = await health_of(service)
            endpoint.refuses = None
            await asyncio.sleep(40)
            well = await health_of(service)
            after = await hold(service, talk())

    assert before.rows("agent.tool_called")[0]["data"]["refused"]
    assert before.record["end_reason"] == "agent_hangup"
    assert (ill["status"], well["status"]) == ("degraded", "ok")
    assert [tool["outcome"] for tool in after.record["tools"]] == ["ok"]
