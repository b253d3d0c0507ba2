"""``voice-agent demo`` on a machine where nothing is set: a whole call, a report of it, and files to look at."""

import re
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.processes import environment

Demos = dict[str, tuple[subprocess.Popen[str], Path]]
QUESTIONS = {"ru": "А как подготовиться к первому приёму?", "en": "And how do I prepare for a first visit?"}


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demos]:
    """One in each language, both at once: they take half a minute and hardly any work."""
    with ExitStack() as stack:
        yield {language: _demo(stack, language, tmp_path_factory.mktemp(language)) for language in QUESTIONS}


def _demo(stack: ExitStack, language: str, folder: Path) -> tuple[subprocess.Popen[str], Path]:
    process = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-m", "app.cli", "demo", "--language", language, "--profile", "instant"],
            cwd=folder,
            env=environment(PYTHONPATH=str(Path.cwd()), TTS_SPEED="1.5"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
    )
    stack.callback(process.send_signal, signal.SIGINT)
    return process, folder


@pytest.mark.parametrize("language", QUESTIONS)
def test_a_demo_holds_a_whole_call_and_prints_a_report(demos: Demos, language: str) -> None:
    process, folder = demos[language]
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert QUESTIONS[language] in output
    assert "interrupted; the caller had heard" in output
    assert "the agent has hung up: agent_hangup" in output
    assert re.search(r"added +\d+\.\d ms p50", output)
    (recording,) = (folder / "data" / "demo").glob("call_*.wav")
    with wave.open(str(recording)) as wav:
        assert wav.getnchannels() == 2
        assert wav.getnframes() / wav.getframerate() > 20
    assert "Traceback" not in (folder / "data" / "demo" / "service.log").read_text()
