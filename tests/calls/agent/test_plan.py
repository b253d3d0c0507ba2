"""The plan of a call: what row 1 of its journal says of it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.calls.agent.from_settings import agent_profile
from app.calls.agent.plan import CallPlan, CallPlanner
from app.models import CallContext, Direction
from app.settings import Settings
from media.formats import AudioFormat
from tests.calls.fakes import AGENT, POLICY, World, only
from tests.calls.vendors import ScriptedTool

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
TAKES_MESSAGES = replace(AGENT, policy=replace(POLICY, takes_messages=True))


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


@pytest.mark.parametrize(
    ("direction", "room", "caller", "called", "offered"),
    [
        ("inbound", "call_1", "+79160000001", "+74950000000", ["+79160000001"]),
        ("outbound", "call_1", "+74950000000", "+79160000001", ["+79160000001"]),
        ("inbound", "call_1", None, "+74950000000", []),
        ("web", None, "anna", None, []),
    ],
)
def test_the_other_side_of_a_telephone_call_can_ask_not_to_be_called(
    direction: Direction, room: str | None, caller: str | None, called: str | None, offered: list[str]
) -> None:
    world, asked = World(), list[str]()
    tool = ScriptedTool("do_not_call")

    def do_not_call(number: str) -> ScriptedTool:
        asked.append(number)
        return tool

    planner = CallPlanner(
        lambda: only(world.agent),
        world,
        endpoints=lambda _agent: {},
        do_not_call=do_not_call,
        transfer_targets={},
        playout_lead_seconds=0.2,
        version="1",
    )
    metadata = {} if called is None else {"called_number": called}
    call = CallContext("call-1", caller, NOW, room, metadata)

    plan = planner.plan(AudioFormat("pcm_s16le", 16000), call=call, direction=direction)

    assert asked == offered
    assert [each.spec.name for each in plan.agent.tools] == ["do_not_call"] * len(offered)
    assert dict(plan.endpoints) == ({"do_not_call": tool} if offered else {})


# --- who takes a call that the agent cannot serve --------------------------------------------------------------------


def plan_of(world: World, *, room: str | None = "call_1", direction: Direction = "inbound", **manners: Any) -> CallPlan:
    return world.planner.plan(
        AudioFormat("pcm_s16le", 16000),
        call=CallContext("call-1", None, NOW, room, {}),
        direction=direction,
        **manners,
    )


@pytest.mark.parametrize(
    ("room", "targets", "human"),
    [
        ("call_1", {"fallback": "+79990000009"}, "fallback"),
        ("call_1", {"sales": "+79990000009"}, None),
        (None, {"fallback": "+79990000009"}, None),
    ],
    ids=["a telephone", "no such target", "no telephone"],
)
def test_the_fallback_target_takes_the_calls_of_telephones(
    room: str | None, targets: dict[str, str], human: str | None
) -> None:
    assert plan_of(World(targets=targets), room=room).policy.fallback_human == human


@pytest.mark.parametrize(("direction", "takes"), [("inbound", True), ("web", True), ("outbound", False)])
def test_whom_we_call_leaves_no_message(direction: Direction, takes: bool) -> None:
    assert plan_of(World(agent=TAKES_MESSAGES), direction=direction).policy.takes_messages is takes


@pytest.mark.parametrize("part", ["hearing", "model", "voice", "nothing"])
@pytest.mark.parametrize(("direction", "is_told"), [("inbound", True), ("web", True), ("outbound", False)])
def test_what_is_down_when_a_call_begins_is_known_to_its_agent(part: str, direction: Direction, is_told: bool) -> None:
    world = World()
    world.transcription.is_down = part == "hearing"
    world.model.is_down = part == "model"
    world.voice.is_known_down = part == "voice"

    policy = plan_of(world, direction=direction).policy

    assert policy.is_out_of_order is (is_told and part != "nothing")


def test_what_is_down_changes_nothing_for_who_only_listens() -> None:
    world = World()
    world.transcription.is_down = True

    assert plan_of(world, listens_only=True).policy.speaks is False


def test_an_agent_of_the_settings_takes_messages() -> None:
    assert agent_profile(Settings()).policy.takes_messages
