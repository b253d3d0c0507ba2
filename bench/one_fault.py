"""Break one thing after another under seven calls: who notices, and what does the health say?

``python -m bench.one_fault``. Each round has five calls over websockets and two by telephone. While all agents tell a
story something breaks: LiveKit's API, a socket of a vendor, an answer of the model, the disk, a worker, the database. A
line of the table says what the struck calls noticed, what the others noticed, the longest gap in the sound of the
others, how late the callers themselves were at worst, what ``/health`` said after how many seconds, and the log.

A call notices a failed vendor (``provider.failed``), an end it did not ask for, or a gap of more than 40 ms. The status
is 1 when a call noticed that was not struck. Compare with the first line, in which nothing breaks: callers, telephones
and vendors run beside the service, and on a busy machine there are gaps without any fault. It needs livekit-server and
Redis, as the room tests do.
"""

import argparse
import asyncio
import json
import os
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.gaps import telephone_gap, websocket_gap
from bench.struck_house import HeldCall, House, Watched, house
from sandbox.caller.report import CallReport
from sandbox.vendors.faults import NAMED
from tests.support.databases import locked

GAP_SECONDS = 0.04
_AFTER_SECONDS = 1.5
"""How much longer than the calls the health is watched, at least."""
_STRUCK = "websocket-0"
_LATE = "the callers' own delay, ms"
_GAPS = "the others' longest gap, ms: websocket / telephone"

Breaking = Callable[[House, list[HeldCall]], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Round:
    """Something that breaks. Without ``order`` it breaks while all agents speak; an order waits for the struck call."""

    name: str
    breaking: Breaking | None = None
    order: dict[str, Any] | None = None
    stories: int = 1
    strikes: str = "one call"
    """``one call``, ``nobody`` or ``a worker``."""

    def is_struck(self, call: HeldCall, worker: int) -> bool:
        """Whether the call may notice."""
        return {"one call": call.name == _STRUCK, "nobody": False, "a worker": call.worker == worker}[self.strikes]


def _livekit(kind: str) -> Breaking:
    @asynccontextmanager
    async def breaking(here: House, _calls: list[HeldCall]) -> AsyncIterator[None]:
        here.livekit(kind)
        yield

    return breaking


def _signal(number: signal.Signals) -> Breaking:
    @asynccontextmanager
    async def breaking(here: House, calls: list[HeldCall]) -> AsyncIterator[None]:
        os.kill(here.pid_of(calls[0].worker), number)
        yield

    return breaking


@asynccontextmanager
async def _slow_disk(here: House, _calls: list[HeldCall]) -> AsyncIterator[None]:
    with here.disk.being("slow"):
        yield


def _lock(seconds: float) -> Breaking:
    @asynccontextmanager
    async def breaking(here: House, _calls: list[HeldCall]) -> AsyncIterator[None]:
        with locked(here.database):
            await asyncio.sleep(seconds)
            yield

    return breaking


ROUNDS: dict[str, tuple[int, list[Round]]] = {
    # group: workers, rounds
    "livekit": (1, [Round(f"LiveKit's API: {kind}", _livekit(kind), stories=3, strikes="nobody") for kind in
                    ("html", "hang", "server_error")]),
    "sockets": (1, [
        Round("Cartesia's socket: reset", order={"vendor": "cartesia", "kind": "socket_reset"}),
        Round("Cartesia's socket: garbage", order={"vendor": "cartesia", "kind": "garbage"}),
        Round("Cartesia's socket: bytes", order={"vendor": "cartesia", "kind": "binary_frame"}),
        Round("Deepgram's socket: cut", order={"vendor": "deepgram", "kind": "cut", "after_seconds": 3.0}),
    ]),
    "model": (1, [Round(f"model: {kind}", order={"vendor": "openai", "kind": kind, "times": None}) for kind in
                  NAMED["openai"]]),
    "machine": (1, [Round("disk: 2 s an access", _slow_disk, stories=2, strikes="nobody"),
                    Round("database locked: 20 s", _lock(20.0), stories=3, strikes="nobody")]),
    "workers": (2, [
        Round("LiveKit's API: html, two workers", _livekit("html"), stories=2, strikes="nobody"),
        Round("database locked: 20 s, two workers", _lock(20.0), stories=3, strikes="nobody"),
        Round("worker: SIGSTOP", _signal(signal.SIGSTOP), stories=2, strikes="a worker"),
        Round("worker: SIGKILL", _signal(signal.SIGKILL), stories=2, strikes="a worker"),
    ]),
}  # fmt: skip


@dataclass
class Outcome:
    """The outcome of a round."""

    round: Round
    calls: list[HeldCall]
    watched: Watched
    worker: int
    gaps: dict[str, float]
    logged: Counter[str]
    """Warnings and errors of the service, by their events."""

    @property
    def struck(self) -> list[HeldCall]:
        """The calls that may notice."""
        return [call for call in self.calls if self.round.is_struck(call, self.worker)]

    @property
    def others(self) -> list[HeldCall]:
        """The calls that must not notice."""
        return [call for call in self.calls if not self.round.is_struck(call, self.worker)]

    def noticed(self, call: HeldCall) -> list[str]:
        """What the caller noticed, or the record shows."""
        failed = [row["data"]["provider"] for row in call.journal if row["type"] == "provider.failed"]
        told = [f"{provider} failed" for provider in sorted(set(failed))]
        if call.record.get("end_reason") != "caller_hangup":
            told.append(str(call.record.get("end_reason")))
        elif call.failure:
            told.append(call.failure)
        if self.gaps.get(call.name, 0.0) > GAP_SECONDS:
            told.append(f"gap {self.gaps[call.name] * 1000:.0f} ms")
        return told


async def play(here: House, played: Round, calm: CallReport | None) -> Outcome:
    """Run one round. Everything works before and after it."""
    lines, watched = len(here.service.log_lines()), Watched()

    async def on_connected(call: HeldCall) -> None:
        if played.order is not None and call.name == _STRUCK:
            await here.fault(**played.order, call_id=call.call_id)

    calls = await _play_watched(here, played, watched, on_connected)
    logged = Counter(map(_trouble, here.service.log_lines()[lines:]))
    del logged[""]
    return Outcome(played, calls, watched, calls[0].worker, _gaps(calls, calm), logged)


async def _play_watched(
    here: House, played: Round, watched: Watched, on_connected: Callable[[HeldCall], Awaitable[None]]
) -> list[HeldCall]:
    clock = asyncio.get_running_loop().time
    async with asyncio.TaskGroup() as tasks:
        async with here.calls(played.stories, on_connected) as calls:
            began = clock()
            watching = tasks.create_task(here.watch(watched, began), name="watch")
            for call in calls:
                call.worker = _worker_of(here, call)
            broken = nullcontext() if played.breaking is None else played.breaking(here, calls)
            breaking = tasks.create_task(_break(broken), name="breaks")
        breaking.cancel()
        await asyncio.wait([breaking])
        await here.well()
        watched.over = clock() - began
        await here.read(calls)
        await asyncio.sleep(_AFTER_SECONDS)
        await _until_well(watched)
        watching.cancel()
    return calls


def _trouble(line: str) -> str:
    """The event of a warning or error in the log; empty for any other line."""
    told = json.loads(line) if line.startswith("{") else {"event": "a line that is none of the log", "level": "error"}
    what = "".join(f" {told[key]}" for key in ("loop", "kind", "provider") if key in told)
    return f"{told['event']}{what}" if told["level"] in ("warning", "error") else ""


async def _break(broken: AbstractAsyncContextManager[None]) -> None:
    """Run until cancelled."""
    async with broken:
        await asyncio.get_running_loop().create_future()


async def _until_well(watched: Watched) -> None:
    for _ in range(100):
        if set(watched.first) <= set(watched.back):
            return
        await asyncio.sleep(0.1)


def _worker_of(here: House, call: HeldCall) -> int:
    with closing(sqlite3.connect(here.database)) as database:
        found = database.execute("SELECT owner FROM calls WHERE call_id = ?", (call.call_id,)).fetchone()
    return int(str(found[0]).partition(".worker")[2].partition("-")[0] or 0) if found else 0


def _gaps(calls: list[HeldCall], calm: CallReport | None) -> dict[str, float]:
    gaps: dict[str, float] = {}
    for call in calls:
        if call.report is None:
            continue
        if call.is_by_telephone:
            gaps[call.name] = telephone_gap(call.report, calm) if calm is not None else 0.0
        else:
            said = sum(row["type"] == "agent.reply_started" for row in call.journal)
            gaps[call.name] = websocket_gap(call.report, said)
    return gaps


async def play_all(groups: list[str], only: str, profile: str) -> list[Outcome]:
    """Every round of the groups whose name has ``only`` in it, after a calm one for each service."""
    outcomes: list[Outcome] = []
    for workers in (1, 2):
        rounds = [
            each for name in groups for each in ROUNDS[name][1] if ROUNDS[name][0] == workers and only in each.name
        ]
        if not rounds:
            continue
        with tempfile.TemporaryDirectory() as path:
            async with house(Path(path), workers=workers, profile=profile) as here:
                await play(here, Round("warm", strikes="nobody"), None)
                calm = (await play(here, Round("calm", strikes="nobody"), None)).calls[-1].report
                for each in [Round(f"nothing, {workers} worker(s)", stories=2, strikes="nobody"), *rounds]:
                    outcomes.append(await play(here, each, calm))
                    print("\t".join(_row(outcomes[-1])), flush=True)
    return outcomes


def _row(outcome: Outcome) -> list[str]:
    struck = Counter(", ".join(outcome.noticed(call)) or "nothing" for call in outcome.struck)
    others = Counter(", ".join(outcome.noticed(call)) for call in outcome.others if outcome.noticed(call))
    longest = {
        kind: max(
            (outcome.gaps.get(call.name, 0.0) for call in outcome.others if call.is_by_telephone is kind), default=0
        )
        for kind in (False, True)
    }
    late = max((call.report.lateness.maximum for call in outcome.calls if call.report is not None), default=0.0)
    return [
        outcome.round.name,
        _counted(struck) or "-",
        _counted(others) or "nothing",
        f"{longest[False] * 1000:.0f} / {longest[True] * 1000:.0f}",
        f"{late * 1000:.0f}",
        _health(outcome.watched) or "ok",
        _counted(outcome.logged) or "-",
    ]


def _counted(things: Counter[str]) -> str:
    return "; ".join(f"{number} x {thing}" for thing, number in things.items())


def _health(watched: Watched) -> str:
    told = [
        f"{name} {status} after {after:.1f} s, ok {watched.back[name]:.1f} s after it was over"
        if name in watched.back
        else f"{name} {status} after {after:.1f} s"
        for name, (after, status) in watched.first.items()
    ]
    return "; ".join([*told, *([f"not ready after {watched.unready:.1f} s"] if watched.unready is not None else [])])


def main() -> None:
    """Play, print, and exit with 1 when a call noticed that was not struck."""
    parser = argparse.ArgumentParser(prog="python -m bench.one_fault", description=__doc__)
    parser.add_argument("--groups", nargs="*", default=list(ROUNDS), choices=list(ROUNDS))
    parser.add_argument("--only", default="", help="rounds with this in their name")
    parser.add_argument("--profile", default="instant", help="how fast the vendors are")
    given = parser.parse_args()
    outcomes = asyncio.run(play_all(given.groups, given.only, given.profile))
    table = Table("what broke", "the struck noticed", "the others noticed", _GAPS, _LATE, "health", "log")
    for outcome in outcomes:
        table.add_row(*_row(outcome))
    Console(width=180).print(table)
    sys.exit(1 if any(outcome.noticed(call) for outcome in outcomes for call in outcome.others) else 0)


if __name__ == "__main__":
    main()
