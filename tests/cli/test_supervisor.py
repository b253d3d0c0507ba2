"""What the supervisor decides, and what it sends its workers."""

import io
from itertools import pairwise
from pathlib import Path

from app.cli.orders import STOP, WorkerOrder, read_order, written
from app.cli.supervisor import RESTART_BACKOFF
from tests.end_to_end.service import settings_for


def test_a_worker_that_dies_once_is_replaced_at_once_and_one_that_dies_again_and_again_ever_later() -> None:
    delays = [RESTART_BACKOFF.delay(failures) for failures in range(1, 20)]
    assert delays[:4] == [0.0, 0.5, 1.0, 2.0]
    assert all(before <= after for before, after in pairwise(delays))
    assert RESTART_BACKOFF.delay(10_000) == delays[-1] == 30.0


def test_a_worker_reads_its_order_and_leaves_the_commands_unread(tmp_path: Path) -> None:
    order = WorkerOrder(2, "worker2-1f", 7, 9, settings_for(tmp_path, workers=3, keyterms="а,б"))
    pipe = io.BytesIO(written(order) + STOP)
    assert read_order(pipe) == order
    assert pipe.read() == STOP


def test_an_order_carries_the_secrets_of_the_settings_and_shows_none(tmp_path: Path) -> None:
    order = WorkerOrder(1, "worker1-1f", 7, 9, settings_for(tmp_path, openai_api_key="oa-secret"))
    key = read_order(io.BytesIO(written(order))).settings.openai_api_key
    assert key is not None
    assert key.get_secret_value() == "oa-secret"
    assert "oa-secret" not in repr(order)
