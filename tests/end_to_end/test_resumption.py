"""Clients of websockets that lose their socket, or their service, and go on with their call over another one."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.end_to_end.lines import START, Line, opened
from tests.end_to_end.processes import ServiceProcess, sandbox_process, serving
from tests.routers.kept_calls import execute
from tests.support.slowness import slowness

pytestmark = pytest.mark.alone

BRIDGE_SECONDS = 1.5
BRIDGES = ("Простите, связь на секунду прервалась.", "Sorry, the line cut out for a moment.")
AGAIN_SECONDS = 0.02


class Client:
    """A client that keeps its token, and comes back with it."""

    def __init__(self, service: ServiceProcess, session: dict[str, Any]) -> None:
        self.service, self.url, self.call_id = service, session["url"], session["call_id"]
        self.rows: list[dict[str, Any]] = []
        self.readies: list[dict[str, Any]] = []

    @asynccontextmanager
    async def on_line(self) -> AsyncIterator[Line]:
        """Connect, as often as it takes, and listen."""
        async with asyncio.timeout(60):
            while True:
                try:
                    async with opened(self.url, self.call_id) as line:
                        await line.send({**START, "events": True})
                        ready = await line.until("ready")
                        self.readies.append(ready)
                        self.url = f"{self.url.partition('?')[0]}?token={ready['resume_token']}"
                        async with asyncio.TaskGroup() as tasks:
                            helpers = [tasks.create_task(self._listen(line)), tasks.create_task(line.be_silent())]
                            yield line
                            for helper in helpers:
                                helper.cancel()
                        return
                except (OSError, InvalidStatus):
                    await asyncio.sleep(AGAIN_SECONDS)

    async def _listen(self, line: Line) -> None:
        with suppress(ConnectionClosed):
            while True:
                self.rows.append((await line.until("event"))["event"])

    async def row(self, kind: str, count: int = 1, /, **data: Any) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while True:
                found = [row for row in self.rows if row["type"] == kind and data.items() <= row["data"].items()]
                if len(found) >= count:
                    return found[count - 1]
                await asyncio.sleep(0.01)

    def owner(self, folder: Path) -> str:
        [(owner,)] = execute(folder, "SELECT owner FROM calls WHERE call_id = ?", (self.call_id,))
        return str(owner)

    async def record(self) -> dict[str, Any]:
        async with self.service.client() as http:
            record: dict[str, Any] = (await http.get(f"/calls/{self.call_id}")).json()
        return record


@asynccontextmanager
async def calling(folder: Path, **variables: str) -> AsyncIterator[tuple[Client, ServiceProcess]]:
    settings = {"IDLE_PROMPT_SECONDS": "100", **variables}
    async with sandbox_process() as sandbox, serving(folder, sandbox, **settings) as service:
        async with service.client() as http:
            session = (await http.post("/media/sessions", json={"events": "all"})).raise_for_status().json()
        yield Client(service, session), service


async def test_a_socket_that_is_lost_in_a_sentence_is_replaced_and_the_sentence_goes_on(tmp_path: Path) -> None:
    async with asyncio.timeout(90), calling(tmp_path) as (client, _):
        async with client.on_line() as line:
            await client.row("agent.clause_started")
            line.abort()
        async with client.on_line():
            await client.row("leg.rejoined")
            finished = await client.row("agent.finished")
    types = [row["type"] for row in client.rows]
    assert finished["data"]["heard"] == finished["data"]["generated"]
    assert "leg.lost" in types
    assert "call.taken_over" not in types
    assert [row["seq"] for row in client.rows] == sorted(row["seq"] for row in client.rows)
    assert [ready.get("resumed") for ready in client.readies] == [None, True]
    assert client.readies[0]["resume_token"] != client.readies[1]["resume_token"]


async def test_a_client_that_comes_to_another_worker_is_served_there(tmp_path: Path) -> None:
    async with asyncio.timeout(90), calling(tmp_path, WORKERS="2") as (client, _):
        async with client.on_line() as line:
            await client.row("agent.finished")
            first = client.owner(tmp_path)
            line.abort()
        while client.owner(tmp_path) == first:
            async with client.on_line() as line:
                if client.owner(tmp_path) == first:
                    line.abort()
                else:
                    await client.row("call.taken_over")
                    record = await client.record()
    assert record["status"] == "active"
    assert client.readies[-1]["resumed"]


async def test_the_worker_of_a_call_is_killed_and_the_other_has_the_client_back_within_a_second_or_so(
    tmp_path: Path,
) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(90), calling(tmp_path, WORKERS="2") as (client, service):
        async with client.on_line():
            await client.row("agent.finished")
            await asyncio.sleep(0.3)  # the rows of the last moment are not committed yet
            owner = client.owner(tmp_path)
            started = [line for line in map(_parsed, service.log_lines()) if line["event"] == "worker.started"]
            number = int(owner.partition(".worker")[2].partition("-")[0])
            killed = loop.time()
            os.kill(next(line["pid"] for line in started if line["worker"] == number), signal.SIGKILL)
            await asyncio.sleep(0.1)
        async with client.on_line():
            taken = await client.row("call.taken_over")
            bridge = await client.row("agent.reply_started", kind="reconnected")
            took = loop.time() - killed
            said = await client.row("agent.clause_started", 2)
    assert taken["data"]["owner"] != owner
    assert bridge["seq"] > taken["seq"]
    assert said["data"]["text"] in BRIDGES
    assert took < BRIDGE_SECONDS * slowness()


async def test_a_client_that_does_not_come_back_has_lost_its_call_after_ten_seconds(tmp_path: Path) -> None:
    async with asyncio.timeout(90), calling(tmp_path) as (client, _):
        async with client.on_line() as line:
            await client.row("agent.finished")
            line.abort()
        while (record := await client.record())["status"] != "ended":
            await asyncio.sleep(0.2)
        async with client.service.client() as http:
            rows = (await http.get(f"/calls/{client.call_id}/events")).json()["events"]
    lost = next(row for row in rows if row["type"] == "leg.lost")
    assert (record["end_reason"], record["end_detail"]) == ("media_lost", "closed with 1006")
    assert 9.5 < rows[-1]["t"] - lost["t"] < 12


async def test_a_call_of_a_killed_service_goes_on_when_it_has_started_again(tmp_path: Path) -> None:
    async with asyncio.timeout(120), sandbox_process() as sandbox:
        async with serving(tmp_path, sandbox, IDLE_PROMPT_SECONDS="100") as service:
            async with service.client() as http:
                session = (await http.post("/media/sessions", json={"events": "all"})).raise_for_status().json()
            client = Client(service, session)
            async with client.on_line():
                await client.row("agent.finished")
                service.process.kill()
                await service.process.wait()
            port = service.url.rpartition(":")[2]
        async with serving(tmp_path, sandbox, log_name="again.log", PORT=port, IDLE_PROMPT_SECONDS="100") as again:
            client.service = again
            async with client.on_line():
                await client.row("agent.reply_started", kind="reconnected")
                record = await client.record()
    assert record["status"] == "active"


def _parsed(line: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(line)
    return parsed
