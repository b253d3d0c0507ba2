"""The chains as the registry makes them, with the real clients and production's patience, against the stand-ins."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.clients.entry import ClientSetup
from app.clients.registry import VendorRegistry
from app.models import Message
from app.ports.streams import ModelBegun, ModelEvent, ModelFailed, ModelUsed, TextDelta
from app.ports.vendors import LlmOptions
from sandbox.running import RunningSandbox, running_sandbox
from sandbox.vendors.faults import Fault
from sandbox.vendors.stage import Reply
from tests.end_to_end.service import settings_for

ANSWER = "We open at nine on weekdays. On Saturday we open at ten, and on Sunday we stay closed."
ASKED = [Message("system", "Help."), Message("user", "When do you open?")]
LUNA, TERRA, ELSEWHERE = "gpt-6-luna", "gpt-6.1-terra", "gpt-4.1"


@asynccontextmanager
async def vendors(tmp_path: Path, *faults: Fault) -> AsyncIterator[tuple[RunningSandbox, VendorRegistry]]:
    async with running_sandbox() as sandbox:
        for fault in faults:
            sandbox.stage.faults.add(fault)
        sandbox.stage.call("call-1").answer(Reply(ANSWER))
        second = {"llm_fallback_base_url": sandbox.openai_base_url, "llm_fallback_model": ELSEWHERE}
        registry = VendorRegistry(ClientSetup(settings_for(tmp_path, sandbox, **second)))
        try:
            yield sandbox, registry
        finally:
            await registry.aclose()


async def answer_of(registry: VendorRegistry) -> tuple[list[ModelEvent], float]:
    """The events, and seconds until the first text."""
    model = registry.llm(LlmOptions(LUNA))
    await registry.warm_up_llm()
    clock = asyncio.get_running_loop().time
    began, first, events = clock(), 0.0, []
    async for event in model.stream_reply(ASKED, call_id="call-1"):
        first = first or (clock() - began if isinstance(event, TextDelta) else 0.0)
        events.append(event)
    return events, first


def text(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def ways(events: list[ModelEvent]) -> list[str]:
    return [event.way for event in events if isinstance(event, ModelBegun)]


async def test_one_request_that_hangs_is_made_good_by_the_same_model(tmp_path: Path) -> None:
    async with vendors(tmp_path, Fault("openai", "hang", route="responses")) as (_sandbox, registry):
        events, first = await answer_of(registry)
    assert (text(events), ways(events)) == (ANSWER, ["again"])
    assert 0.9 <= first < 1.6
    assert [(used.way, used.served) for used in events if isinstance(used, ModelUsed)] == [("openai-responses", False)]


@pytest.mark.parametrize(
    ("kind", "least", "most"), [("hang", 2.3, 3.2), ("refuse", 0.0, 0.9), ("unauthorized", 0.0, 0.9)]
)
async def test_a_vendor_that_is_down_is_made_good_by_the_second_server(
    kind: str, least: float, most: float, tmp_path: Path
) -> None:
    down = [Fault("openai", kind, times=None, model=model) for model in (LUNA, TERRA)]
    async with vendors(tmp_path, *down) as (_sandbox, registry):
        events, first = await answer_of(registry)
    assert (text(events), ways(events)) == (ANSWER, ["endpoint"])
    assert least <= first < most
    assert len([event for event in events if isinstance(event, ModelFailed)]) == 3


@pytest.mark.parametrize(
    ("retry_after", "way", "least", "most"), [(0.3, "again", 0.3, 0.9), (20.0, "gpt-6.1-terra", 0.0, 0.6)]
)
async def test_a_short_limit_is_waited_for_and_a_long_one_is_not(
    retry_after: float, way: str, least: float, most: float, tmp_path: Path
) -> None:
    limited = Fault("openai", "rate_limit", retry_after=retry_after, model=LUNA)
    async with vendors(tmp_path, limited) as (_sandbox, registry):
        events, first = await answer_of(registry)
    assert (text(events), ways(events)) == (ANSWER, [way])
    assert least <= first < most


@pytest.mark.parametrize("kind", ["stall", "cut", "error_event"])
async def test_an_answer_that_breaks_off_is_finished_elsewhere_and_nothing_is_said_twice(
    kind: str, tmp_path: Path
) -> None:
    async with vendors(tmp_path, Fault("openai", kind, after_items=9, route="responses")) as (sandbox, registry):
        events, _first = await answer_of(registry)
        asked = [request.body["input"] for request in sandbox.stage.requests if request.route == "responses"]
    assert text(events) == ANSWER
    assert len(ways(events)) == 2
    assert [used.served for used in events if isinstance(used, ModelUsed)] == [True]
    begun = asked[1][-2]["content"]
    assert ANSWER.startswith(begun)
    assert begun


async def test_a_script_answers_a_second_request_for_the_same_with_the_same(tmp_path: Path) -> None:
    """The stand-in, as a model would: both requests of a hedge are about one question."""
    async with vendors(tmp_path) as (sandbox, registry):
        sandbox.stage.call("call-1").replies.clear()
        sandbox.stage.call("call-1").answer(Reply(ANSWER, delay=1.5), Reply("Goodbye!"))
        events, _first = await answer_of(registry)
        assert text(events) == ANSWER
        events, _first = await answer_of(registry)
        assert text(events) == "Goodbye!"
