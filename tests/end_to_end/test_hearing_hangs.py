"""The vendor that hears falls silent at any moment around a short sentence: the answer comes in time, to all of it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.caller.caller import Caller
from sandbox.caller.events import CallerEvent, CallerSpeaks, Connected
from sandbox.caller.score import says, waits_for_agent, waits_for_end
from sandbox.running import RunningSandbox, running_sandbox
from sandbox.vendors.faults import Fault
from sandbox.vendors.voice import synthesize
from tests.end_to_end.both_languages import QUIET, SILENCE_SECONDS, SLOWER_SECONDS
from tests.end_to_end.calls import END_CALL, Held, held, score
from tests.end_to_end.service import API_KEY, RunningService, service_beside
from tests.end_to_end.silences import longest_silence

LEAPING_TIME = True

FAREWELL = "До свидания!"
MOMENTS = (0.15, 0.45, 0.75, 1.05)
"""In seconds since the sentence began, which takes about 0.8."""


@pytest.mark.parametrize("kind", ["hang", "stall"])
async def test_all_is_heard_and_answered(kind: str, tmp_path: Path) -> None:
    async with (
        running_sandbox(profile="typical") as sandbox,
        service_beside(sandbox, tmp_path, tts_speed=1.0) as service,
        asyncio.TaskGroup() as tasks,
    ):
        calls = {at: tasks.create_task(a_call(service, kind, at), name=f"{kind} at {at}") for at in MOMENTS}
    for at, call in calls.items():
        told = call.result()
        assert told.said("user") == [FAREWELL], at
        assert longest_silence(told.report) <= SILENCE_SECONDS, at
        assert max(told.report.responses) <= SLOWER_SECONDS, at
        assert told.record["end_reason"] == "agent_hangup"


async def a_call(service: RunningService, kind: str, at: float) -> Held:
    """Its recogniser is struck so many seconds after its caller has begun to speak, and stays so."""
    wanted = score(
        waits_for_agent(QUIET),
        says(FAREWELL),
        waits_for_end(),
        replies=({"text": FAREWELL, "tool_calls": END_CALL},),
        language="ru",
        patience=20,
    )
    caller = Caller(
        service.url,
        lambda text, language, rate: synthesize(text, language, rate).pcm,
        sandbox_url=service.sandbox.url,
        api_key=API_KEY,
        on_event=striking(service.sandbox, kind, at),
    )
    async with caller:
        report = await caller.call(wanted, metadata={"language_hint": "ru"})
    return await held(service, report)


def striking(sandbox: RunningSandbox, kind: str, at: float) -> Callable[[CallerEvent], None]:
    call_id = ""

    def on_event(event: CallerEvent) -> None:
        nonlocal call_id
        if isinstance(event, Connected):
            call_id = event.call_id
        if isinstance(event, CallerSpeaks):
            fault = Fault("deepgram", kind, times=1, call_id=call_id, in_progress=True)
            asyncio.get_running_loop().call_later(at, sandbox.stage.faults.add, fault)

    return on_event
