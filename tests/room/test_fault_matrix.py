"""Cells of the fault matrix that need a livekit-server, in real time."""

from pathlib import Path

import pytest

from bench.fault_matrix.aims import is_held, missed
from bench.fault_matrix.cells import Cell, all_cells, chosen
from bench.fault_matrix.real_time import hold_in_real_time

pytestmark = [pytest.mark.room, pytest.mark.alone]

HELD = ["livekit-api 5xx thinking all cold", "database back-after-5s listening all cold"]


@pytest.mark.parametrize("cell", chosen(all_cells(), HELD), ids=str)
def test_both_callers_are_held_while_what_they_do_not_hear_breaks(cell: Cell, tmp_path: Path) -> None:
    outcome = hold_in_real_time(cell, tmp_path)

    assert missed(outcome) == []
    assert is_held(outcome.struck)


@pytest.mark.parametrize("cell", chosen(all_cells(), ["room down speaking all cold"]), ids=str)
def test_a_call_whose_room_is_gone_ends_properly_and_the_other_one_is_held(cell: Cell, tmp_path: Path) -> None:
    outcome = hold_in_real_time(cell, tmp_path)

    assert missed(outcome) == []
    assert outcome.struck.end_reason
    assert outcome.strikes == 1
