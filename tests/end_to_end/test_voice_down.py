"""The vendor of the voice is down from the first second to the last, and nothing is prepared: the call is held."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.running import running_sandbox
from sandbox.vendors.espeak_program import install
from sandbox.vendors.faults import Fault
from tests.end_to_end.both_languages import SILENCE_SECONDS, SLOWER_SECONDS, both
from tests.end_to_end.service import service_beside
from tests.end_to_end.silences import longest_silence

LEAPING_TIME = True

ANSWERS = {
    "ru": ("Мы работаем каждый день с девяти до восьми. По праздникам у нас закрыто.", "До свидания!"),
    "en": ("We are open every day from nine to eight. On holidays we are closed.", "Goodbye!"),
}
WAYS = {"ru": {"espeak"}, "en": {"deepgram-aura"}}


@pytest.fixture(scope="module", autouse=True)
def _local_voice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The program that speaks locally, or its stand-in."""
    with pytest.MonkeyPatch.context() as patch:
        if shutil.which("espeak-ng") is None:
            folder = install(tmp_path_factory.mktemp("bin")).parent
            patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        yield


@pytest.mark.parametrize("kind", ["hang", "stall"])
async def test_a_call_is_held_in_voice_and_in_turns(kind: str, tmp_path: Path) -> None:
    """With production's settings and the three keys alone."""
    async with running_sandbox(profile="typical") as sandbox:
        sandbox.stage.faults.add(Fault("cartesia", kind, times=None))
        async with service_beside(sandbox, tmp_path, tts_speed=1.0) as service:
            calls = await both(service, ANSWERS)

    for language, held in calls.items():
        answer, goodbye = ANSWERS[language]
        assert [text.strip() for text in held.said("assistant")[1:]] == [answer, goodbye], kind
        assert held.record["end_reason"] == "agent_hangup"
        assert longest_silence(held.report) <= SILENCE_SECONDS
        assert max(held.report.responses) <= SLOWER_SECONDS
        answers = [turn for turn in held.record["turns"] if turn["role"] == "assistant"]
        # One that stalls speaks the beginning of each sentence itself, and the whole of a short one.
        assert all(WAYS[language] <= set(turn["served"]["tts"]) for turn in answers if turn["text"] != goodbye)
        assert held.record["costs"]["tts"] is not None
        used = [row["data"] for row in held.rows("provider.used") if row["data"]["stage"] == "speak"]
        assert sum(row["cost"] for row in used) == pytest.approx(held.record["costs"]["tts"], abs=1e-5)
