from bench.fault_matrix.cells import MOMENTS, Cell, all_cells
from bench.fault_matrix.document import document
from tests.bench.fault_matrix.outcomes import outcome


def test_cells_with_the_same_outcome_share_a_row_and_those_that_miss_an_aim_are_named() -> None:
    held = [
        outcome(Cell("flux", kind, moment, "all", "cold"), silence=1.5, served=["llm:again", "tts:espeak"])
        for kind in ("401", "402")
        for moment in MOMENTS
    ]
    silent = outcome(Cell("aura", "hangs", "tool", "one", "warm"), silence=3.21, answers=1, end_reason="caller_hangup")
    text = document([*held, silent], "python -m bench.fault_matrix --seed 1", "2026-11-30")

    assert f"2026-11-30, 15 of {len(all_cells())} cells: `python -m bench.fault_matrix --seed 1`" in text
    assert "| aura | silence | 3.2 s | 1: hangs once (tool) |" in text
    assert "| everything | again, espeak | agent_hangup | none | 0.6 | 1.5 | 14: 401, 402 |" in text
    assert "| 1 of 3 answers | nobody | caller_hangup | none | 0.6 | 3.2 | 1: hangs once (tool) |" in text


def test_a_matrix_without_a_miss_says_so() -> None:
    assert "## What misses the aims\n\nNothing.\n" in document([outcome()], "make matrix", "2026-11-30")
