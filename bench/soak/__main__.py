"""Callers of all kinds, and faults at random, for hours: ``python -m bench.soak --hours 2 --seed 1 --calls 8``.

Real sockets, and telephones through a real room where a livekit-server is there. Each minute all callers hang up, and
the service's memory, tasks, sockets, open files and disk are read. Stops at the first silence over two seconds that
nobody owns, call that goes wrong or does not end, or record without an end; prints the seed and the call's journal, and
exits with 1. At the end it prints by how much each figure grows in an hour. Tasks, sockets and files must not grow.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.soak.figures import Figures, slopes
from bench.soak.running import Found, Soak, opened

_MUST_NOT_GROW = ("tasks", "sockets", "files")
_A_FEW = 3
"""Connections that are kept warm come and go."""


def main() -> int:
    """Run, print, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=0.0)
    parser.add_argument("--minutes", type=float, default=0.0, help="in addition to the hours; 10 minutes if neither")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calls", type=int, default=6, help="callers at once")
    given = parser.parse_args()
    seconds = given.hours * 3600 + given.minutes * 60 or 600.0
    return asyncio.run(_run(seconds, given.seed, given.calls))


async def _run(seconds: float, seed: int, callers: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder)) as place:
            soak = Soak(place, seed, callers)
            try:
                async for figures in soak.run(seconds):
                    print(_line(figures, soak), flush=True)
            except Found as found:
                print(f"FOUND with --seed {seed} --calls {callers}: {found}")
                for at, fault in found.faults:
                    print(f"{at} {'all are well' if fault is None else fault}")
                for line in found.heard:
                    print(line)
                for row in found.journal:
                    print(json.dumps(row, ensure_ascii=False))
                return 1
    return _show(soak)


def _line(figures: Figures, soak: Soak) -> str:
    return (
        f"{figures.at:6.0f} s: {soak.held.total()} calls, {soak.ordered.total()} faults, longest silence "
        f"{soak.longest:.1f} s; {figures.memory_mb:.1f} MB, {figures.tasks:g} tasks, {figures.sockets:g} sockets, "
        f"{figures.files:g} files, {figures.disk_mb:.1f} MB on the disk"
    )


def _show(soak: Soak) -> int:
    first, last = soak.samples[0], soak.samples[-1]
    table = Table("figure", "after the first minute", "at the end", "grows in an hour by")
    grown = slopes(soak.samples)
    for name in ("memory_mb", *_MUST_NOT_GROW, "disk_mb"):
        slope = f"{grown[name]:+.2f}" if grown else "too short to say"
        table.add_row(name, f"{getattr(first, name):.1f}", f"{getattr(last, name):.1f}", slope)
    console = Console()
    console.print(table)
    console.print("calls:", dict(soak.held), "faults:", dict(soak.ordered))
    console.print(f"longest silence {soak.longest:.2f} s; {soak.too_busy} calls on a machine too busy to measure them")
    leaks = [name for name in _MUST_NOT_GROW if getattr(last, name) > getattr(first, name) + _A_FEW]
    for name in leaks:
        console.print(f"FOUND with --seed {soak.seed} --calls {soak.callers}: {name} grow")
    return int(bool(leaks))


if __name__ == "__main__":
    sys.exit(main())
