"""A service that has had calls by the simulated caller, of every kind that the page shows, and holds one."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.caller.score import Score, interrupts, says, waits, waits_for_agent, waits_for_end
from sandbox.vendors.faults import Fault
from tests.end_to_end.calls import END_CALL, QUIET, Held, hold
from tests.end_to_end.service import RunningService, service_in_thread

AGENT = """\
name: clinic
prompt: You answer for a clinic.
language: en
greeting: {en: Good morning.}
lines: {en: {fillers: [One moment.]}}
outcome:
  fields: {booked: {type: boolean, description: Whether a visit was booked}}
tools:
  - name: find_free_times
    description: Free times of a day.
    method: GET
    url: http://127.0.0.1:9/free-times
    parameters: {type: object, properties: {day: {type: string}}, required: [day]}
    timeout_seconds: 1.5
"""
GOODBYE: dict[str, Any] = {"text": "Goodbye!", "tool_calls": END_CALL}
LONG = "We are open every day from nine in the morning to eight in the evening, and on Saturday until noon."
TOOL: dict[str, Any] = {"text": "", "tool_calls": [{"name": "find_free_times", "arguments": {"day": "2026-12-04"}}]}
HOURS = "When are you open?"
FREE = "Is Friday free?"
LATE_SECONDS = 2.2
LIVE_SECONDS_MAX = 30.0


@dataclass(frozen=True, slots=True)
class BusyService:
    """The service, and its calls by what happened in them."""

    service: RunningService
    good: Held
    interrupted: Held
    failed: Held

    @property
    def url(self) -> str:
        return self.service.url


def talk(*steps: Any, replies: tuple[dict[str, Any], ...]) -> Score:
    return Score("page", "en", steps, replies, 12)


GOOD = talk(
    *(waits_for_agent(QUIET), says(HOURS), waits_for_agent(QUIET), says("Thank you, goodbye!"), waits_for_end()),
    replies=({"text": "From nine to five."}, GOODBYE),
)
INTERRUPTED = talk(
    *(waits_for_agent(QUIET), says(HOURS), interrupts("And on Sunday?", after=1.2), waits_for_agent(QUIET)),
    replies=({"text": LONG}, {"text": "On Sunday we are closed."}),
)
FAILED = talk(
    *(waits_for_agent(QUIET), says(FREE), waits_for_agent(1.0), says("Goodbye!"), waits_for_end()),
    replies=(TOOL, {"text": "I cannot look it up."}, GOODBYE),
)
LIVE = talk(
    waits_for_agent(QUIET), says(HOURS), waits_for_agent(QUIET), waits(100), replies=({"text": "From nine to five."},)
)


@contextmanager
def busy_service(folder: Path, **settings: Any) -> Iterator[BusyService]:
    """Serve until the context is left. The failed call has a late answer, a failure of the model, and one of a tool."""
    agents = folder / "agents"
    agents.mkdir()
    (agents / "clinic.yaml").write_text(AGENT)
    values = {"api_key": None, "language": "en", "agents_dir": agents, "telephony_usd_per_minute": 0.01, **settings}
    with service_in_thread(folder / "data", **values) as service:
        yield service.run(_calls(service))


async def _calls(service: RunningService) -> BusyService:
    async def failing() -> Held:
        async with asyncio.timeout(60):
            late = Fault("openai", "late", times=None, seconds_per_item=LATE_SECONDS, phrase=FREE)
            refused = Fault("openai", "refuse", phrase=FREE)
            for fault in (refused, late):
                service.sandbox.stage.faults.add(fault)
            held = await hold(service, FAILED, number="+70000000003", agent="clinic")
            service.sandbox.stage.faults.remove(late)
            return held

    good, interrupted, failed = await asyncio.gather(
        hold(service, GOOD, number="+70000000001", agent="clinic"),
        hold(service, INTERRUPTED, number="+70000000002", agent="clinic"),
        failing(),
    )
    return BusyService(service, good, interrupted, failed)


@contextmanager
def live_call(service: RunningService, wanted: Score = LIVE) -> Iterator[str]:
    """A call that lives while the context is entered; yields its id once something was said."""
    before = _live(service)
    held = asyncio.run_coroutine_threadsafe(hold(service, wanted, number="+70000000009", agent="clinic"), service.loop)
    try:
        yield service.run(_answered(service, before))
    finally:
        held.cancel()
        service.run(_gone(held))


def _live(service: RunningService) -> set[str]:
    return service.run(_ids(service))


async def _ids(service: RunningService) -> set[str]:
    async with service.async_client() as http:
        return {call["call_id"] for call in (await http.get("/calls/live")).json()["calls"]}


async def _answered(service: RunningService, before: set[str]) -> str:
    async with asyncio.timeout(LIVE_SECONDS_MAX), service.async_client() as http:
        while True:
            for call in (await http.get("/calls/live")).json()["calls"]:
                if call["call_id"] not in before and call["words"]:
                    return str(call["call_id"])
            await asyncio.sleep(0.05)


async def _gone(held: Future[Held]) -> None:
    """The caller hangs up by going away."""
    while not held.done():
        await asyncio.sleep(0.01)
