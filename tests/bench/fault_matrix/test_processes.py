from bench.fault_matrix.cells import Cell
from bench.fault_matrix.processes import hold_all
from tests.bench.fault_matrix.strange_holding import strange

WALL_SECONDS = 3.0
"""A new process has imported what it needs before its first cell begins."""


def test_a_cell_that_dies_hangs_raises_or_eats_the_memory_is_an_outcome_and_the_others_are_held() -> None:
    kinds = ("401", "cuts", "hangs", "garbage", "drips", "402")
    cells = [Cell("flux", kind, "tool", "all", "warm") for kind in kinds]

    outcomes = {each.cell.kind: each for each in hold_all(cells, 1, wall_seconds=WALL_SECONDS, hold=strange)}

    assert {kind: outcomes[kind].failed for kind in kinds} == {
        "401": "",
        "cuts": "the process ended with status 7",
        "hangs": "not over after 3 s of real time",
        "garbage": "ValueError: an answer that nobody understands",
        "drips": "MemoryError: ",
        "402": "",
    }
    assert outcomes["402"].struck.answers == outcomes["401"].struck.answers == 3
