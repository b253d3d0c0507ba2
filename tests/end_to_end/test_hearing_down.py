"""The vendor that hears is down from the first second to the last, and nothing is warm: the call is held in turns."""

import asyncio
from pathlib import Path

import pytest

from sandbox.caller.score import says, waits_for_agent, waits_for_end
from sandbox.running import running_sandbox
from sandbox.vendors.faults import Fault
from tests.end_to_end.calls import END_CALL, Held, hold, score
from tests.end_to_end.service import RunningService, service_beside
from tests.end_to_end.silences import longest_silence

LEAPING_TIME = True

ANSWERS = {
    "ru": ("Мы работаем каждый день с девяти до восьми.", "До свидания!"),
    "en": ("We are open every day from nine to eight.", "Goodbye!"),
}
QUESTIONS = {"ru": ("Когда вы открыты?", "До свидания!"), "en": ("When are you open?", "Goodbye!")}
OTHER = "cartesia-whisper"
QUIET = 2.5
"""So long the caller listens whether the agent has more to say."""
SILENCE_SECONDS = 2.0
SLOWER_SECONDS = 3.2
"""From the caller's last sound to the answer: two seconds more than without a fault."""


async def a_call(service: RunningService, language: str) -> Held:
    question, farewell = QUESTIONS[language]
    answer, goodbye = ANSWERS[language]
    wanted = score(
        waits_for_agent(QUIET),
        says(question),
        waits_for_agent(QUIET),
        says(farewell),
        waits_for_end(),
        replies=({"text": answer}, {"text": goodbye, "tool_calls": END_CALL}),
        language=language,
        patience=20,
    )
    return await hold(service, wanted, metadata={"language_hint": language})


async def both(service: RunningService) -> dict[str, Held]:
    async with asyncio.TaskGroup() as tasks:
        calls = {name: tasks.create_task(a_call(service, name), name=name) for name in ANSWERS}
    return {name: call.result() for name, call in calls.items()}


@pytest.mark.parametrize("kind", ["hang", "unauthorized", "stall"])
async def test_a_call_is_held_in_turns(kind: str, tmp_path: Path) -> None:
    """With production's settings and the three keys alone."""
    async with running_sandbox(profile="typical") as sandbox:
        sandbox.stage.faults.add(Fault("deepgram", kind, times=None))
        async with service_beside(sandbox, tmp_path, tts_speed=1.0) as service:
            calls = await both(service)

    for language, held in calls.items():
        assert held.said("user") == list(QUESTIONS[language]), kind
        assert [text.strip() for text in held.said("assistant")[1:]] == list(ANSWERS[language])
        assert held.record["end_reason"] == "agent_hangup"
        failed = {row["data"]["provider"] for row in held.rows("provider.failed") if row["data"]["answer"] != "late"}
        assert failed <= {"deepgram"}
        assert held.record["fault"] == ("provider:deepgram" if failed else "none"), "none: it was known to be down"
        assert longest_silence(held.report) <= SILENCE_SECONDS
        assert max(held.report.responses) <= SLOWER_SECONDS
        asked = [turn for turn in held.record["turns"] if turn["role"] == "user"]
        last = {turn["served"]["stt"][-1] for turn in asked}
        if kind == "stall":
            assert last <= {OTHER, "deepgram-nova"}, "a vendor that hears for a moment may hear a whole turn in it"
        else:
            assert last == {OTHER}
        used = [row["data"] for row in held.rows("provider.used") if row["data"]["stage"] == "listen"]
        assert [row["served"] for row in used if row["way"] == OTHER] == [OTHER in last]
        assert sum(row["cost"] for row in used) == pytest.approx(held.record["costs"]["stt"], abs=1e-5)
