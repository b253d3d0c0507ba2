"""How long a process takes from its start until it is ready: ``python -m bench.ready``."""

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.pinned import LOAD_CORE, sandbox, service

_LIVEKIT = {
    "LIVEKIT_URL": "ws://127.0.0.1:9",  # nobody is there; a start does not wait for it
    "LIVEKIT_API_KEY": "bench",
    "LIVEKIT_API_SECRET": "bench-bench-bench-bench-bench-bench",
}
_WITHOUT, _WITH = "without telephone", "with LiveKit"
_NEW, _OLD = "new database", "database that is there"


def measure(rounds: int) -> dict[tuple[str, str], list[float]]:
    """Seconds, by whether there are telephone calls and a database; the kinds take turns."""
    found: dict[tuple[str, str], list[float]] = {}
    with sandbox("instant") as (_, addresses):
        for _ in range(rounds):
            for telephone, more in ((_WITHOUT, {}), (_WITH, _LIVEKIT)):
                with tempfile.TemporaryDirectory() as folder:
                    for database in (_NEW, _OLD):
                        with service(Path(folder), addresses | more) as server:
                            found.setdefault((telephone, database), []).append(server.ready_after)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.ready", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="starts of each kind")
    rounds = parser.parse_args().rounds
    os.sched_setaffinity(0, {LOAD_CORE})
    table = Table("", "", "seconds, median", "from", "to", title="From the start of a process until it is ready")
    for kind, seconds in measure(rounds).items():
        table.add_row(*kind, *(f"{each:.2f}" for each in (statistics.median(seconds), min(seconds), max(seconds))))
    Console().print(table)


if __name__ == "__main__":
    main()
