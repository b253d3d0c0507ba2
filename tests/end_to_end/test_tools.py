"""An agent from a file, with tools at a real endpoint, in whole calls."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox.caller.score import Score, says, waits_for_agent, waits_for_end
from tests.end_to_end.calls import END_CALL, QUIET, Held, hold, score
from tests.end_to_end.service import RunningService, running_service
from tests.support.tool_endpoint import Says, ToolEndpoint, tool_endpoint

TOKEN = "token-of-the-schedule"
MOMENT = "Минуту, смотрю расписание."
FREE = '{"times": ["10:00"]}'
AGENT = """\
name: clinic
prompt: Отвечай за клинику.
language: ru
greeting: {ru: Клиника слушает.}
lines: {ru: {fillers: [Секунду.]}}
tools:
  - name: find_free_times
    description: Free times of a day.
    method: %s
    url: %s/free-times
    headers: {Authorization: "Bearer ${SCHEDULE_TOKEN}"}
    parameters: {type: object, properties: {day: {type: string}}, required: [day], additionalProperties: false}
    timeout_seconds: 1.5
    one_moment: {ru: "%s"}
"""
CALLS_TOOL: dict[str, Any] = {
    "text": "",
    "tool_calls": [{"name": "find_free_times", "arguments": {"day": "2026-11-27"}}],
}
TALKS_AT = {"responses": "responses", "chat": "chat/completions"}
REPLIES = (CALLS_TOOL, {"text": "Свободно в десять утра."}, {"text": "Ждём вас!", "tool_calls": END_CALL})
PATIENT = 2.0
"""Seconds of silence: the caller knows that one moment is no answer."""


def talk(quiet: float = QUIET, *, first: str = "") -> Score:
    """``first`` is what the model says before it calls the tool."""
    asks, thanks = says("Когда у вас свободно?"), says("До свидания!")
    replies = ({**REPLIES[0], "text": first}, *REPLIES[1:])
    return score(waits_for_agent(QUIET), asks, waits_for_agent(quiet), thanks, waits_for_end(), replies=replies)


@asynccontextmanager
async def a_clinic(
    folder: Path, patch: pytest.MonkeyPatch, *answers: Says, method: str = "GET", **settings: Any
) -> AsyncIterator[tuple[RunningService, ToolEndpoint]]:
    patch.setenv("SCHEDULE_TOKEN", TOKEN)
    async with tool_endpoint(*answers) as endpoint:
        file = folder / "clinic.yaml"
        file.write_text(AGENT % (method, endpoint.url, MOMENT), encoding="utf-8")
        async with running_service(folder, agent_prompt_file=file, **settings) as service:
            yield service, endpoint


def called(held: Held) -> dict[str, Any]:
    (row,) = [row for row in held.rows("agent.tool_called") if row["data"]["name"] == "find_free_times"]
    return row


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_the_agent_looks_it_up_and_answers_the_caller(
    api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_clinic(tmp_path, monkeypatch, Says(FREE, after=0.9), openai_api=api) as (service, endpoint):
        held = await hold(service, talk())
        file = (tmp_path / "clinic.yaml").read_bytes()
        asked = [each.body for each in service.sandbox.stage.requests if each.route == TALKS_AT[api]]

    assert held.said("assistant") == ["Клиника слушает.", "Свободно в десять утра.", "Ждём вас!"]
    assert (held.record["end_reason"], held.record["fault"]) == ("agent_hangup", "none")

    (request,) = endpoint.asked
    assert (request.method, request.path, request.query) == ("GET", "/free-times", [("day", "2026-11-27")])
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["x-call-id"] == held.call_id
    (finished,) = held.rows("agent.tool_finished")
    assert request.headers["idempotency-key"] == f"{held.call_id}:{called(held)['data']['id']}"
    assert called(held)["data"]["line"] == MOMENT
    assert (finished["data"]["ok"], finished["data"]["status"], finished["data"]["result"]) == (True, 200, FREE)
    assert 0.9 <= finished["data"]["seconds"] < 1.5

    shown = asked[1]["input" if api == "responses" else "messages"][-1]
    assert shown["output" if api == "responses" else "content"] == FREE
    fillers = [row for row in held.rows("agent.reply_started") if row["data"]["kind"] == "filler"]
    assert len(fillers) == 1
    assert 0.4 <= fillers[0]["t"] - called(held)["t"] < 0.9

    agent = held.rows("call.created")[0]["data"]["agent"]
    assert (agent["name"], agent["agent_hash"]) == ("clinic", hashlib.sha256(file).hexdigest())
    assert [(tool["name"], tool["headers"]) for tool in agent["tools"]] == [("find_free_times", ["Authorization"])]
    assert TOKEN not in json.dumps([held.journal, held.record])


async def test_the_agent_says_honestly_that_a_tool_is_late_and_the_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_clinic(tmp_path, monkeypatch, Says(after=9), method="POST") as (service, endpoint):
        held = await hold(service, talk(PATIENT))
        async with service.async_client() as http:
            health = (await http.get("/health")).json()

    assert len(endpoint.asked) == 1
    (finished,) = held.rows("agent.tool_finished")
    assert not finished["data"]["ok"]
    assert 1.5 <= finished["data"]["seconds"] < 2.5
    assert (held.record["end_reason"], held.record["fault"]) == ("agent_hangup", "provider:tools")
    assert held.said("assistant")[1:] == ["Свободно в десять утра.", "Ждём вас!"]
    (tool,) = [each for each in health["components"] if each["name"] == "tool:find_free_times"]
    assert (tool["status"], tool["detail"]) == ("degraded", "provider_timeout")


async def test_an_answer_goes_on_in_the_same_breath_after_a_tool_that_took_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The voice has been silent for so long that the vendor has let go of it."""
    async with a_clinic(tmp_path, monkeypatch, Says(FREE, after=1.3)) as (service, _):
        held = await hold(service, talk(PATIENT, first="Сейчас посмотрю."))

    assert held.said("assistant")[1] == "Сейчас посмотрю. Свободно в десять утра."
    assert held.record["fault"] == "none"
    assert [row["data"]["kind"] for row in held.rows("agent.reply_started")] == ["greeting", "reply", "reply"]
