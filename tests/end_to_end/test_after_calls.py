"""A call is held, and what came of it is in its record and reaches the operator's endpoint, without any key."""

import base64
import json
from pathlib import Path

from standardwebhooks.webhooks import Webhook

from sandbox.caller.score import says, waits_for_agent, waits_for_end
from tests.end_to_end.calls import END_CALL, QUIET, hold, score
from tests.end_to_end.service import running_service
from tests.support.tool_endpoint import tool_endpoint

SECRET = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"
AGENT = """\
prompt: You book tables.
language: en
outcome:
  fields:
    guests: {type: integer, description: How many come, confirm: true}
    table: {type: string, enum: [inside, terrace]}
webhooks:
  - {url: "%s", secret: "%s", events: [call.analyzed]}
"""
TALK = score(
    waits_for_agent(QUIET),
    says("A table for four on the terrace, please."),
    waits_for_agent(QUIET),
    says("Yes, correct."),
    waits_for_end(),
    replies=(
        {"text": "For four people, is that right?"},
        {"text": "Thank you, goodbye!", "tool_calls": END_CALL},
    ),
    language="en",
)


async def test_the_outcome_of_a_call_is_known_by_its_words_and_reported(tmp_path: Path) -> None:
    agent = tmp_path / "tables.yaml"
    async with tool_endpoint() as receiver:
        agent.write_text(AGENT % (receiver.url, SECRET))
        async with running_service(tmp_path, agent_prompt_file=agent, webhook_allow_private=True) as service:
            call = await hold(service, TALK)
            request = await receiver.arrived()
            async with service.async_client() as http:
                found = (await http.get("/calls", params={"outcome.guests": "4", "outcome.table": "terrace"})).json()
                analysis = (await http.get(f"/calls/{call.call_id}/analysis")).json()
            asked = [kept.body for kept in service.sandbox.stage.requests if kept.route == "structured"]
            talked = [kept.body for kept in service.sandbox.stage.requests if kept.route == "responses"]

    message = Webhook(SECRET).verify(request.body, request.headers)
    assert (message["type"], message["data"]["call_id"]) == ("call.analyzed", call.call_id)
    assert message["data"]["analysis"] == analysis
    assert (analysis["status"], analysis["success"]) == ("done", True)
    guests, table = analysis["fields"]["guests"], analysis["fields"]["table"]
    asks = next(turn for turn in call.record["turns"] if turn["role"] == "user")
    assert (guests["value"], guests["quote"], guests["turn"]) == (4, asks["text"], asks["number"])
    assert (table["value"], table["verified_by"]) == ("terrace", None)
    assert analysis["cost"] > 0
    assert [listed["call_id"] for listed in found["calls"]] == [call.call_id]
    assert len(asked) == 1
    assert asked[0]["text"]["format"]["strict"] is True
    assert "read each of these back to the caller" in json.dumps(talked[0])
