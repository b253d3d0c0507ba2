"""Ways in which the process that holds a cell may come to grief."""

import os
import threading

from bench.fault_matrix.cells import Cell
from bench.fault_matrix.holding import Outcome
from tests.bench.fault_matrix.outcomes import outcome


def strange(cell: Cell, _prepared: str) -> Outcome:
    """What happens is named by the kind of the cell."""
    if cell.kind == "cuts":
        os._exit(7)
    if cell.kind == "hangs":
        threading.Event().wait()
    if cell.kind == "garbage":
        raise ValueError("an answer that nobody understands")
    if cell.kind == "drips":
        bytearray(64 << 30)
    return outcome(cell)
