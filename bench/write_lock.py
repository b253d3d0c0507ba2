"""How long other processes wait for the database while our loop is busy: ``python -m bench.write_lock``

One process stores calls while its event loop is blocked for some milliseconds at a time, as many calls would block it.
A second process keeps taking and releasing the write lock.
"""

import asyncio
import json
import sqlite3
import sys
import tempfile
from asyncio.subprocess import PIPE
from contextlib import closing
from pathlib import Path
from statistics import quantiles

from rich.console import Console
from rich.table import Table

from app.clock import iso_utc, utc_now
from app.storage.calls import CallRow, CallStore
from app.storage.database import Database, migrate

_BUSY_MS = (0, 5, 20)
_CALLS = 100
_BETWEEN_SECONDS = 0.05


async def second_writer(path: Path) -> asyncio.subprocess.Process:
    """A second process that writes to the database; returns once it does."""
    second = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.write_lock", path, stdin=PIPE, stdout=PIPE
    )
    if second.stdout is None:
        raise AssertionError("it is a pipe")
    await second.stdout.readline()
    return second


async def measure(busy_ms: int, folder: Path) -> list[float]:
    """p50 and p95 in milliseconds, of storing a call and of the second process's wait for the lock."""
    path = folder / f"{busy_ms}.db"
    url = f"sqlite+aiosqlite:///{path}"
    migrate(url)
    loop = asyncio.get_running_loop()
    second = await second_writer(path)
    database = await Database.open(url)
    store = CallStore(database)
    stored = []
    held_up = loop.create_task(_hold_up(busy_ms / 1000), name="held-up")
    for number in range(_CALLS):
        began = loop.time()
        await store.create(_call(number), max_live=_CALLS)
        stored.append(loop.time() - began)
    held_up.cancel()
    answer, _ = await second.communicate(b"\n")
    await database.close()
    twentieths = [quantiles(each, n=20) for each in (stored, json.loads(answer))]
    return [each[place] * 1000 for each in twentieths for place in (9, 18)]


async def _hold_up(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    while True:
        until = loop.time() + seconds
        while loop.time() < until:
            pass
        await asyncio.sleep(0 if seconds else 1)


def _call(number: int) -> CallRow:
    now = iso_utc(utc_now())
    return CallRow(
        call_id=f"call_{number}",
        kind="websocket",
        direction="web",
        status="ringing",
        created_at=now,
        started_at=now,
        version="bench",
    )


async def wait_again_and_again(path: str) -> None:
    """The second process. It runs until its standard input ends, then prints the seconds of each wait."""
    loop, ends, waits = asyncio.get_running_loop(), asyncio.Event(), []
    loop.add_reader(sys.stdin, ends.set)
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
        print("ready", flush=True)
        while not ends.is_set():
            began = loop.time()
            database.execute("BEGIN IMMEDIATE")
            waits.append(loop.time() - began)
            database.execute("ROLLBACK")
            await asyncio.sleep(_BETWEEN_SECONDS)
    print(json.dumps(waits))


def main() -> None:
    """Print the table."""
    table = Table("loop held up", "call stored p50", "p95", "second process waits p50", "p95", title="milliseconds")
    with tempfile.TemporaryDirectory() as folder:
        for busy_ms in _BUSY_MS:
            figures = asyncio.run(measure(busy_ms, Path(folder)))
            table.add_row(str(busy_ms), *(f"{each:.1f}" for each in figures))
    Console().print(table)


if __name__ == "__main__":
    main() if len(sys.argv) == 1 else asyncio.run(wait_again_and_again(sys.argv[1]))
