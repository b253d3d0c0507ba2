"""``voice-agent demo`` on a machine where nothing is set: a whole call, a report of it, and files to look at."""

import re
import subprocess
import wave
from pathlib import Path

import pytest

from tests.end_to_end.conftest import LANGUAGES

Demos = dict[str, tuple[subprocess.Popen[str], Path]]
QUESTIONS = {"ru": "А как подготовиться к первому приёму?", "en": "And how do I prepare for a first visit?"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_demo_holds_a_whole_call_and_tells_what_it_was_like(demos: Demos, language: str) -> None:
    process, folder = demos[language]
    told, _ = process.communicate(timeout=100)
    assert process.returncode == 0, told
    assert QUESTIONS[language] in told
    assert "interrupted; the caller had heard" in told
    assert "the agent has hung up: agent_hangup" in told
    assert re.search(r"added +\d+\.\d ms p50", told)
    (recording,) = (folder / "data" / "demo").glob("call_*.wav")
    with wave.open(str(recording)) as wav:
        assert wav.getnchannels() == 2
        assert wav.getnframes() / wav.getframerate() > 20
    assert "Traceback" not in (folder / "data" / "demo" / "service.log").read_text()
