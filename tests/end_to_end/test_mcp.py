"""An agent with tools of an MCP server: whole calls, and a server that comes back."""

import asyncio
import json
from pathlib import Path
from typing import Any

from sandbox.caller.score import presses, says, waits_for_agent, waits_for_end
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


KEYPAD = """\
keypad:
  1: {label: {en: hear the times}, tool: schedule_find_times, arguments: {day: Monday}}
  2: {label: {en: have it cancelled}, tool: schedule_cancel, arguments: {day: Monday}}
"""


async def test_a_key_calls_a_tool_of_the_server_and_without_the_tool_it_is_like_any_other_key(tmp_path: Path) -> None:
    agents = tmp_path / "agents"
    agents.mkdir()
    told = {"text": "There is time at ten. Goodbye!", "tool_calls": END_CALL}

    def key(name: str) -> Any:
        return score(waits_for_agent(QUIET), presses(name), waits_for_end(), replies=(told,), language="en")

    async with mcp_endpoint() as endpoint:
        allowed = "tools: [find_times, refuse]"
        assert allowed in AGENT
        text = AGENT.replace(allowed, "tools: [find_times, cancel]") % endpoint.url + KEYPAD
        (agents / "default.yaml").write_text(text)
        endpoint.server.remove_tool("cancel")
        async with running_service(tmp_path / "data", agents_dir=agents) as service:
            health = await health_of(service)
            held, unknown = await hold(service, key("1")), await hold(service, key("2"))
            endpoint.add(endpoint.cancel)
            await asyncio.sleep(61)
            later, well = await hold(service, key("2")), await health_of(service)

    [tool] = held.record["tools"]
    assert (tool["name"], tool["outcome"]) == ("schedule_find_times", "ok")
    assert json.loads(held.rows("agent.tool_called")[0]["data"]["arguments"]) == {"day": "Monday"}
    assert unknown.record["tools"] == []
    assert unknown.said("user") == ["[keypad] 2"]
    assert [each["name"] for each in later.record["tools"]] == ["schedule_cancel"]
    assert health["status"] == "degraded"
    assert health["detail"] == (
        "default: schedule lists no tool cancel; "
        "default: the key 2 does nothing: schedule offers no tool schedule_cancel"
    )
    assert well["status"] == "ok"
