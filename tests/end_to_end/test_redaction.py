"""A caller says a card, a telephone number and an e-mail address: the call works with them, nothing kept has them."""

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from sandbox.caller.score import Presses, says, waits_for_agent, waits_for_end
from tests.end_to_end.calls import END_CALL, QUIET, hold, score
from tests.end_to_end.service import running_service
from tests.support.tool_endpoint import Says, tool_endpoint

LEAPING_TIME = True

SECRET = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"
CARD, PHONE, EMAIL = "4539578763621486", "4155552671", "john.smith@gmail.com"
HIDDEN = re.compile(
    r"4539\W*5787|5787\W*6362|6362\W*1486|555\W*2671|5552671|john\W+smith|john dot|gmail", re.IGNORECASE
)
"""Any two neighbouring parts of what was said."""
AGENT = """\
prompt: You take payments.
language: en
redact: [cards, phones, emails]
recording: false
greeting: {{en: Hello.}}
outcome: {{fields: {{card: {{type: string, description: The card}}}}}}
webhooks:
  - {{url: "{url}/hook", secret: "{secret}", transcript: true}}
tools:
  - name: pay
    description: Pays.
    method: POST
    url: {url}/pay
    parameters: {{type: object, properties: {{card: {{type: string}}, phone: {{type: string}}}}}}
"""
PAYS = {"name": "pay", "arguments": {"card": CARD, "phone": PHONE, "email": EMAIL}}
REPLIES: tuple[dict[str, Any], ...] = (
    {"text": "Yes, please go on."},
    {"text": "Your card is 4539 5787 6362 1486, is that right? And your phone number?"},
    {"text": "So it is 415 555 2671. What is your e-mail?"},
    {"text": "", "tool_calls": [PAYS]},
    {"text": "I have written to john.smith@gmail.com. Please key in the card once more."},
    {"text": "Thank you, goodbye!", "tool_calls": END_CALL},
)
TALK = score(
    waits_for_agent(QUIET),
    says("My card is four five three nine, five seven eight seven"),
    waits_for_agent(QUIET),
    says("6362 1486."),
    waits_for_agent(QUIET),
    says("Yes, my phone is 415 555 2671."),
    waits_for_agent(QUIET),
    says("It is john dot smith at gmail dot com."),
    waits_for_agent(1.0),
    Presses(CARD),
    waits_for_agent(QUIET),
    waits_for_end(),
    replies=REPLIES,
    language="en",
    patience=20,
)


def stored_in(folder: Path) -> dict[str, str]:
    """Every file of the service, as text: the database with its log among them."""
    return {path.name: path.read_bytes().decode("utf-8", "replace") for path in folder.rglob("*") if path.is_file()}


async def test_nothing_that_is_stored_or_sent_has_them(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    async with tool_endpoint(Says(json.dumps({"paid": CARD, "receipt": EMAIL}))) as endpoint:
        agent = tmp_path / "pay.yaml"
        agent.write_text(AGENT.format(url=endpoint.url, secret=SECRET))
        async with running_service(data, agent_prompt_file=agent, webhook_allow_private=True) as service:
            held = await hold(service, TALK)
            async with service.async_client() as http:
                while (await http.get(f"/calls/{held.call_id}/analysis")).json()["status"] == "pending":
                    await asyncio.sleep(0.1)
                paths = ["", *(f"/{held.call_id}{part}" for part in ("", "/events", "/transcript", "/analysis"))]
                answers = {path: (await http.get(f"/calls{path}")).text for path in paths}
                found = (await http.get("/calls", params={"text": CARD})).json()["calls"]
                while not any('"call.analyzed"' in each.body for each in endpoint.asked):
                    await asyncio.sleep(1.0)
            live = json.dumps([each.body for each in service.sandbox.stage.requests if each.route == "responses"])
            analysed = json.dumps([each.body for each in service.sandbox.stage.requests if each.route == "structured"])
        files = stored_in(data)
    paid = [each.body for each in endpoint.asked if each.path == "/pay"]
    told = [each.body for each in endpoint.asked if each.path == "/hook"]

    assert json.loads(paid[0]) == PAYS["arguments"]
    for real in ("5787", "6362 1486", "415 555 2671", "john dot smith at gmail dot com", f"[keypad] {CARD}", EMAIL):
        assert real in live
    assert held.record["end_reason"] == "agent_hangup"
    texts = [turn["text"] for turn in held.record["turns"]]
    assert "Your card is [card], is that right? And your phone number?" in texts
    assert "Yes, my phone is [phone]." in texts
    assert "[keypad] [card]" in texts
    assert any("[email]" in text for text in texts)
    assert all(
        turn["text_generated"].startswith(turn["text"]) for turn in held.record["turns"] if turn["role"] == "assistant"
    )
    assert found == []
    assert len(told) >= 3
    assert "calls.db" in files
    everything = {
        **answers,
        **files,
        "webhooks": "\n".join(told),
        "analysis": analysed,
        "log": "".join(capfd.readouterr()),
    }
    assert {name: HIDDEN.findall(text) for name, text in everything.items() if HIDDEN.search(text)} == {}
