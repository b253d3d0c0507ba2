"""Holds many cells, each in one of several processes."""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from bench.fault_matrix.cells import Cell
from bench.fault_matrix.holding import Outcome, hold_cell

_CELLS_OF_A_PROCESS = 40
_MEMORY = Path("/dev/shm")  # noqa: S108 - a call must not wait for a disk while no time passes


def hold_all(cells: Sequence[Cell], at_once: int) -> Iterator[Outcome]:
    """Yield the outcomes as they come, that many cells at once."""
    with ProcessPoolExecutor(
        at_once, mp_context=get_context("spawn"), max_tasks_per_child=_CELLS_OF_A_PROCESS
    ) as processes:
        for done in as_completed([processes.submit(hold, cell) for cell in cells]):
            yield done.result()


def hold(cell: Cell) -> Outcome:
    """Hold a cell in a folder of its own."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        return hold_cell(cell, Path(folder) / "cell")
