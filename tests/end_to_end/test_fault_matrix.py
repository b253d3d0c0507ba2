"""Cells of the fault matrix: some that a seed draws, and each that once missed an aim."""

from pathlib import Path

import pytest

from bench.fault_matrix.aims import is_held, missed
from bench.fault_matrix.cells import Cell, all_cells, chosen
from bench.fault_matrix.holding import hold_cell
from tests.support.once_missed import ONCE_MISSED

_LEAPING = [cell for cell in all_cells() if not cell.place.is_in_real_time]
DRAWN, SEED = 2, 1
"""A cell takes some seconds."""


@pytest.mark.parametrize("cell", chosen(_LEAPING, ONCE_MISSED), ids=str)
def test_a_cell_that_once_missed_an_aim_meets_it(cell: Cell, tmp_path: Path) -> None:
    outcome = hold_cell(cell, tmp_path / "cell")

    assert missed(outcome) == []
    assert is_held(outcome.struck)
    assert outcome.strikes


@pytest.mark.parametrize("cell", chosen(_LEAPING, sample=DRAWN, seed=SEED), ids=str)
def test_a_cell_that_is_drawn_meets_its_aims(cell: Cell, tmp_path: Path) -> None:
    outcome = hold_cell(cell, tmp_path / "cell")

    assert missed(outcome) == []
    assert outcome.struck.heard
