"""The vendor of the model is down from the first second to the last: a second endpoint answers in its place."""

from pathlib import Path

import pytest

from sandbox.caller.score import says, waits_for_agent, waits_for_end
from sandbox.running import running_sandbox
from sandbox.vendors.faults import Fault
from tests.end_to_end.calls import END_CALL, GREETING, hold, score
from tests.end_to_end.service import service_beside
from tests.end_to_end.silences import longest_silence

LEAPING_TIME = True

ANSWER = "Мы работаем каждый день с девяти утра до восьми вечера. По праздникам у нас закрыто и телефон не отвечает."
GOODBYE = "До свидания!"
QUIET = 2.5
"""So long the caller listens whether the agent has more to say."""
SILENCE_SECONDS = 2.0
SLOWER_SECONDS = 3.2
SCORE = score(
    waits_for_agent(QUIET),
    says("Когда вы открыты?"),
    waits_for_agent(QUIET),
    says("До свидания!"),
    waits_for_end(),
    replies=({"text": ANSWER}, {"text": GOODBYE, "tool_calls": END_CALL}),
    patience=20,
)
ELSEWHERE = "gpt-4.1"


@pytest.mark.parametrize("kind", ["hang", "stall"])
async def test_a_call_is_held_by_the_second_endpoint(kind: str, tmp_path: Path) -> None:
    """With production's settings."""
    async with running_sandbox(profile="typical") as sandbox:
        for model in ("gpt-6-luna", "gpt-6.1-terra"):
            sandbox.stage.faults.add(Fault("openai", kind, times=None, model=model))
        async with service_beside(
            sandbox,
            tmp_path,
            tts_speed=1.0,
            greeting=GREETING,
            llm_fallback_base_url=sandbox.openai_base_url,
            llm_fallback_model=ELSEWHERE,
        ) as service:
            held = await hold(service, SCORE)

    assert held.said("assistant") == [GREETING, ANSWER, GOODBYE]
    assert held.record["end_reason"] == "agent_hangup"
    assert longest_silence(held.report) <= SILENCE_SECONDS
    assert max(held.report.responses) <= SLOWER_SECONDS
    answers = [turn["served"] for turn in held.record["turns"] if turn["role"] == "assistant"][1:]
    assert all("endpoint" in served["llm"] for served in answers)
    assert held.record["costs"]["llm"] is not None
