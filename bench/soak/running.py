"""Runs the soak: rounds of calls under faults, and after each a rest in which everything must come back.

Task ledger.

``caller-<n>``  one caller, call after call. Ends with the round.
``faults``      orders one fault after another. Ends with the round.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx

from app.clock import utc_now
from bench.fault_matrix.cells import KINDS
from bench.soak.callers import Call, drawn
from bench.soak.figures import Figures, measured
from bench.struck_house import house
from sandbox.caller.events import CallerEvent, Connected
from sandbox.caller.media_client import CallFailed
from sandbox.caller.report import CallReport
from sandbox.carrier.carrier import TELEPHONE, Carrier
from sandbox.child_server import ServerMissing
from tests.end_to_end.calls import journal_of
from tests.end_to_end.processes import ServiceProcess, sandbox_process, serving
from tests.end_to_end.silences import longest_silence

SILENCE_SECONDS: Final = 2.0
_ROUND_SECONDS = 60.0
_REST_SECONDS = 90.0
"""How long the service may take to come to rest after a round."""
_LATE_SECONDS = 0.25
"""Frames of a caller that were later than this: the machine was too busy to judge the call."""
_PROCESSES = 3
"""A turn passes through the caller, the service and the vendors' stand-ins; each may be as late as the caller was."""
_TELEPHONES_OF = 3
"""Every third caller calls by telephone, where there is a room."""
_FAULTS_TOLD = 12
_VENDORS: Final = ("deepgram", "openai", "cartesia")
_WHOLE_VENDOR = 0.3
"""The share of faults that strike every call."""
_BAD_ENDS: Final = (None, "internal_error", "crashed")


class Found(Exception):
    """What must not be; ``journal`` is that of its call, if it is one's. ``faults`` are the last ones."""

    def __init__(
        self, what: str, journal: list[dict[str, Any]] | None = None, report: CallReport | None = None
    ) -> None:
        self.journal = journal or []
        self.heard = [] if report is None else list(_told(report))
        """What the call was for its caller, a line each, in the order of time."""
        self.faults: list[tuple[str, dict[str, Any] | None]] = []
        super().__init__(what)


@dataclass
class Place:
    """The service and what stands around it."""

    service: ServiceProcess
    data: Path
    carrier: Carrier | None
    """None: without a room, all callers come over websockets."""

    async def order(self, fault: dict[str, Any]) -> None:
        """Order a fault at the vendors' stand-ins."""
        async with httpx.AsyncClient(base_url=self.service.sandbox_url, trust_env=False) as http:
            (await http.post("/control/faults", json=fault)).raise_for_status()

    async def well(self) -> None:
        """Clear all faults."""
        async with httpx.AsyncClient(base_url=self.service.sandbox_url, trust_env=False) as http:
            (await http.delete("/control/faults")).raise_for_status()


@dataclass
class Soak:
    """The calls so far, and the figures of each rest."""

    place: Place
    seed: int
    callers: int
    samples: list[Figures] = field(default_factory=list)
    held: Counter[str] = field(default_factory=Counter)
    """Calls by their kind."""
    ordered: Counter[str] = field(default_factory=Counter)
    """Faults by their kind."""
    longest: float = 0.0
    """The longest silence that nobody owned, in seconds."""
    too_busy: int = 0
    """Calls whose silences the machine was too busy to measure."""
    _faults: deque[tuple[str, dict[str, Any] | None]] = field(default_factory=lambda: deque(maxlen=_FAULTS_TOLD))
    """The time of an order, and what was ordered; None: that all be well."""
    _live: dict[int, str] = field(default_factory=dict)
    _ended: list[str] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: count(79990000000))

    async def run(self, seconds: float) -> AsyncIterator[Figures]:
        """Yield the figures of each rest. Raises Found."""
        clock = asyncio.get_running_loop().time
        began = clock()
        for number in count():
            left = seconds - (clock() - began)
            if left <= 0:
                return
            await self._round(number, min(_ROUND_SECONDS, left))
            self.samples.append(await self._rest(clock() - began))
            yield self.samples[-1]

    async def _round(self, number: int, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.TaskGroup() as tasks:
                callers = [
                    tasks.create_task(self._call_again_and_again(number, each, until), name=f"caller-{each}")
                    for each in range(self.callers)
                ]
                faults = tasks.create_task(self._trouble(number), name="faults")
                await asyncio.wait(callers)
                faults.cancel()
        except* Found as found:
            told = found.exceptions[0]
            if isinstance(told, Found):
                told.faults = list(self._faults)
            raise told from None
        await self._well()

    async def _call_again_and_again(self, number: int, caller: int, until: float) -> None:
        chance = Random(f"{self.seed} {number} caller {caller}")  # noqa: S311 - not a secret
        carrier = self.place.carrier if caller % _TELEPHONES_OF == _TELEPHONES_OF - 1 else None
        while asyncio.get_running_loop().time() < until:
            call = drawn(chance, None if carrier is None else TELEPHONE)
            await self._hold(caller, call, carrier)

    async def _hold(self, caller: int, call: Call, carrier: Carrier | None) -> None:
        def on_event(event: CallerEvent) -> None:
            if isinstance(event, Connected):
                self._live[caller] = event.call_id

        failure, report = "", None
        async with self.place.service.caller(on_event=on_event, telephone=call.telephone) as phone:
            try:
                if carrier is None:
                    report = await phone.call(call.score)
                else:
                    number = f"+{next(self._numbers)}"
                    report = await phone.call_through(call.score, lambda: carrier.dial(number))
            except CallFailed as failed:
                failure, report = str(failed), failed.report
        self.held[call.kind] += 1
        call_id = self._live.pop(caller, "")
        self._ended += [call_id] if call_id else []
        if report is not None and report.lateness.maximum > _LATE_SECONDS:
            self.too_busy += 1
            return
        if failure or report is None:
            why = failure or "it did not begin"
            raise Found(f"{call.kind} {call_id}: {why}", await self._journal(call_id), report)
        await self._listen(call, report)

    async def _listen(self, call: Call, report: CallReport) -> None:
        if not call.owes_turns:
            return
        journal = list(report.events) or await self._journal(report.call_id)
        silence = longest_silence(report, journal)
        self.longest = max(self.longest, silence)
        if silence > SILENCE_SECONDS + _PROCESSES * report.lateness.maximum:
            what = f"{call.kind} {report.call_id}: {silence:.1f} s of silence that nobody owns"
            raise Found(what, journal, report)

    async def _trouble(self, number: int) -> None:
        """One fault at a time: any one vendor may be down."""
        chance = Random(f"{self.seed} {number} faults")  # noqa: S311 - not a secret
        while True:
            await asyncio.sleep(chance.uniform(1, 5))
            name, vendor = chance.choice(sorted(KINDS)), chance.choice(_VENDORS)
            strikes_all, times = chance.random() < _WHOLE_VENDOR, chance.choice([1, None])
            live = sorted(self._live.values())
            fault = {"vendor": vendor, "kind": KINDS[name].kind, "times": times, "in_progress": True}
            if live and not strikes_all:
                fault["call_id"] = chance.choice(live)
            await self._order({**fault, **KINDS[name].more})
            self.ordered[name] += 1
            await asyncio.sleep(chance.uniform(2, 8))
            await self._well()

    async def _order(self, fault: dict[str, Any]) -> None:
        self._faults.append((utc_now().isoformat(timespec="milliseconds"), fault))
        await self.place.order(fault)

    async def _well(self) -> None:
        self._faults.append((utc_now().isoformat(timespec="milliseconds"), None))
        await self.place.well()

    async def _rest(self, at: float) -> Figures:
        """Wait until no call is live, look at all records, erase them, and read the figures."""
        async with self.place.service.client(timeout=30) as http:
            try:
                async with asyncio.timeout(_REST_SECONDS):
                    while _calls_active(metrics := (await http.get("/metrics")).text):  # noqa: ASYNC110 - another process
                        await asyncio.sleep(0.5)
                    for call_id in self._ended:
                        await self._look_at_record(http, call_id)
            except TimeoutError:
                raise Found(f"calls that do not end: {_calls_active(metrics):g}") from None
            for call_id in self._ended:
                (await http.delete(f"/calls/{call_id}")).raise_for_status()
            self._ended.clear()
            await asyncio.sleep(2)
            metrics = (await http.get("/metrics")).text
        return measured(at, self.place.service.process.pid, metrics, self.place.data)

    async def _look_at_record(self, http: httpx.AsyncClient, call_id: str) -> None:
        while (record := (await http.get(f"/calls/{call_id}")).json()).get("status") != "ended":  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        if record["end_reason"] in _BAD_ENDS:
            raise Found(f"{call_id} ended as {record['end_reason']}", await journal_of(http, call_id))

    async def _journal(self, call_id: str) -> list[dict[str, Any]]:
        async with self.place.service.client(timeout=30) as http:
            with suppress(httpx.HTTPError):
                return await journal_of(http, call_id)
        return []


def _told(report: CallReport) -> Iterator[str]:
    """What the caller heard and did, with times since the line was ready, which is ``call.answered`` of the journal."""
    agent = [(span.start, span.end, "the agent speaks") for span in report.agent_spans]
    caller = [(step.started_at, step.ended_at, f"the caller: {step.kind}") for step in report.steps]
    for start, end, what in sorted([*agent, *caller]):
        yield f"{start:7.2f} to {end:7.2f}: {what}"
    end = f"{report.ended_at:7.2f}: ended by the {report.ended_by}, {report.end_reason}"
    yield f"{end}; {report.format}, frames up to {report.lateness.maximum:.2f} s late"


def _calls_active(metrics: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in metrics.splitlines() if line.startswith("voice_calls_active"))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Place]:
    """The service with a room where a livekit-server is there, else without one."""
    try:
        async with house(folder, workers=1, profile="typical", IDLE_PROMPT_SECONDS="8", TTS_SPEED="1.0") as here:
            yield Place(here.service, folder / "data", here.carrier)
            return
    except ServerMissing as missing:
        print(f"Without telephones: {missing}")
    async with sandbox_process("typical") as sandbox:
        settings = {"STALL_TURNS": "0", "TTS_SPEED": "1.0"}
        async with serving(folder / "data", sandbox, log_name="../service.log", **settings) as service:
            yield Place(service, folder / "data", None)
            await service.terminate()
