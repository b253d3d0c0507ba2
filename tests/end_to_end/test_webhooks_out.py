"""The service dies between what happened and the report of it; the next one reports it."""

import base64
from pathlib import Path

from standardwebhooks.webhooks import Webhook

from tests.end_to_end.hostile import new_session
from tests.end_to_end.lines import START, opened
from tests.end_to_end.processes import sandbox_process, serving
from tests.support.tool_endpoint import Says, tool_endpoint

SECRET = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"


async def test_what_was_not_reported_at_kill_9_is_reported_after_the_restart_in_order(tmp_path: Path) -> None:
    async with sandbox_process() as sandbox, tool_endpoint(Says(after=60), Says(status=204)) as receiver:
        ours = {"WEBHOOK_URL": receiver.url, "WEBHOOK_SECRET": SECRET, "WEBHOOK_ALLOW_PRIVATE": "true"}
        async with serving(tmp_path, sandbox, **ours) as service:
            session = await new_session(service, metadata={"order": 7})
            async with opened(session["url"]) as line:
                await line.send(START)
                await line.until("ready")
                await receiver.arrived()  # and is not answered
                await service.kill()
        async with serving(tmp_path, sandbox, log_name="heir.log", **ours):
            await receiver.arrived(4)
        first, *told = [(request.headers, request.body) for request in receiver.asked]
        messages = [Webhook(SECRET).verify(body, headers) for headers, body in told]

    assert [message["type"] for message in messages] == ["call.started", "call.answered", "call.ended"]
    assert {message["data"]["call_id"] for message in messages} == {session["call_id"]}
    assert first[0]["webhook-id"] == told[0][0]["webhook-id"]
    assert messages[-1]["data"]["end_reason"] == "media_lost"  # its caller did not come back to the heir
    assert messages[-1]["data"]["metadata"] == {"order": 7}
    assert "turns" not in messages[-1]["data"]
