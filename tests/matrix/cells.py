"""Cells of the matrix: one field of one message, wrong in one way. Some are drawn by a seed, or all are tried."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from structlog.testing import capture_logs

from tests.matrix.spoiling import Field
from tests.support.sampling import SEED, WHOLE, chance

PARTS = range(24 if WHOLE else 1)
"""All cells are tried in parts, by several processes."""
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


async def hold_cells(cells: Sequence[Cell], hold: Callable[[Cell], Awaitable[str | None]], part: int) -> None:
    """Try a part of the cells, several at once, each within 30 s; ``hold`` returns what went wrong. Fails with that."""
    chosen = list(cells)[part :: len(PARTS)] if WHOLE else chance().sample(cells, min(_DRAWN, len(cells)))
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
