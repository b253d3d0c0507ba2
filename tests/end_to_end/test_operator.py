"""An operator at the doors of a call that is alive."""

import asyncio
from pathlib import Path

from tests.end_to_end.calls import GREETING
from tests.end_to_end.lines import START, Line, ended_record_of, new_line
from tests.end_to_end.service import running_service

NEWS = "Мастер уже выехал к вам."


async def row_of(line: Line, kind: str) -> None:
    while (await line.until("event"))["event"]["type"] != kind:
        pass


async def test_an_operator_has_the_agent_say_something_and_then_ends_the_call(tmp_path: Path) -> None:
    async with (
        running_service(tmp_path, greeting=GREETING) as service,
        new_line(service, {**START, "events": True}) as line,
        service.async_client() as http,
        asyncio.TaskGroup() as tasks,
        asyncio.timeout(60),
    ):
        silence = tasks.create_task(line.be_silent(), name="silence")
        said = await http.post(f"/calls/{line.call_id}/say", json={"text": NEWS})
        assert said.status_code == 202
        await row_of(line, "agent.finished")
        await row_of(line, "agent.finished")
        hung_up = await http.post(f"/calls/{line.call_id}/hangup")
        assert hung_up.status_code == 202
        assert (await line.until("end"))["reason"] == "operator_hangup"
        assert await line.closed() == 1000
        silence.cancel()
        record = await ended_record_of(service, line.call_id)
        again = await http.post(f"/calls/{line.call_id}/hangup")

    assert again.status_code == 409
    assert [turn["text"] for turn in record["turns"]] == [GREETING, NEWS]
    assert (record["end_reason"], record["fault"]) == ("operator_hangup", "none")
