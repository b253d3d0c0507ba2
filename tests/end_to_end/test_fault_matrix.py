"""Cells of the fault matrix: a few of each run's, and those that once missed an aim."""

from pathlib import Path

import pytest

from bench.fault_matrix.aims import is_held, missed
from bench.fault_matrix.cells import Cell, all_cells, chosen
from bench.fault_matrix.holding import hold_cell

ONCE_MISSED = [
    "cartesia-socket stalls before all cold",
    "flux 429-short greeting all cold",
    "flux drips greeting all cold",
]
"""Names of cells."""


@pytest.mark.parametrize("cell", chosen(all_cells(), ONCE_MISSED), ids=str)
def test_a_cell_that_once_missed_an_aim_meets_it(cell: Cell, tmp_path: Path) -> None:
    outcome = hold_cell(cell, tmp_path / "cell")

    assert missed(outcome) == []
    assert is_held(outcome.struck)
    assert outcome.strikes
