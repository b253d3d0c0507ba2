from pathlib import Path

from bench.fault_matrix import kept
from bench.fault_matrix.cells import Cell
from tests.bench.fault_matrix.outcomes import outcome

_COLD = Cell("flux", "401", "before", "all", "cold")
_WARM = Cell("flux", "401", "before", "all", "warm")


def test_outcomes_are_read_as_they_were_kept_and_the_last_one_of_a_cell_counts(tmp_path: Path) -> None:
    path = tmp_path / "outcomes"
    first, again, other = outcome(_COLD, silence=3.0), outcome(_COLD, heard=["Здравствуйте!"]), outcome(_WARM)
    for each in (first, other, again):
        kept.add(path, each)
    assert kept.read(path, [_COLD, _WARM]) == [again, other]
    assert kept.read(path, [_WARM]) == [other]


def test_before_the_first_run_nothing_is_kept(tmp_path: Path) -> None:
    assert kept.read(tmp_path / "outcomes", [_COLD]) == []
