"""What the storage does in a second on each database: ``python -m bench.storage [sqlite] [postgres] [--rounds 5]``

Rows of the journals of ten calls, as fast as they are committed, and calls that are taken one after another. Each round
does all of it on each database, so that a slow moment of the machine strikes both. Postgres is a server of its own.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

from app.storage.calls import CallStore
from app.storage.database import Database, migrate
from app.storage.journal import JournalWriter
from tests.storage.stores import a_call, a_row
from tests.support.postgres import own_cluster

_CALLS = 10
_ROWS = 300
"""Of each call."""
_TAKEN = 100


async def measure(url: str, round_number: int) -> tuple[float, float, float]:
    """Rows a second, and p50 and p95 in milliseconds of taking a call."""
    database = await Database.open(url)
    calls, journal = CallStore(database), JournalWriter(database)
    clock = asyncio.get_running_loop().time
    ids = [f"call-{round_number}-{number}" for number in range(_CALLS)]
    for call_id in ids:
        await calls.create(a_call(call_id, status="active"))
    began = clock()
    for seq in range(1, _ROWS + 1):
        for call_id in ids:
            journal.append(call_id, 1, a_row(seq, text="What the caller said, or what the model answered. " * 3))
        if seq % 10 == 0:
            await asyncio.gather(*map(journal.flush, ids))
    rows_a_second = _CALLS * _ROWS / (clock() - began)
    took = []
    for number in range(_TAKEN):
        began = clock()
        await calls.create(a_call(f"taken-{round_number}-{number}", status="ended"), max_live=10_000)
        took.append((clock() - began) * 1000)
    await journal.close()
    await database.close()
    twentieths = quantiles(took, n=20)
    return rows_a_second, twentieths[9], twentieths[18]


def _urls(names: list[str], stack: ExitStack) -> Iterator[tuple[str, str]]:
    for name in names:
        if name == "sqlite":
            url = f"sqlite+aiosqlite:///{Path(stack.enter_context(tempfile.TemporaryDirectory())) / 'calls.db'}"
        else:
            cluster = stack.enter_context(own_cluster())
            cluster.query("postgres", "CREATE DATABASE bench")
            url = cluster.url("bench")
        migrate(url)
        yield name, url


def main() -> None:
    """Print the medians of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("databases", nargs="*", default=["sqlite", "postgres"])
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with ExitStack() as stack:
        urls = list(_urls(chosen.databases, stack))
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name, _ in urls}
        for number in range(chosen.rounds):
            for name, url in urls:
                found[name].append(asyncio.run(measure(url, number)))
    table = Table("", "rows a second", "to take a call, p50", "p95")
    for name, rounds in found.items():
        rows, p50, p95 = (median(each) for each in zip(*rounds, strict=True))
        table.add_row(name, f"{rows:.0f}", f"{p50:.1f} ms", f"{p95:.1f} ms")
    Console().print(table)


if __name__ == "__main__":
    main()
