"""Callers who say nothing to a service of several workers, and know which worker has them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.end_to_end.lines import START, Line, opened
from tests.end_to_end.processes import ServiceProcess, serving
from tests.routers.kept_calls import execute

_RINGS_AT_MOST = 40


@dataclass(eq=False)
class Phone:
    """A call over a websocket, and what its caller received."""

    line: Line
    worker: int
    """0 in a service that has one process."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    close_code: int | None = None

    @property
    def call_id(self) -> str:
        return self.line.call_id

    async def row(self, kind: str, count: int = 1) -> dict[str, Any]:
        """The journal's row of that type, when it comes."""
        async with asyncio.timeout(60):
            while len(found := [row for row in self.rows if row["type"] == kind]) < count:
                await asyncio.sleep(0.01)
        return found[count - 1]

    async def closed(self) -> int:
        """The close code, when the line is closed."""
        async with asyncio.timeout(60):
            while self.close_code is None:
                await asyncio.sleep(0.01)
        return self.close_code

    async def listen(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                self.rows.append((await self.line.until("event"))["event"])
        self.close_code = await self.line.closed()


class Exchange:
    """A service, and the phones that call it."""

    def __init__(self, service: ServiceProcess, folder: Path, tasks: asyncio.TaskGroup) -> None:
        self.service = service
        self.rung = 0
        self._folder = folder
        self._tasks = tasks
        self._leaves = asyncio.Event()

    async def ring(self) -> Phone:
        """A new call, greeted."""
        async with self.service.client() as http:
            session = (await http.post("/media/sessions", json={"events": "all"})).raise_for_status().json()
        self.rung += 1
        ready: asyncio.Future[Phone] = asyncio.get_running_loop().create_future()
        self._tasks.create_task(self._hold(session, ready), name="phone")
        phone = await ready
        await phone.row("agent.finished")
        return phone

    async def ring_both(self, number: int) -> dict[int, list[Phone]]:
        """Phones by worker, at least so many for each."""
        phones: dict[int, list[Phone]] = {1: [], 2: []}
        while min(map(len, phones.values())) < number:
            assert self.rung < _RINGS_AT_MOST, "one worker takes all the calls"
            phone = await self.ring()
            phones[phone.worker].append(phone)
        return phones

    def leave(self) -> None:
        """Every line that is open is closed."""
        self._leaves.set()

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.service.log_lines()) if line["event"] == event]

    def pid_of(self, worker: int) -> int:
        """Of the process that has the number now."""
        pids: list[int] = [line["pid"] for line in self.logged("worker.started") if line["worker"] == worker]
        return pids[-1]

    async def get(self, path: str) -> Any:
        async with self.service.client() as http:
            return (await http.get(path)).json()

    async def figures(self) -> dict[str, float]:
        """The metrics by their names and labels."""
        async with self.service.client() as http:
            lines = (await http.get("/metrics")).text.splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    async def _hold(self, session: dict[str, Any], ready: "asyncio.Future[Phone]") -> None:
        async with opened(session["url"], session["call_id"]) as line, asyncio.TaskGroup() as tasks:
            await line.send({**START, "events": True})
            await line.until("ready")
            (owner,) = execute(self._folder, "SELECT owner FROM calls WHERE call_id = ?", (line.call_id,))[0]
            phone = Phone(line, int(owner.partition(".worker")[2].partition("-")[0] or 0))
            listening = tasks.create_task(phone.listen(), name="listening")
            silence = tasks.create_task(line.be_silent(), name="silence")
            ready.set_result(phone)
            leaving = tasks.create_task(self._leaves.wait(), name="leaving")
            await asyncio.wait([listening, leaving], return_when=asyncio.FIRST_COMPLETED)
            for task in (silence, listening, leaving):
                task.cancel()


@asynccontextmanager
async def exchange(folder: Path, sandbox: dict[str, str], **variables: str) -> AsyncIterator[Exchange]:
    """Two workers; a caller may be silent for long."""
    settings = {"WORKERS": "2", "IDLE_PROMPT_SECONDS": "100", **variables}
    async with serving(folder, sandbox, **settings) as service, asyncio.TaskGroup() as tasks:
        here = Exchange(service, folder, tasks)
        try:
            yield here
        finally:
            here.leave()
