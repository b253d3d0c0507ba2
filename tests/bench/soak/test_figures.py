import os
from pathlib import Path

import pytest

from bench.soak.figures import Figures, measured, slopes


def test_a_figure_that_grows_has_a_slope_once_the_service_has_settled() -> None:
    samples = [Figures(60.0 * minute, 100 + minute, 40, 20, 30, 5) for minute in range(10)]
    loading = [Figures(0, 10, 1, 1, 1, 0), Figures(1, 20, 2, 2, 2, 0)]
    grown = slopes([*loading, *samples])
    assert grown["memory_mb"] == pytest.approx(60)
    assert grown["tasks"] == pytest.approx(0, abs=1e-6)
    assert slopes(samples[:3]) == {}


def test_the_figures_are_those_of_the_process_and_its_folder(tmp_path: Path) -> None:
    (tmp_path / "calls").write_bytes(bytes(1 << 20))
    figures = measured(5.0, os.getpid(), "x 1\nvoice_tasks 12.0\nvoice_tasks_other 7\n", tmp_path)
    assert (figures.at, figures.tasks, figures.disk_mb) == (5.0, 12.0, 1.0)
    assert figures.memory_mb > 1
    assert figures.files > 0
