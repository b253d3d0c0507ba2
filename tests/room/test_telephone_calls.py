"""Whole telephone calls through a real livekit-server, from the ring to the record."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.score import Score, hangs_up, says, waits_for_agent
from tests.room.house import LiveKitServer, house, livekit_server

pytestmark = pytest.mark.room


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveKitServer]:
    with livekit_server(tmp_path_factory.mktemp("livekit")) as running:
        yield running


async def test_a_call_is_answered_greeted_and_recorded(server: LiveKitServer, tmp_path: Path) -> None:
    score = Score(
        "simple",
        "ru",
        (waits_for_agent(), says("Когда вы открыты?"), waits_for_agent(), hangs_up()),
        ({"text": "Мы открыты каждый день с девяти утра до шести вечера."},),
        8,
    )
    async with house(server, tmp_path) as home:
        report = await home.call(score)
        record = await home.record(report.call_id)
    print(record)
    print(report.agent_spans, report.utterances)
    assert record["end_reason"] == "caller_hangup"
