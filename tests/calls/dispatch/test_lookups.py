"""Lookups before a call begins: in time, late, failed, and refusing the call."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any

import pytest

from app.calls.agent.hours import CallingHours
from app.calls.agent.profile import AgentProfile
from app.calls.agent.tools import AgentTool
from app.calls.agent.variables import Variable
from app.calls.dispatch.admission import Admission
from app.calls.dispatch.lookups import CallLookups, LookedUp
from app.clients.http_tools import HttpEndpoint, ToolAnswer
from app.conversation import events as ev
from app.errors import CallRejected, ProviderError, ProviderTimeout, SpendingLimitReached, StorageError
from app.models import CallContext, Direction
from app.ports.streams import ToolSpec
from app.storage.spending import Reservation
from tests.calls.desk import desk
from tests.calls.fakes import AGENT, LINES, POLICY, World, a_call
from tests.calls.far_end import FarEnd
from tests.calls.vendors import ScriptedTool
from tests.storage.stores import a_call as a_row_of_calls

VIRTUAL_TIME = True

MOSCOW = "+74951234567"

LOOKS_UP = replace(
    AGENT,
    policy=replace(POLICY, lines={"en": LINES, "ru": replace(LINES, greeting="Алло!")}),
    voices={"en": "voice-1", "ru": "voice-2"},
    lookup=AgentTool(
        ToolSpec("lookup", "", {}), HttpEndpoint("lookup", "POST", "https://crm.example.org/", timeout_seconds=1.0)
    ),
)


def world_and_lookups(
    answer: ToolAnswer | ProviderError, agent: AgentProfile = LOOKS_UP, others: Sequence[AgentProfile] = ()
) -> tuple[World, CallLookups, ScriptedTool]:
    world, tool = World(agent=agent, others=others), ScriptedTool("lookup", "POST", 0.3, answer)
    admission = Admission(
        world.planner,
        world.services.calls,
        max_live=10,
        require_storage=lambda: None,
        on_rejected=world.metrics.call_rejected,
    )
    return world, CallLookups(admission, lambda _endpoint: tool), tool


async def looked_up(answer: ToolAnswer | ProviderError, **more: Any) -> LookedUp:
    _, lookups, _ = world_and_lookups(answer)
    return await lookups.ask(replace(a_call("call-1"), **more), "web")


async def test_a_call_begins_with_what_was_found() -> None:
    found = await looked_up(ToolAnswer(200, '{"variables": {"name": "Anna"}, "language": "ru", "agent": "standard"}'))

    assert found.call.lookup == {"name": "Anna"}
    assert (found.call.agent, found.call.metadata["language_hint"]) == ("standard", "ru")
    assert found.event is not None
    assert (found.event.ok, found.event.found, found.event.seconds) == (True, ("name",), pytest.approx(0.3, abs=0.01))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (ProviderTimeout("tools", "no answer in time"), "no answer in time"),
        (ToolAnswer(404, "{}"), "answered 404"),
        (ToolAnswer(200, "<html>"), "the answer is not JSON"),
        (ToolAnswer(200, '{"agent": "nobody"}'), "agent: is not known"),
        (ToolAnswer(200, '{"language": "fr"}'), "language: the agent does not speak it"),
    ],
)
async def test_a_lookup_that_fails_leaves_the_call_as_it_was_and_a_row_says_so(
    answer: ToolAnswer | ProviderError, problem: str
) -> None:
    found = await looked_up(answer)

    assert (found.call.agent, found.call.lookup, found.call.metadata) == (None, {}, a_call("call-1").metadata)
    assert found.event is not None
    assert (found.event.ok, found.event.problems) == (False, (problem,))


async def test_an_agent_without_a_lookup_asks_nobody() -> None:
    _, lookups, tool = world_and_lookups(ToolAnswer(200, "{}"), AGENT)

    assert await lookups.ask(a_call("call-1"), "web") == LookedUp(a_call("call-1"))
    assert tool.asked == []


async def test_the_row_is_the_second_one_of_the_call() -> None:
    world, lookups, _ = world_and_lookups(ToolAnswer(200, '{"language": "ru"}'))
    async with desk(world, look_up=lookups.ask) as here:
        call = await here.rings()
        await call.until("agent.finished")

    rows = world.journal.rows_of["call-1"]
    assert [row.type for row in rows[:2]] == ["call.created", "lookup.finished"]
    assert call.turns()[0] == ("assistant", "Алло!")


async def test_a_call_that_the_lookup_refuses_is_not_taken() -> None:
    world, lookups, _ = world_and_lookups(ToolAnswer(200, '{"reject": true}'))
    async with desk(world, look_up=lookups.ask) as here:
        with pytest.raises(CallRejected):
            await here.rings()

    looked, ended = world.journal.rows_of["call-1"]
    assert (looked.type, looked.data["rejected"], looked.t) == ("lookup.finished", True, pytest.approx(0.3, abs=0.01))
    assert (ended.type, ended.data["reason"], ended.data["detail"]) == (
        "call.ended",
        "rejected_policy",
        "refused by the lookup",
    )


async def test_what_an_operator_asks_for_meanwhile_is_not_lost() -> None:
    world, lookups, _ = world_and_lookups(ToolAnswer(200, "{}"))
    held = list[list[str]]()

    async def slow(call: CallContext, direction: Direction) -> LookedUp:
        await asyncio.sleep(0.1)
        held.append(here.dispatcher._held())
        here.dispatcher.emit(call.call_id, ev.HangupRequested())
        return await lookups.ask(call, direction)

    async with desk(world, look_up=slow) as here:
        row = a_row_of_calls("call-1", direction="outbound", agent="standard", owner="worker-a")
        body = await here.dispatcher.start_placed(row, FarEnd())
        await body.wait_ended()

    assert held == [["call-1"]]
    assert body.record.end_reason == "operator_hangup"


CLINIC = replace(AGENT, name="clinic", policy=replace(POLICY, max_cost_usd=0.5), max_day_cost_usd=3.0)
NEVER = CallingHours(time(9), time(18), frozenset({"mon"}), zone=UTC)


async def placed(answer: str, clinic: AgentProfile = CLINIC, fails_with: Exception | None = None) -> World:
    """A call that the agent ``standard`` has placed, with the answer of its lookup."""
    world, lookups, _ = world_and_lookups(ToolAnswer(200, answer), others=[clinic])
    world.calls.fails_with = fails_with
    async with desk(world, look_up=lookups.ask) as here:
        row = a_row_of_calls("call-1", direction="outbound", agent="standard", owner="worker-a", called_number=MOSCOW)
        body = await here.dispatcher.start_placed(row, FarEnd())
        body.emit(ev.HangupRequested(at_once=True))
        await body.wait_ended()
    return world


async def test_the_agent_that_the_lookup_chooses_reserves_and_is_announced() -> None:
    assert (await placed('{"agent": "clinic"}')).calls.settled == [Reservation("clinic", 0.5, None, 3.0)]
    assert (await placed("{}")).calls.settled == [Reservation("standard")]


async def test_a_call_goes_on_when_its_agent_cannot_be_stored() -> None:
    world = await placed('{"agent": "clinic"}', fails_with=StorageError("the disk is full"))
    assert world.calls.settled == []


@pytest.mark.parametrize(
    ("clinic", "fails_with", "why"),
    [
        (replace(CLINIC, hours=NEVER), None, "the agent clinic may not call: this agent calls from 09:00 to 18:00"),
        (CLINIC, SpendingLimitReached("enough", retry_after=1.0), "the agent clinic may not call: enough"),
    ],
)
async def test_an_agent_that_may_not_call_now_does_not_call_although_the_lookup_says_so(
    clinic: AgentProfile, fails_with: Exception | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sunday = datetime(2026, 11, 29, 12, tzinfo=UTC)
    monkeypatch.setattr("app.calls.dispatch.dispatcher.utc_now", lambda: sunday)

    with pytest.raises(CallRejected, match=why) as refused:
        await placed('{"agent": "clinic"}', clinic, fails_with)
    assert refused.value.row["ok"]


async def test_an_agent_that_would_lack_what_it_needs_is_not_chosen() -> None:
    clinic = replace(CLINIC, variables=(Variable("doctor", required=True), Variable("day", "today", required=True)))

    _, lookups, _ = world_and_lookups(ToolAnswer(200, '{"agent": "clinic"}'), others=[clinic])
    found = await lookups.ask(a_call("call-1"), "web")
    assert found.call.agent is None
    assert found.event is not None
    assert found.event.problems == ("agent: lacks its required variables doctor",)

    _, lookups, _ = world_and_lookups(
        ToolAnswer(200, '{"agent": "clinic", "variables": {"doctor": "Orlova"}}'), others=[clinic]
    )
    assert (await lookups.ask(a_call("call-1"), "web")).call.agent == "clinic"
