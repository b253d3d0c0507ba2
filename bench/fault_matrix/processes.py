"""Holds many cells, each in one of several processes. A cell that dies, hangs or eats the memory is an outcome, too."""

import resource
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from pebble import ProcessExpired, ProcessPool

from bench.fault_matrix.cells import Cell
from bench.fault_matrix.holding import Outcome, hold_cell
from bench.fault_matrix.real_time import hold_in_real_time

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
    hold: Callable[[Cell, str], Outcome] | None = None,
) -> Iterator[Outcome]:
    """Yield the outcomes as they come, that many cells at once, each within ``wall_seconds``.

    ``hold`` is :func:`hold_one`, or another function that a new process can import.
    """
    hold = hold or hold_one
    with (
        tempfile.TemporaryDirectory(dir=_memory()) as prepared,
        ProcessPool(
            at_once, max_tasks=_CELLS_OF_A_PROCESS, initializer=_limit_memory, context=get_context("spawn")
        ) as processes,
    ):
        for number, group in _groups(cells, at_once):
            running: dict[Future[Outcome], Cell] = {}
            for cell in group:
                while len(running) >= number:
                    yield from _done(running, wall_seconds)
                running[processes.schedule(hold, [cell, prepared], timeout=wall_seconds)] = cell
            while running:
                yield from _done(running, wall_seconds)


def _groups(cells: Sequence[Cell], at_once: int) -> Iterator[tuple[int, list[Cell]]]:
    """Cells, with how many of them at once: those in real time would be late beside others."""
    yield at_once, [cell for cell in cells if not cell.place.is_in_real_time]
    yield 1, [cell for cell in cells if cell.place.is_in_real_time]


def _done(running: "dict[Future[Outcome], Cell]", wall_seconds: float) -> Iterator[Outcome]:
    """Wait for some, and take them out."""
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for each in done:
        cell = running.pop(each)
        error = each.exception()
        yield each.result() if error is None else Outcome(cell, failed=_reason(error, wall_seconds))


def hold_one(cell: Cell, prepared: str) -> Outcome:
    """Hold a cell in a folder of its own; ``prepared`` is for all cells."""
    with tempfile.TemporaryDirectory(dir=_memory(), ignore_cleanup_errors=True) as folder:
        if cell.place.is_in_real_time:
            return hold_in_real_time(cell, Path(folder))
        return hold_cell(cell, Path(folder) / "cell", Path(prepared))


def _memory() -> Path | None:
    return _MEMORY if _MEMORY.is_dir() else None


def _reason(error: BaseException, wall_seconds: float) -> str:
    if isinstance(error, TimeoutError):
        return f"not over after {wall_seconds:g} s of real time"
    if isinstance(error, ProcessExpired):
        return f"the process ended with status {error.exitcode}"
    return f"{type(error).__name__}: {error}"


def _limit_memory() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, hard))
