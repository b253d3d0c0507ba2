"""Agents at the doors: who they are, and who takes a call."""

from pathlib import Path
from typing import Any

import pytest

from tests.routers.test_calls import assert_problem
from tests.routers.test_calls_placed import door, ended, place
from tests.support.mcp_endpoint import mcp_endpoint

LEAPING_TIME = True

CLINIC = """\
prompt: You answer for {{ agent }}, ask for {{ doctor }}.
language: en
numbers: ['+74951234567']
timezone: Europe/Moscow
variables:
  doctor: {default: any doctor, description: Whom to see}
  order: {required: true, default: 0}
outcome:
  fields:
    day: {type: string, format: date}
"""


@pytest.fixture
def agents(tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "clinic.yaml").write_text(CLINIC)
    (folder / "shop.yaml").write_text("prompt: Sell.\nrecording: false\n")
    return {"agents_dir": folder}


async def test_the_agents_are_listed_and_each_is_shown(tmp_path: Path, agents: dict[str, Any]) -> None:
    async with door(tmp_path, **agents) as (http, services):
        listed = (await http.get("/agents")).json()
        clinic = (await http.get("/agents/clinic")).json()
        gone = await http.get("/agents/bank")
        version = services.agents.current.by_name["clinic"].sha256

    assert [agent["name"] for agent in listed["agents"]] == ["clinic", "shop", "standard"]
    assert (listed["default"], listed["problems"]) == ("standard", [])
    assert listed["agents"][0] == {
        "name": "clinic", "version": version, "numbers": ["+74951234567"], "languages": ["ru", "en"],
    }  # fmt: skip
    assert clinic["prompt"].startswith("You answer for {{ agent }}")
    assert (clinic["timezone"], clinic["language"], clinic["recording"]) == ("Europe/Moscow", "en", True)
    assert clinic["variables"][0] == {
        "name": "doctor", "default": "any doctor", "description": "Whom to see", "required": False,
    }  # fmt: skip
    assert clinic["outcome"] == [{"name": "day", "schema": {"type": "string", "format": "date"}, "confirm": False}]
    assert_problem(gone, 404, "not_found")


async def test_an_agent_is_shown_with_its_servers_their_tools_and_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "facts.md").write_text("# Opening hours\nFrom nine to five.\n")
    async with mcp_endpoint() as endpoint:
        servers = f"mcp_servers:\n  - {{name: schedule, url: '{endpoint.url}'}}\n"
        (folder / "clinic.yaml").write_text(f"{CLINIC}knowledge: [facts.md]\n{servers}")
        (folder / "shop.yaml").write_text("prompt: Sell.\n")
        async with door(tmp_path, agents_dir=folder) as (http, _):
            clinic, shop = [(await http.get(f"/agents/{name}")).json() for name in ("clinic", "shop")]

    names = ("mcp_servers", "mcp_tools", "knowledge")
    assert [shop[name] for name in names] == [[], [], []]
    assert [clinic["mcp_servers"], clinic["knowledge"]] == [["schedule"], ["facts.md"]]
    assert clinic["mcp_tools"]
    assert all(name.startswith("schedule_") for name in clinic["mcp_tools"])


async def test_a_refused_file_is_shown_beside_the_agent_that_stays(tmp_path: Path, agents: dict[str, Any]) -> None:
    async with door(tmp_path, **agents) as (http, services):
        (agents["agents_dir"] / "clinic.yaml").write_text("prompt: '{{ nobody }}'\n")
        await services.agents.reload()
        listed = (await http.get("/agents")).json()

    assert "nobody is not known here" in listed["problems"][0]
    assert [agent["name"] for agent in listed["agents"]] == ["clinic", "shop", "standard"]


async def test_a_placed_call_has_the_agent_and_the_variables_of_its_request(
    tmp_path: Path, agents: dict[str, Any]
) -> None:
    async with door(tmp_path, **agents) as (http, _):
        wanted = {"agent": "clinic", "variables": {"order": 17, "doctor": "Smith"}}
        answer = await place(http, key="k", **wanted)
        again = await place(http, key="k", **wanted)
        other = await place(http, key="k", agent="clinic", variables={"order": 18})
        quiet = (await place(http, "+78120000001", agent="shop")).json()
        record = await ended(http, answer.json()["call_id"])
        rows = (await http.get(f"/calls/{record['call_id']}/events")).json()["events"]
        version = (await http.get("/agents/clinic")).json()["version"]

    assert answer.status_code == 202
    assert (record["agent"], record["variables"]) == ("clinic", {"order": 17, "doctor": "Smith"})
    assert again.json()["call_id"] == record["call_id"]
    assert_problem(other, 422, "idempotency_key_reused")
    assert quiet["agent"] == "shop"
    assert record["agent_hash"] == rows[0]["data"]["agent"]["agent_hash"] == version
    assert rows[0]["data"]["agent"]["name"] == "clinic"
    assert rows[0]["data"]["agent"]["prompt"].startswith("You answer for clinic, ask for Smith.\n\nFacts of this call")


@pytest.mark.parametrize(
    ("wanted", "detail"),
    [
        ({"agent": "bank"}, "agent: is not known; there are clinic, shop, standard"),
        ({"agent": "clinic"}, "variables.order: is missing"),
        ({"agent": "clinic", "variables": {"order": 1, "x": 2}}, "variables.x: is not known"),
        ({"agent": "clinic", "variables": {"order": [1]}}, "variables.order: must be a text, a number, true or false"),
        ({"variables": {"order": 1}}, "variables.order: is not known; the agent has none"),
        ({"agent": 5}, "body.agent"),
        ({"variables": []}, "body.variables"),
    ],
)
@pytest.mark.parametrize("route", ["/calls", "/media/sessions"])
async def test_what_no_agent_can_do_is_refused(
    tmp_path: Path, agents: dict[str, Any], route: str, wanted: dict[str, Any], detail: str
) -> None:
    body = {**({"to": "+79990000001"} if route == "/calls" else {}), **wanted}
    async with door(tmp_path, **agents) as (http, _):
        answer = await http.post(route, json=body)
        calls = (await http.get("/calls")).json()["calls"]

    assert_problem(answer, 422, "invalid_request")
    assert detail in answer.json()["detail"]
    assert calls == []
