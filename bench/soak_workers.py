"""Strike workers at random for minutes: does a call end that was not struck? ``python -m bench.soak_workers``.

A service of three workers against the sandbox, with callers who stay for a while and call again. Meanwhile workers are
stopped, for a moment or for good, and killed; the supervisor is stopped; a stranger holds the database for up to 20 s;
the wall clock steps by an hour. All of it follows from the seed. The status is 1 when a call ended whose worker was
well.

Task ledger.

``caller-<n>``  one caller, call after call. Ends with the time.
``signals``     strikes workers. Ends with the time.
``world``       holds the database, sets the clock, stops the supervisor. Ends with the time.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.end_to_end.lines import START, Line, opened
from tests.end_to_end.processes import ServiceProcess, sandbox_process, serving
from tests.support.wall_clock import WallClock

WORKERS = 3
_LONGEST_MOMENT = 1.5
"""A worker that is stopped for this long does not count as hanging."""
_STORED_LOOKS = 300
"""Looks, ten a second: the last rows may wait for a locked database."""
_LATE_SECONDS = 3.0
"""A strike this long before a call began may still have ended it."""


@dataclass(frozen=True, slots=True)
class Strike:
    """A worker was stopped for good, or killed."""

    at: float
    worker: int
    how: str


@dataclass(slots=True)
class HeldCall:
    """One call of one caller. Times are the loop's clock."""

    call_id: str
    worker: int
    began: float
    ended: float = 0.0
    """When that was stored, which a locked database delays: until then a strike may still lose it."""
    left: bool = False
    """Whether the caller ended it."""
    code: int = 0
    reason: str | None = None


class Soak:
    """Strikes the service and follows its calls."""

    def __init__(self, service: ServiceProcess, folder: Path, clock: WallClock, seed: int, seconds: float) -> None:
        self._service, self._folder, self._clock = service, folder, clock
        self._seed = seed
        self._until = asyncio.get_running_loop().time() + seconds
        self.calls: list[HeldCall] = []
        self.strikes: list[Strike] = []
        self.done: Counter[str] = Counter()
        self.not_taken = 0

    @property
    def _is_over(self) -> bool:
        return asyncio.get_running_loop().time() > self._until

    async def run(self, callers: int) -> None:
        """Run until the time is over. Leaves the service with nothing wrong."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(callers):
                tasks.create_task(self._call_again_and_again(number), name=f"caller-{number}")
            await asyncio.sleep(5)
            tasks.create_task(self._strike_workers(), name="signals")
            tasks.create_task(self._trouble_the_world(), name="world")

    # --- callers ------------------------------------------------------------------------------------------------------

    async def _call_again_and_again(self, number: int) -> None:
        chance = random.Random(f"{self._seed} caller {number}")  # noqa: S311 - not a secret
        while not self._is_over:
            try:
                await self._call(chance.uniform(15, 90))
            except (httpx.HTTPError, OSError, InvalidHandshake, ConnectionClosed, TimeoutError):
                self.not_taken += 1
            await asyncio.sleep(1)

    async def _call(self, seconds: float) -> None:
        async with self._service.client(timeout=30) as http:
            session = (await http.post("/media/sessions")).raise_for_status().json()
        async with opened(session["url"], session["call_id"]) as line:
            await line.send(START)
            async with asyncio.timeout(30):
                await line.until("ready")
            clock = asyncio.get_running_loop().time
            call = HeldCall(line.call_id, self._worker_of(line.call_id), clock())
            self.calls.append(call)
            await self._stay(line, call, min(seconds, self._until - clock()))
        await self._note_reason(call)
        call.ended = clock()

    async def _stay(self, line: Line, call: HeldCall, seconds: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            silence = tasks.create_task(line.be_silent(seconds + 60), name="silence")
            closed = tasks.create_task(line.closed(), name="closed")
            await asyncio.wait([closed], timeout=max(seconds, 0.0))
            call.left = not closed.done()
            call.code = closed.result() if closed.done() else 0
            silence.cancel()
            closed.cancel()

    def _worker_of(self, call_id: str) -> int:
        owner = str(self._one("SELECT owner FROM calls WHERE call_id = ?", call_id))
        return int(owner.partition(".worker")[2].partition("-")[0])

    async def _note_reason(self, call: HeldCall) -> None:
        """Wait until the end of the call is stored, and return it."""
        for _ in range(_STORED_LOOKS):
            reason = self._one("SELECT end_reason FROM calls WHERE call_id = ?", call.call_id)
            if reason is not None:
                call.reason = str(reason)
                return
            await asyncio.sleep(0.1)

    def _one(self, statement: str, call_id: str) -> object:
        connection = sqlite3.connect(self._folder / "calls.db")
        try:
            return connection.execute(statement, (call_id,)).fetchone()[0]
        finally:
            connection.close()

    # --- trouble ------------------------------------------------------------------------------------------------------

    async def _strike_workers(self) -> None:
        chance = random.Random(f"{self._seed} signals")  # noqa: S311 - not a secret
        while not self._is_over:
            worker, how = chance.randint(1, WORKERS), chance.choice(["kill", "hang", "moment", "moment"])
            pid, now = self._pid_of(worker), asyncio.get_running_loop().time()
            self._note(how, f"worker {worker}")
            with suppress(ProcessLookupError):
                if how == "moment":
                    os.kill(pid, signal.SIGSTOP)
                    await asyncio.sleep(chance.uniform(0.1, _LONGEST_MOMENT))
                    os.kill(pid, signal.SIGCONT)
                else:
                    self.strikes.append(Strike(now, worker, how))
                    os.kill(pid, signal.SIGKILL if how == "kill" else signal.SIGSTOP)
            await asyncio.sleep(chance.uniform(4, 14))

    async def _trouble_the_world(self) -> None:
        chance = random.Random(f"{self._seed} world")  # noqa: S311 - not a secret
        troubles: dict[str, Callable[[random.Random], Awaitable[None]]] = {
            "lock": self._lock,
            "clock": self._step,
            "supervisor": self._stop_supervisor,
        }
        while not self._is_over:
            name = chance.choice(["lock", "lock", "clock", "supervisor"])
            await troubles[name](chance)
            await asyncio.sleep(chance.uniform(2, 10))
        self._clock.set(0.0)

    async def _lock(self, chance: random.Random) -> None:
        seconds = chance.uniform(1, 20)
        self._note("lock", f"{seconds:.1f} s")
        connection = sqlite3.connect(self._folder / "calls.db", isolation_level=None, timeout=0)
        try:
            while True:
                with suppress(sqlite3.OperationalError):
                    connection.execute("BEGIN IMMEDIATE")
                    break
                await asyncio.sleep(0.005)
            await asyncio.sleep(seconds)
            connection.execute("ROLLBACK")
        finally:
            connection.close()

    async def _step(self, chance: random.Random) -> None:
        hours = chance.choice([-1, 0, 1])
        self._note("clock", f"{hours:+} h")
        self._clock.set(hours * 3600.0)

    async def _stop_supervisor(self, chance: random.Random) -> None:
        seconds = chance.uniform(1, 8)
        self._note("supervisor", f"{seconds:.1f} s")
        self._service.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self._service.process.send_signal(signal.SIGCONT)

    def _pid_of(self, worker: int) -> int:
        started = [line for line in self.logged("worker.started") if line["worker"] == worker]
        return int(str(started[-1]["pid"]))

    def _note(self, what: str, detail: str) -> None:
        self.done[what] += 1
        left = self._until - asyncio.get_running_loop().time()
        print(f"{left:6.1f} s left: {what} {detail}", flush=True)

    # --- what came of it ----------------------------------------------------------------------------------------------

    def logged(self, event: str) -> list[dict[str, object]]:
        """The lines of the service's log with that event."""
        return [line for line in map(json.loads, self._service.log_lines()) if line["event"] == event]

    def was_struck(self, call: HeldCall) -> bool:
        """Whether the call's own worker was stopped for good, or killed, while it lasted."""
        return any(
            strike.worker == call.worker and call.began - _LATE_SECONDS < strike.at < call.ended
            for strike in self.strikes
        )

    def wrongly_ended(self) -> list[HeldCall]:
        """Calls that neither their caller nor a strike has ended."""
        well = (call for call in self.calls if not self.was_struck(call))
        return [call for call in well if not call.left or call.reason != "caller_hangup"]


async def soak(seed: int, minutes: float, callers: int) -> Soak:
    """Run the whole test in a temporary folder."""
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        clock = WallClock(folder)
        settings = {"WORKERS": str(WORKERS), "IDLE_PROMPT_SECONDS": "1000", "STALL_TURNS": "0", "RECORDING": "false"}
        async with (
            sandbox_process() as sandbox,
            serving(folder, sandbox, **settings, **clock.variables) as service,
        ):
            done = Soak(service, folder, clock, seed, minutes * 60)
            await done.run(callers)
            _show(done)
            await service.terminate()
            return done


def _show(done: Soak) -> None:
    ended = Table("how a call ended", "worker struck", "worker well", title=f"{len(done.calls)} calls")
    kinds = sorted({(call.left, call.reason or "not ended") for call in done.calls})
    for left, reason in kinds:
        same = [call for call in done.calls if (call.left, call.reason or "not ended") == (left, reason)]
        struck = sum(map(done.was_struck, same))
        ended.add_row(f"{reason}{', the caller left' if left else ''}", str(struck), str(len(same) - struck))
    console = Console()
    console.print(ended)
    console.print("done:", dict(done.done), "attempts that were not taken:", done.not_taken)
    console.print("workers replaced:", Counter(str(line["reason"]) for line in done.logged("worker.died")))
    for call in done.wrongly_ended():
        console.print("WRONGLY ENDED", call)


def main() -> None:
    """Run, print, and exit with 1 when a call ended whose worker was well."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak_workers", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--calls", type=int, default=6, help="callers at once")
    given = parser.parse_args()
    done = asyncio.run(soak(given.seed, given.minutes, given.calls))
    sys.exit(1 if done.wrongly_ended() else 0)


if __name__ == "__main__":
    main()
