"""Holds many cells, each in one of several processes. A cell that dies, hangs or eats the memory is an outcome, too."""

import resource
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from pebble import ProcessExpired, ProcessPool

from bench.fault_matrix.cells import Cell
from bench.fault_matrix.holding import Outcome, hold_cell

WALL_SECONDS: Final = 240.0
"""In real time. A cell takes some seconds on a quiet machine; this is for one that will never end."""
_MEMORY_BYTES: Final = 4 << 30
_CELLS_OF_A_PROCESS: Final = 100
_MEMORY = Path("/dev/shm")  # noqa: S108 - a call must not wait for a disk while no time passes


def hold_all(
    cells: Sequence[Cell],
    at_once: int,
    *,
    wall_seconds: float = WALL_SECONDS,
    hold: Callable[[Cell], Outcome] | None = None,
) -> Iterator[Outcome]:
    """Yield the outcomes as they come, that many cells at once, each within ``wall_seconds``.

    ``hold`` is :func:`hold_one`, or another function that a new process can import.
    """
    with ProcessPool(
        at_once, max_tasks=_CELLS_OF_A_PROCESS, initializer=_limit_memory, context=get_context("spawn")
    ) as processes:
        holding = {processes.schedule(hold or hold_one, [cell], timeout=wall_seconds): cell for cell in cells}
        for done in as_completed(holding):
            error = done.exception()
            yield done.result() if error is None else Outcome(holding[done], failed=_reason(error, wall_seconds))


def hold_one(cell: Cell) -> Outcome:
    """Hold a cell in a folder of its own."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None, ignore_cleanup_errors=True) as folder:
        return hold_cell(cell, Path(folder) / "cell")


def _reason(error: BaseException, wall_seconds: float) -> str:
    if isinstance(error, TimeoutError):
        return f"not over after {wall_seconds:g} s of real time"
    if isinstance(error, ProcessExpired):
        return f"the process ended with status {error.exitcode}"
    return f"{type(error).__name__}: {error}"


def _limit_memory() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, hard))
