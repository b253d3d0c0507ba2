"""Two numbers lead to two agents, each with its language, voice and lookup; a caller asks never to be called again."""

import asyncio
import dataclasses
from pathlib import Path

import httpx
import pytest

from sandbox.caller.caller import Caller
from sandbox.caller.media_client import CallFailed
from sandbox.caller.report import CallReport
from sandbox.caller.score import Score, says, waits_for_agent, waits_for_end
from sandbox.carrier.carrier import TELEPHONE
from tests.room.calling_out import calling_house, events_of
from tests.room.house import House, speak
from tests.room.servers import LiveKitServer
from tests.support.tool_endpoint import Says, ToolEndpoint, tool_endpoint

pytestmark = pytest.mark.room

CLINIC_NUMBER, SHOP_NUMBER = "+74951110001", "+74951110002"
ANNA, BORIS = "+79990000031", "+79990000032"
CLINIC = """\
prompt: You answer for the clinic. The caller is {{ lookup.name }}.
language: en
numbers: ["+74951110001"]
voices: {en: voice-of-the-clinic}
greeting: {en: "Clinic, hello {{ lookup.name | default('friend') }}."}
lookup: {url: "%s/clinic?from={{ caller_number }}", timeout_seconds: 5}
"""
SHOP = """\
prompt: Продавай цветы.
language: ru
numbers: ["+7495111*"]
voices: {ru: voice-of-the-shop}
variables: {name: {default: друг}}
greeting: {ru: "Цветы слушают, {{ name }}."}
lookup: {url: "%s/shop", timeout_seconds: 0.3}
"""
END = {"name": "end_call", "arguments": {}}
IN_ENGLISH = Score(
    "never-again",
    "en",
    (waits_for_agent(), says("Please never call me again."), waits_for_end()),
    (
        {"text": "", "tool_calls": [{"name": "do_not_call", "arguments": {}}]},
        {"text": "It is done. Goodbye!", "tool_calls": [END]},
    ),
    20,
)
IN_RUSSIAN = Score(
    "flowers",
    "ru",
    (waits_for_agent(), says("Розы у вас есть?"), waits_for_end()),
    ({"text": "Есть. До свидания!", "tool_calls": [END]},),
    20,
)


async def test_two_numbers_meet_two_agents(server: LiveKitServer, tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    known, unwanted = Says('{"variables": {"name": "Anna"}}'), Says('{"reject": true}')
    async with tool_endpoint(known, unwanted) as clinic, tool_endpoint(Says(after=3)) as late:
        (folder / "clinic.yaml").write_text(CLINIC % clinic.url, encoding="utf-8")
        (folder / "shop.yaml").write_text(SHOP % late.url, encoding="utf-8")
        async with calling_house(server, tmp_path / "data", agents_dir=folder) as home, asyncio.TaskGroup() as tasks:
            english = tasks.create_task(_call(home, CLINIC_NUMBER, ANNA, IN_ENGLISH), name="clinic")
            russian = tasks.create_task(_call(home, SHOP_NUMBER, BORIS, IN_RUSSIAN), name="shop")
            records = [await home.record((await each).call_id) for each in (english, russian)]
            looked_up = [await events_of(home, record["call_id"], "lookup.finished") for record in records]
            created = [(await events_of(home, record["call_id"], "call.created"))[0] for record in records]
            await _is_never_called(home)
            await _is_turned_away(home, clinic)

    assert [(record["agent"], record["called_number"]) for record in records] == [
        ("clinic", CLINIC_NUMBER),
        ("shop", SHOP_NUMBER),
    ]
    assert [record["language"] for record in records] == ["en", "ru"]
    assert [record["turns"][0]["text"] for record in records] == ["Clinic, hello Anna.", "Цветы слушают, друг."]
    assert [record["turns"][-1]["text"] for record in records] == ["It is done. Goodbye!", "Есть. До свидания!"]
    assert [(record["end_reason"], record["fault"]) for record in records] == [("agent_hangup", "none")] * 2
    assert [row["agent"]["voices"][row["language"]] for row in created] == ["voice-of-the-clinic", "voice-of-the-shop"]
    assert (looked_up[0][0]["ok"], looked_up[0][0]["found"]) == (True, ["name"])
    assert (looked_up[1][0]["ok"], looked_up[1][0]["seconds"] >= 0.3, looked_up[1][0]["found"]) == (False, True, [])
    assert clinic.asked[0].query == [("from", ANNA)]


async def _call(home: House, called: str, number: str, score: Score) -> CallReport:
    """A call to one of our numbers."""
    carrier = dataclasses.replace(home.carrier, called_number=called)
    async with Caller(
        home.url, speak, sandbox_url=home.sandbox.url, telephone=TELEPHONE, longest_call_seconds=120
    ) as caller:
        return await caller.call_through(score, lambda: carrier.dial(number))


async def _is_never_called(home: House) -> None:
    """Who has asked the clinic's agent for it is on the list, and no call to them is placed."""
    listed = (await home.get("/do-not-call")).json()["numbers"]
    assert [(entry["number"], entry["added_by"]) for entry in listed] == [(ANNA, "caller")]
    async with httpx.AsyncClient(base_url=home.url, trust_env=False) as http:
        refused = await http.post("/calls", json={"to": ANNA})
        allowed = await http.post("/calls", json={"to": "12"})
    assert (refused.status_code, refused.json()["code"]) == (403, "do_not_call")
    assert allowed.json()["code"] != "do_not_call"


async def _is_turned_away(home: House, clinic: ToolEndpoint) -> None:
    """The lookup refuses the next call: it is not answered, and its journal says why."""
    carrier = dataclasses.replace(home.carrier, called_number=CLINIC_NUMBER)
    with pytest.raises(CallFailed, match="participant_removed"):
        async with carrier.dial(ANNA):
            pass
    refused = next(call for call in await home.ended_calls(3) if call["end_reason"] == "rejected_policy")
    [row] = await events_of(home, refused["call_id"], "lookup.finished")
    assert (refused["agent"], refused["answered_at"], row["rejected"]) == ("clinic", None, True)
    assert len(clinic.asked) == 2
