"""``voice-agent demo`` on a machine where nothing is set: a caller books a visit, and the outcome is reported."""

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
NAMES = {"ru": "Анна Орлова", "en": "Anna Green"}
DAYS = {"ru": "пятницу", "en": "Friday"}


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demos]:
    """One in each language, both at once: they take a minute and hardly any work."""
    with ExitStack() as stack:
        yield {language: _demo(stack, language, tmp_path_factory.mktemp(language)) for language in NAMES}


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


@pytest.mark.parametrize("language", NAMES)
def test_a_demo_books_a_visit_and_prints_what_came_of_it(demos: Demos, language: str) -> None:
    process, folder = demos[language]
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert "hello, Anna" in output or "здравствуйте, Анна" in output
    assert "(presses 1)" in output
    assert "interrupted; the caller had heard" in output
    assert "the agent has hung up: agent_hangup" in output
    assert re.search(r"added +\d+\.\d ms p50", output)
    assert re.search(rf"│ day +│ \d{{4}}-\d\d-\d\d +│ {DAYS[language]} +│ 4 +│ caller, who said yes", output)
    assert re.search(rf"│ patient +│ {NAMES[language]} +│ .+ │ 5 +│ caller, who said yes", output)
    assert re.search(r"│ telephone +│ 79990000001 +│ .+ │ 7 +│ keypad ", output)
    assert re.search(r"│ visit +│ first +│", output)
    assert re.search(r"webhook +call\.analyzed, msg_\w+, sent to http://127\.0\.0\.1:\d+/calls\n", output)
    (recording,) = (folder / "data" / "demo").glob("call_*.wav")
    with wave.open(str(recording)) as wav:
        assert wav.getnchannels() == 2
        assert wav.getnframes() / wav.getframerate() > 20
    assert "Traceback" not in (folder / "data" / "demo" / "service.log").read_text()
