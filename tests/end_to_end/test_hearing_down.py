"""The vendor that hears is down from the first second to the last, and nothing is warm: the call is held in turns."""

from pathlib import Path

import pytest

from sandbox.running import running_sandbox
from sandbox.vendors.faults import Fault
from tests.end_to_end.both_languages import QUESTIONS, SILENCE_SECONDS, SLOWER_SECONDS, both
from tests.end_to_end.service import service_beside
from tests.end_to_end.silences import longest_silence

LEAPING_TIME = True

ANSWERS = {
    "ru": ("Мы работаем каждый день с девяти до восьми.", "До свидания!"),
    "en": ("We are open every day from nine to eight.", "Goodbye!"),
}
OTHER = "cartesia-whisper"


@pytest.mark.parametrize("kind", ["hang", "unauthorized", "stall"])
async def test_a_call_is_held_in_turns(kind: str, tmp_path: Path) -> None:
    """With production's settings and the three keys alone."""
    async with running_sandbox(profile="typical", seed=2) as sandbox:
        sandbox.stage.faults.add(Fault("deepgram", kind, times=None))
        async with service_beside(sandbox, tmp_path, tts_speed=1.0) as service:
            calls = await both(service, ANSWERS)

    for language, held in calls.items():
        assert held.said("user") == list(QUESTIONS[language]), kind
        assert [text.strip() for text in held.said("assistant")[1:]] == list(ANSWERS[language])
        assert {row["data"]["language"] for row in held.rows("turn.taken")} == {language}
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
