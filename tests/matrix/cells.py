"""Cells of the matrix: one field of one message, wrong in one way. Some are drawn by a seed, or all are tried.

``MATRIX_CELLS=all`` tries all, ``MATRIX_SEED`` draws the same as a run before; ``make fuzz`` does the former.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from structlog.testing import capture_logs

from tests.matrix.spoiling import Field

WHOLE = os.environ.get("MATRIX_CELLS") == "all"
SEED = int(os.environ.get("MATRIX_SEED") or random.SystemRandom().randrange(10**6))
_DRAWN = 60
# Few enough that each connects within production's deadlines on two busy cores.
_AT_ONCE = 8
_LOUD = ("error", "critical")


@dataclass(frozen=True, slots=True)
class Cell:
    """A message of a script, a field of it, and what is wrong with that."""

    kind: str
    position: int
    field: Field
    way: str

    def __str__(self) -> str:
        return f"{self.kind}[{self.position}] {'.'.join(map(str, self.field)) or 'the message'}: {self.way}"


async def hold_cells(cells: Sequence[Cell], hold: Callable[[Cell], Awaitable[str | None]]) -> None:
    """Try the cells, several at once, each within 30 s; ``hold`` returns what went wrong. Fails with all of that."""
    chosen = list(cells) if WHOLE else random.Random(SEED).sample(cells, min(_DRAWN, len(cells)))  # noqa: S311 - draws cells, keeps no secret
    complaints: list[str] = []
    places = asyncio.Semaphore(_AT_ONCE)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(f"unhandled: {context}"))

    async def one(cell: Cell) -> None:
        async with places:
            try:
                async with asyncio.timeout(30):
                    complaint = await hold(cell)
            except Exception as error:  # noqa: BLE001 - every error is a complaint, and all are shown
                complaint = f"{type(error).__name__}: {error}"
            if complaint:
                complaints.append(f"{cell}: {complaint}")

    with capture_logs() as entries:
        async with asyncio.TaskGroup() as tasks:
            for cell in chosen:
                tasks.create_task(one(cell), name=str(cell))
    loud: list[Any] = [entry for entry in entries if entry["log_level"] in _LOUD or entry.get("exc_info")]
    assert chosen
    wrong = [*complaints, *map(str, loud[:5])]
    assert not wrong, "\n".join([f"{len(complaints)} of {len(chosen)} cells, MATRIX_SEED={SEED}", *wrong])
