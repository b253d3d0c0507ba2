"""Seven calls of one service, and what can be broken under them: the far side of ``bench.one_fault``.

Five callers come over websockets and two by telephone, through a real livekit-server. Whatever the service asks of
LiveKit's API goes through ``sandbox/carrier/sip_front.py``, and whatever it writes lies on a disk that can be slow.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from sandbox.caller.events import CallerEvent, Connected
from sandbox.caller.media_client import CallFailed
from sandbox.caller.report import CallReport
from sandbox.caller.score import Score, hangs_up, says, waits, waits_for_agent
from sandbox.carrier.carrier import TELEPHONE, Carrier
from sandbox.carrier.livekit_server import LiveKitServer
from sandbox.carrier.sip_front import SipFront, running_front
from sandbox.vendors.faults import Fault
from tests.end_to_end.calls import QUIET, journal_of, speak
from tests.end_to_end.processes import ServiceProcess, sandbox_process, serving
from tests.room.servers import KEY, SECRET, livekit_server
from tests.support.bad_disk import BadDisk, bad_disk

WEBSOCKETS, TELEPHONES = 5, 2
STORY = (
    "Мы открыты ежедневно с девяти утра и до восьми вечера, без перерыва на обед. "
    "В субботу мы работаем с десяти утра и только до обеда, поэтому приходите пораньше."
)
QUESTION = "Расскажите о вашей клинике."
_OUR_NUMBER = "+74950000000"
_PREFIX = "call"
_RING_SECONDS = 1.5
"""How much longer telephones than websockets need until the greeting."""
_LOOK_SECONDS = 0.25


@dataclass
class HeldCall:
    """One call of a round."""

    name: str
    call_id: str = ""
    report: CallReport | None = None
    failure: str = ""
    """What the caller complains of."""
    worker: int = 0
    record: dict[str, Any] = field(default_factory=dict)
    journal: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_by_telephone(self) -> bool:
        """Whether its sound came through a room."""
        return self.name.startswith("telephone")


@dataclass
class Watched:
    """What ``/health`` said, in seconds since the strike."""

    first: dict[str, tuple[float, str]] = field(default_factory=dict)
    """When each component stopped being ok, and its status then."""
    back: dict[str, float] = field(default_factory=dict)
    """When each component was ok again, after the strike was over."""
    over: float | None = None
    """When the strike was over."""
    unready: float | None = None
    """When ``/health/ready`` began to answer 503."""


class House:
    """The service with everything around it."""

    def __init__(
        self,
        service: ServiceProcess,
        front: SipFront,
        carrier: Carrier,
        disk: BadDisk,
        database: Path,
        livekit_server: LiveKitServer,
    ) -> None:
        self.service, self.front, self.disk, self.database = service, front, disk, database
        self.carrier, self.livekit_server = carrier, livekit_server
        self._numbers = count(79990000000)

    async def fault(self, **fault: Any) -> None:
        """Order a fault at the vendors' stand-ins."""
        async with httpx.AsyncClient(base_url=self.service.sandbox_url, trust_env=False) as http:
            (await http.post("/control/faults", json=fault)).raise_for_status()

    def livekit(self, kind: str) -> None:
        """Give every request to LiveKit's API this answer from now on."""
        self.front.faults.add(Fault("livekit", kind, times=None))

    async def well(self) -> None:
        """Clear all ordered faults."""
        self.front.faults.clear()
        async with httpx.AsyncClient(base_url=self.service.sandbox_url, trust_env=False) as http:
            (await http.delete("/control/faults")).raise_for_status()

    def pid_of(self, worker: int) -> int:
        """The process of a worker, or of the service when there is only one."""
        lines = [json.loads(line) for line in self.service.log_lines() if line.startswith("{")]
        pids = [line["pid"] for line in lines if line["event"] == "worker.started" and line["worker"] == worker]
        return int(pids[-1]) if pids else self.service.process.pid

    @asynccontextmanager
    async def calls(
        self, stories: int, on_connected: Callable[[HeldCall], Awaitable[None]]
    ) -> AsyncIterator[list[HeldCall]]:
        """Seven of them, entered when every agent tells its first story, left when all are over.

        ``on_connected`` is told of each call before anything is said in it.
        """
        calls = [HeldCall(f"websocket-{number}") for number in range(WEBSOCKETS)]
        calls += [HeldCall(f"telephone-{number}") for number in range(TELEPHONES)]
        async with asyncio.TaskGroup() as tasks:
            for call in calls:
                tasks.create_task(self._hold(call, stories, on_connected), name=call.name)
            await self._until_all_are_answered(calls)
            yield calls

    async def watch(self, watched: Watched, began: float) -> None:
        """Ask for the health until cancelled."""
        clock = asyncio.get_running_loop().time
        async with self.service.client(limits=httpx.Limits(max_keepalive_connections=0), timeout=5) as http:
            while True:
                with suppress(httpx.HTTPError):
                    components = (await http.get("/health")).json()["components"]
                    ready = (await http.get("/health/ready")).is_success
                    _note(watched, components, ready, clock() - began)
                await asyncio.sleep(_LOOK_SECONDS)

    async def _hold(self, call: HeldCall, stories: int, on_connected: Callable[[HeldCall], Awaitable[None]]) -> None:
        told: asyncio.Queue[str] = asyncio.Queue(10)

        def on_event(event: CallerEvent) -> None:
            if isinstance(event, Connected):
                call.call_id = event.call_id
                told.put_nowait(event.call_id)

        async def order() -> None:
            await told.get()
            await on_connected(call)

        ordering = asyncio.get_running_loop().create_task(order(), name=f"{call.name}:order")
        options: dict[str, Any] = {"telephone": TELEPHONE} if call.is_by_telephone else {}
        try:
            async with self.service.caller(on_event=on_event, **options) as caller:
                if call.is_by_telephone:
                    number = f"+{next(self._numbers)}"
                    call.report = await caller.call_through(_score(stories, 0.0), lambda: self.carrier.dial(number))
                else:
                    call.report = await caller.call(_score(stories, _RING_SECONDS))
        except CallFailed as failure:
            call.report, call.failure = failure.report, str(failure)
        finally:
            ordering.cancel()
            await asyncio.wait([ordering])

    async def _until_all_are_answered(self, calls: list[HeldCall]) -> None:
        async with self.service.client(timeout=20) as http, asyncio.timeout(30):
            waiting = list(calls)
            while waiting:
                await asyncio.sleep(_LOOK_SECONDS)
                waiting = [call for call in waiting if not (call.call_id and await self._is_answered(http, call))]

    async def _is_answered(self, http: httpx.AsyncClient, call: HeldCall) -> bool:
        if call.failure:
            return True
        with suppress(httpx.HTTPStatusError):  # a session is no call yet
            call.journal = await journal_of(http, call.call_id)
        return any(row["type"] == "agent.reply_started" and row["turn"] for row in call.journal)

    async def read(self, calls: list[HeldCall]) -> None:
        """Wait for the records and journals of ended calls."""
        async with self.service.client(timeout=30) as http, asyncio.timeout(90):
            for call in calls:
                while call.record.get("status") != "ended":
                    with suppress(httpx.HTTPError):
                        call.record = (await http.get(f"/calls/{call.call_id}")).json()
                    await asyncio.sleep(0.05)
                call.journal = await journal_of(http, call.call_id)


def _score(stories: int, first: float) -> Score:
    turns = (step for _ in range(stories) for step in (says(QUESTION), waits_for_agent(0.9)))
    steps = (waits_for_agent(QUIET), waits(first), *turns, hangs_up())
    return Score("one fault", "ru", steps, ({"text": STORY},) * stories, 15)


def _note(watched: Watched, components: list[dict[str, Any]], ready: bool, after: float) -> None:
    for part in components:
        name, status = part["name"], part["status"]
        if status != "ok" and name not in watched.first:
            watched.first[name] = after, status
        elif status == "ok" and name in watched.first and name not in watched.back:
            watched.back[name] = max(after - (after if watched.over is None else watched.over), 0.0)
    if not ready and watched.unready is None:
        watched.unready = after


@asynccontextmanager
async def house(folder: Path, *, workers: int, profile: str, **settings: str) -> AsyncIterator[House]:
    """Run until the context exits. ``settings`` take precedence over those for the bench.

    Raises ServerMissing without livekit-server or Redis.
    """
    data = folder / "data"
    disk = bad_disk(data, folder)
    with livekit_server(folder) as server:
        carrier = Carrier(server.url, KEY, SECRET, _OUR_NUMBER, _PREFIX)
        async with (
            sandbox_process(profile) as sandbox,
            running_front(carrier, speak, sandbox_url=sandbox["url"]) as front,
        ):
            variables = {
                "ENVIRONMENT": "production",
                "IDLE_PROMPT_SECONDS": "100",
                "STALL_TURNS": "0",
                "LIVEKIT_API_KEY": KEY,
                "LIVEKIT_API_SECRET": SECRET,
                "LIVEKIT_API_URL": front.url,
                "LIVEKIT_URL": server.url,
                "LANGUAGE": "ru",
                "PORT": str(server.webhook_port),
                "ROOM_PREFIX": _PREFIX,
                "WORKERS": str(workers),
                **settings,
            }
            async with serving(data, sandbox, log_name="../service.log", **variables, **disk.environment) as service:
                yield House(service, front, carrier, disk, data / "calls.db", server.server)
                await service.terminate()
