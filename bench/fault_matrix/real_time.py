"""Holds the calls of a cell in which LiveKit, the database or the disk breaks, in real time.

The service is a process of its own, as ``voice-agent serve`` starts it; a livekit-server runs beside it. The struck
call comes by telephone, through a room, and the other one over a websocket.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx

from bench.fault_matrix.cells import Cell
from bench.fault_matrix.holding import (
    AGENT,
    SETTLES_SECONDS,
    TOOL_SECONDS,
    Lived,
    Outcome,
    Progress,
    lived_from,
    score_of,
)
from bench.struck_house import House, house
from sandbox.caller.events import CallerEvent
from sandbox.caller.media_client import CallFailed
from sandbox.caller.report import CallReport
from sandbox.caller.score import Score, waits_for_agent
from sandbox.carrier.carrier import TELEPHONE
from tests.end_to_end.calls import Held, journal_of
from tests.end_to_end.strikes import stopped
from tests.support.databases import locked
from tests.support.tool_endpoint import Says, ToolEndpoint, tool_endpoint

_NUMBER = "+79990000001"
_ENDS_SECONDS = 60.0
_ASK_LIVEKIT = ('loop="rooms.reconciler"',)
"""Loops that fail as long as LiveKit does, as they should."""
_WARM_SECONDS = 10.0
"""In which a service has its phrases voiced."""


def hold_in_real_time(cell: Cell, folder: Path) -> Outcome:
    """Hold the cell's calls; ``folder`` is empty. Raises ServerMissing without livekit-server or Redis."""
    return asyncio.run(_hold(cell, folder))


async def _hold(cell: Cell, folder: Path) -> Outcome:
    async with tool_endpoint(Says(after=TOOL_SECONDS)) as endpoint:
        agent = folder / "clinic.yaml"
        agent.write_text(AGENT % endpoint.url, encoding="utf-8")
        settings = {"AGENT_PROMPT_FILE": str(agent), "TTS_SPEED": "1.0", "IDLE_PROMPT_SECONDS": "8"}
        async with house(folder, workers=1, profile="typical", **settings) as here, AsyncExitStack() as strikes:
            if cell.start == "warm":
                await _warm(here)
            strike = _Strike(cell, here, strikes)
            if cell.is_from_the_start:
                await strike.once()
            struck, other = await _both(cell, here, endpoint, strike)
            await strikes.aclose()
            await here.well()
            await asyncio.sleep(SETTLES_SECONDS)
            return Outcome(
                cell, await _lived(here, *struck), await _lived(here, *other), strike.strikes, await _left(cell, here)
            )


class _Strike:
    """Breaks what the cell says, once; it is mended when ``strikes`` is closed."""

    def __init__(self, cell: Cell, here: House, strikes: AsyncExitStack) -> None:
        self._cell, self._here, self._strikes = cell, here, strikes
        self._faults: list[Any] = []
        self._own = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def strikes(self) -> int:
        """How many requests were struck, or how often the part was."""
        return self._own + sum(fault.struck for fault in self._faults)

    async def once(self) -> None:
        """Break it; returns as soon as it is broken."""
        if self._own or self._faults:
            return
        if self._cell.place.vendor is not None:
            fault = self._cell.fault("")
            self._faults.append(fault)
            self._here.front.faults.add(fault)
            broken = AsyncExitStack()
            broken.callback(self._here.front.faults.remove, fault)
        else:
            self._own += 1
            broken = await BREAKS[self._cell.interface, self._cell.kind](self._here)
        self._strikes.push_async_callback(broken.aclose)
        if self._cell.way.seconds is not None:
            mending = asyncio.get_running_loop().create_task(self._mend(broken, self._cell.way.seconds), name="mends")
            self._tasks.add(mending)
            self._strikes.callback(mending.cancel)

    async def _mend(self, broken: AsyncExitStack, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await broken.aclose()


async def _lock(here: House) -> AsyncExitStack:
    broken = AsyncExitStack()
    broken.enter_context(locked(here.database))
    return broken


def _disk(what: Any) -> Callable[[House], Awaitable[AsyncExitStack]]:
    async def breaks(here: House) -> AsyncExitStack:
        broken = AsyncExitStack()
        broken.enter_context(here.disk.being(what))
        return broken

    return breaks


async def _stop_room(here: House) -> AsyncExitStack:
    broken = AsyncExitStack()
    if (process := here.livekit_server.process) is not None:
        broken.enter_context(stopped(process.pid))
    return broken


async def _end_room(here: House) -> AsyncExitStack:
    here.livekit_server.kill()
    return AsyncExitStack()


async def _restart_room(here: House) -> AsyncExitStack:
    here.livekit_server.kill()
    await asyncio.to_thread(here.livekit_server.start)
    return AsyncExitStack()


BREAKS: dict[tuple[str, str], Callable[[House], Awaitable[AsyncExitStack]]] = {
    ("room", "hangs"): _stop_room,
    ("room", "back-after-5s"): _stop_room,
    ("room", "cuts"): _restart_room,
    ("room", "down"): _end_room,
    ("database", "hangs"): _lock,
    ("database", "back-after-5s"): _lock,
    ("disk", "refuses"): _disk("full"),
    ("disk", "back-after-5s"): _disk("full"),
    ("disk", "late"): _disk("slow"),
}
"""How each part breaks. What is returned mends it."""


async def _warm(here: House) -> None:
    """Hold an empty call, for which the service prepares the phrases of its format."""
    async with here.service.caller() as caller:
        await caller.call(Score("warm", "ru", (waits_for_agent(0.5),), (), 20))
    await asyncio.sleep(_WARM_SECONDS)


async def _both(
    cell: Cell, here: House, endpoint: ToolEndpoint, strike: _Strike
) -> tuple[tuple[CallReport | None, str], tuple[CallReport | None, str]]:
    progress, loop = Progress(), asyncio.get_running_loop()
    striking: set[asyncio.Task[None]] = set()

    async def soon(seconds: float) -> None:
        await asyncio.sleep(seconds)
        await strike.once()

    def on_event(event: CallerEvent) -> None:
        if (after := progress.reached(event, cell.moment)) is not None:
            striking.add(loop.create_task(soon(after), name="strike"))

    async def when_a_tool_is_called() -> None:  # a telephone shows no journal
        if cell.moment == "tool":
            await endpoint.arrived()
            await strike.once()

    striking.add(loop.create_task(when_a_tool_is_called(), name="strike.tool"))
    async with asyncio.TaskGroup() as tasks:
        struck = tasks.create_task(_call(here, on_event, telephone=TELEPHONE), name="struck")
        other = tasks.create_task(_call(here, lambda _event: None), name="other")
    for task in striking:
        task.cancel()
    await asyncio.wait(striking)
    return struck.result(), other.result()


async def _call(here: House, on_event: Callable[[CallerEvent], None], **options: Any) -> tuple[CallReport | None, str]:
    """The report, None when there was no call; and what the caller complains of."""
    score = score_of("ru")
    try:
        async with here.service.caller(on_event=on_event, **options) as caller:
            if options:
                return await caller.call_through(score, lambda: here.carrier.dial(_NUMBER)), ""
            return await caller.call(score), ""
    except CallFailed as failed:
        return failed.report, str(failed)


async def _lived(here: House, report: CallReport | None, complaint: str) -> Lived:
    if report is None:
        return Lived(complaint=complaint)
    record: dict[str, Any] = {}
    async with here.service.client(timeout=30) as http, asyncio.timeout(_ENDS_SECONDS):
        while record.get("status") != "ended":
            with suppress(httpx.HTTPError):
                record = (await http.get(f"/calls/{report.call_id}")).raise_for_status().json()
            await asyncio.sleep(0.05)
        journal = await journal_of(http, report.call_id)
    return lived_from(Held(report, record, journal), report, complaint, "ru")


async def _left(cell: Cell, here: House) -> list[str]:
    async with here.service.client(timeout=30) as http:
        shown = (await http.get("/metrics")).text
    values = dict(line.rsplit(" ", 1) for line in shown.splitlines() if line and not line.startswith("#"))
    wanted = ("voice_calls_active", "voice_loop_failures_total")
    found = [f"{name} {value}" for name, value in values.items() if float(value) and name.startswith(wanted)]
    asks_livekit = _ASK_LIVEKIT if cell.interface in ("livekit-api", "room") else ()
    return [f"metric: {each}" for each in found if not any(name in each for name in asks_livekit)]
