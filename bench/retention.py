"""What live calls notice of the retention's sweep: ``python -m bench.retention [--calls 10000] [--rows 300]``

Fills a database with old calls, and erases them as the service does, with its pauses. Meanwhile the event loop wakes
every 5 ms, as that of live calls does, and a second process keeps taking and releasing the write lock of the database,
as other workers do. Prints how late the loop wakes and how long the second process waits, first without the sweep.

``--live 10`` runs the service instead, with so many calls that talk over websockets: in turn without a sweep, and while
it sweeps. Prints what the service adds to their answers and how late its loop is, and both as a ratio to no sweep.
"""

import argparse
import asyncio
import json
import os
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles

from prometheus_client import CollectorRegistry

from app.calls.after.retention import EVERY, RetentionSweep
from app.calls.dispatch.erasure import CallEraser
from app.models import Retention
from app.observability.retention_metrics import RetentionMetrics
from app.storage.calls import CallStore
from app.storage.database import Database, migrate
from app.storage.retention import RetentionStore
from app.storage.service_jobs import ServiceJob
from app.storage.sessions import SessionStore
from app.storage.unsaved import UnsavedEnds
from bench.calls import Row
from bench.calls import measure as measure_calls
from bench.pinned import LOAD_CORE, sandbox, service
from bench.write_lock import second_writer

_THEN = "2020-01-01T00:00:00.000Z"
_WAKES_SECONDS = 0.005
_QUIET_SECONDS = 10.0
_DATA = json.dumps({"turn": 1, "text": "I should like a table for two on Friday evening, please. " * 3})
_CALL = {
    "kind": "websocket", "direction": "web", "status": "ended", "created_at": _THEN, "started_at": _THEN,
    "answered_at": _THEN, "ended_at": _THEN, "duration_seconds": 60.0, "end_reason": "caller_hangup", "fault": "none",
    "version": "bench", "recording": 0, "metadata": "{}", "fence": 1,
}  # fmt: skip


def fill(path: Path, calls: int, rows: int) -> None:
    """Put the calls there, each with so many rows of a journal."""
    names = ", ".join(_CALL)
    marks = ", ".join("?" * len(_CALL))
    with closing(sqlite3.connect(path)) as connection, connection:
        for number in range(calls):
            call_id = f"call_{number}"
            connection.execute(
                f"INSERT INTO calls (call_id, {names}) VALUES (?, {marks})",  # noqa: S608 - ours
                (call_id, *_CALL.values()),
            )
            connection.executemany(
                "INSERT INTO journal (call_id, seq, at, t, type, v, data) VALUES (?, ?, ?, 0, 'turn.taken', 1, ?)",
                ((call_id, seq, _THEN, _DATA) for seq in range(1, rows + 1)),
            )


async def measure(path: Path, folder: Path, usual: Retention | None) -> tuple[list[float], list[float]]:
    """Milliseconds: how late the loop woke, and the second process's waits. Without ``usual`` nothing is swept."""
    loop = asyncio.get_running_loop()
    second = await second_writer(path)
    database = await Database.open(f"sqlite+aiosqlite:///{path}")
    unsaved = UnsavedEnds(folder / "unsaved")
    calls = CallStore(database)
    eraser = CallEraser(calls, SessionStore(database), folder / "recordings", unsaved)
    job = ServiceJob(database, "retention", every=EVERY)
    metrics = RetentionMetrics(CollectorRegistry())
    sweep = RetentionSweep(job, RetentionStore(database), calls, eraser, usual or Retention(), metrics)
    work = loop.create_task(sweep.sweep_if_due() if usual else asyncio.sleep(_QUIET_SECONDS), name="work")
    late = []
    while not work.done():
        began = loop.time()
        await asyncio.sleep(_WAKES_SECONDS)
        late.append((loop.time() - began - _WAKES_SECONDS) * 1000)
    work.result()
    waits, _ = await second.communicate(b"\n")
    await database.close()
    unsaved.close()
    return late, [each * 1000 for each in json.loads(waits)]


def _spread(found: list[float]) -> str:
    percents = quantiles(found, n=100)
    return f"p50 {percents[49]:.1f}, p99 {percents[98]:.1f}, longest {max(found):.1f} ms"


_SWEEPS: Mapping[str, Mapping[str, str]] = {
    "no sweep": {},
    "words": {"RETENTION_TRANSCRIPT_DAYS": "1"},
    "whole calls": {"RETENTION_CALL_DAYS": "1"},
}


def live(folder: Path, path: Path, count: int, seconds: float, rounds: int) -> None:
    """Live calls without a sweep and beside one, in turn."""
    os.sched_setaffinity(0, {LOAD_CORE})
    rows: dict[str, list[Row]] = {what: [] for what in _SWEEPS}
    for _ in range(rounds):
        for what, settings in _SWEEPS.items():
            _forget_sweeps(path)
            before = _kept(path)
            with sandbox("instant") as (vendors, addresses), service(folder, addresses, **settings) as server:
                row = asyncio.run(measure_calls(count, seconds, server, vendors))
            rows[what].append(row)
            erased = [was - now for was, now in zip(before, _kept(path), strict=True)]
            print(
                f"{what}: {row.answers} answers, {row.added_p50:.1f} ms added (p50), {row.added_p95:.1f} (p95); loop "
                f"{row.loop_lag_p50:.1f} ms late (p50), {row.loop_lag_p99:.1f} (p99); {row.unanswered} unanswered; "
                f"erased {erased[0]} calls, the words of {erased[1]} {row.void}",
                flush=True,
            )
    for what in list(_SWEEPS)[1:]:
        ratios = {
            name: median(getattr(row, name) for row in rows[what])
            / median(getattr(row, name) for row in rows["no sweep"])
            for name in ("added_p50", "added_p95", "loop_lag_p50", "loop_lag_p99")
        }
        print(f"{what} / no sweep:", ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()), flush=True)


def _forget_sweeps(path: Path) -> None:
    """Make the next sweep due."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM service_jobs")


def _kept(path: Path) -> tuple[int, int]:
    """How many old calls there are, and how many of them have their words."""
    old = "FROM calls WHERE version = 'bench'"
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(f"SELECT count(*), count(*) FILTER (WHERE words_erased_at IS NULL) {old}")
        calls, with_words = found.fetchone()
    return calls, with_words


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--live", type=int, default=0, help="so many calls that talk, over websockets")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement with live calls")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "calls.db"
        migrate(f"sqlite+aiosqlite:///{path}")
        fill(path, options.calls, options.rows)
        if options.live:
            live(folder, path, options.live, options.seconds, options.rounds)
            return
        days = timedelta(days=1).days
        for what, usual in (
            ("no sweep", None),
            ("words", Retention(0, days, 0)),
            ("whole calls", Retention(0, 0, days)),
        ):
            _forget_sweeps(path)
            late, waits = asyncio.run(measure(path, folder, usual))
            print(f"{what}: the loop is late by {_spread(late)}; the second process waits {_spread(waits)}", flush=True)


if __name__ == "__main__":
    main()
