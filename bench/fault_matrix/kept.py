"""A file of outcomes, a JSON object a line: the matrix takes longer than a night, so it is held in several runs."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.fault_matrix.cells import Cell
from bench.fault_matrix.holding import Lived, Outcome


def read(path: Path, cells: Sequence[Cell]) -> list[Outcome]:
    """The outcomes of an earlier run; the last one of a cell counts. Cells that are none of ``cells`` are left out."""
    if not path.exists():
        return []
    by_name = {str(cell): cell for cell in cells}
    found: dict[Cell, Outcome] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        kept = json.loads(line)
        if (cell := by_name.get(kept.pop("cell"))) is not None:
            struck, other = Lived(**kept.pop("struck")), Lived(**kept.pop("other"))
            found[cell] = Outcome(cell, struck, other, **kept)
    return list(found.values())


def add(path: Path, outcome: Outcome) -> None:
    """Add one to the end of the file."""
    line = json.dumps({**asdict(outcome), "cell": str(outcome.cell)}, ensure_ascii=False)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
