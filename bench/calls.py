"""The latency that the service adds to calls, and what they cost: ``python -m bench.calls``.

The service has a core of its own; callers and vendors share another. Of the time between the vendor's end of a turn and
the first sound at the caller's end, what the vendors took is not counted. A row is void when the load side could not
keep up: its core was busier than 80 %, or the frames of its callers were later than 5 ms (p99).
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.load import Load
from bench.metrics import loop_lag
from bench.pinned import LOAD_CORE, Pinned, cpu_seconds, sandbox, service
from sandbox.vendors.added_latency import added_latencies

_SETTLES_SECONDS = 5.0
_BUSY_MAX, _LATE_MAX = 0.80, 0.005


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Milliseconds unless the name says otherwise; None where nothing was measured."""

    calls: int
    answers: int
    added_p50: float | None
    added_p95: float | None
    added_p99: float | None
    cpu_seconds_per_call_minute: float
    memory_mb_per_call: float
    loop_lag_p50: float | None
    loop_lag_p99: float | None
    greeting_p50: float | None
    greeting_p95: float | None
    pause_p50: float | None
    pause_p95: float | None
    unanswered: int
    load_core_busy: float
    frames_late_p99: float
    void: str
    """Why the row is void; empty when it is valid."""


async def measure(count: int, seconds: float, server: Pinned, vendors: Pinned) -> Row:
    """Hold ``count`` calls at once for ``seconds``."""
    empty = server.resident_bytes()
    load = Load(server.url, vendors.url)
    async with load.running(count):
        await asyncio.sleep(_SETTLES_SECONDS)
        lag_before, server_before, load_before = loop_lag(server.url), server.cpu_seconds(), _load_cpu(vendors)
        load.late.clear()
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
        took = asyncio.get_running_loop().time() - began
        cpu, busy = server.cpu_seconds() - server_before, (_load_cpu(vendors) - load_before) / took
        late = percentile(load.late, 0.99) or 0.0  # now: reading what came of the calls makes the load itself late
        lag = loop_lag(server.url).since(lag_before)
        memory = server.resident_bytes() - empty
        added = [
            seconds for call in load.calls for seconds in added_latencies(call.heard.answers, await load.timings(call))
        ]
    heard = [call.heard for call in load.calls]
    greetings = [each.greeted_after for each in heard if each.greeted_after is not None]
    pauses = [after for each in heard for after in each.paused_after]
    return Row(
        calls=count,
        answers=len(added),
        added_p50=_ms(added, 0.50),
        added_p95=_ms(added, 0.95),
        added_p99=_ms(added, 0.99),
        cpu_seconds_per_call_minute=cpu / count / (took / 60),
        memory_mb_per_call=memory / count / 1e6,
        loop_lag_p50=lag.percentile_ms(0.50),
        loop_lag_p99=lag.percentile_ms(0.99),
        greeting_p50=_ms(greetings, 0.50),
        greeting_p95=_ms(greetings, 0.95),
        pause_p50=_ms(pauses, 0.50),
        pause_p95=_ms(pauses, 0.95),
        unanswered=sum(each.unanswered for each in heard),
        load_core_busy=busy,
        frames_late_p99=late * 1000,
        void=_void(busy, late),
    )


async def totals(count: int, seconds: float, server: Pinned, vendors: Pinned) -> list[float]:
    """Seconds from the caller's last sound to the answer, from the records of ``count`` calls at once."""
    load = Load(server.url, vendors.url)
    async with load.running(count):
        await asyncio.sleep(_SETTLES_SECONDS + seconds)
        records = [await load.record(call) for call in load.calls]
    return [turn["latency"]["total"] for record in records for turn in record["turns"] if turn["latency"]]


def percentile(values: Sequence[float], share: float) -> float | None:
    """The quantile of the values; None without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def _ms(values: Sequence[float], share: float) -> float | None:
    found = percentile(values, share)
    return None if found is None else found * 1000


def _void(busy: float, late: float) -> str:
    reasons = []
    if busy > _BUSY_MAX:
        reasons.append(f"load core {busy:.0%}")
    if late > _LATE_MAX:
        reasons.append(f"frames {late * 1000:.0f} ms late")
    return ", ".join(reasons)


def _load_cpu(vendors: Pinned) -> float:
    return vendors.cpu_seconds() + cpu_seconds(os.getpid())


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title="The service on one core; instant vendors")
    for column in asdict(rows[0]):
        table.add_column(column.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(_shown(value) for value in asdict(row).values()))
    return table


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.calls", description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 10, 25, 50, 100], help="at once, a row each")
    parser.add_argument("--seconds", type=float, default=30.0, help="measured for each row")
    parser.add_argument("--typical", type=int, default=25, help="calls at once with vendors that take their time")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    rows, ready = [], []
    for count in options.calls:
        with _standing("instant") as (server, vendors):
            rows.append(asyncio.run(measure(count, options.seconds, server, vendors)))
            ready.append(server.ready_after)
    with _standing("typical") as (server, vendors):
        answers = asyncio.run(totals(options.typical, options.seconds, server, vendors))
    typical = {"calls": options.typical, "answers": len(answers), "total_p50": percentile(answers, 0.5)}
    typical["total_p95"] = percentile(answers, 0.95)
    if options.json:
        found = {"ready_seconds": ready, "rows": [asdict(row) for row in rows], "typical": typical}
        sys.stdout.write(json.dumps(found) + "\n")
        return
    console = Console(width=None if sys.stdout.isatty() else 250)
    console.print(_table(rows))
    console.print("process start to ready", ", ".join(f"{seconds:.2f}" for seconds in ready), "s")
    console.print(
        "with typical vendors, seconds:", ", ".join(f"{name} {_shown(each)}" for name, each in typical.items())
    )


@contextmanager
def _standing(profile: str) -> Iterator[tuple[Pinned, Pinned]]:
    """A newly started service, and the vendors' stand-ins."""
    with (
        tempfile.TemporaryDirectory() as folder,
        sandbox(profile) as (vendors, addresses),
        service(Path(folder), addresses) as server,
    ):
        yield server, vendors


if __name__ == "__main__":
    main()
