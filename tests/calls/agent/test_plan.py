"""The plan of a call: what row 1 of its journal says of it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.calls.agent.plan import CallPlanner
from app.models import CallContext
from media.formats import AudioFormat
from tests.calls.fakes import World, only

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("room", "metadata", "price"),
    [("call_1", {}, 0.02), (None, {"twilio": {"call_sid": "CA1"}}, 0.02), (None, {}, 0.0)],
    ids=["room", "streamed by Twilio", "websocket"],
)
def test_a_call_is_run_with_the_price_of_its_line(room: str | None, metadata: dict[str, Any], price: float) -> None:
    world = World()
    planner = CallPlanner(
        lambda: only(world.agent),
        world,
        endpoints=lambda _agent: {},
        transfer_targets={},
        playout_lead_seconds=0.2,
        version="1",
        telephony_usd_per_minute=0.02,
    )
    plan = planner.plan(AudioFormat("pcm_s16le", 16000), call=CallContext("call-1", None, NOW, room, metadata))

    assert plan.created().telephony_usd_per_minute == price


def test_the_price_of_the_line_is_unknown_unless_it_is_set() -> None:
    call = CallContext("call-1", None, NOW, "call_1", {})

    assert World().planner.plan(AudioFormat("pcm_s16le", 16000), call=call).created().telephony_usd_per_minute is None
