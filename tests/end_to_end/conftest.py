"""Two demos take nearly a minute and hardly any work, so they run beside the other tests."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.processes import environment

LANGUAGES = ("ru", "en")
_STOPS_SECONDS = 10


@pytest.fixture(scope="session", autouse=True)
def demos(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[subprocess.Popen[str], Path]]]:
    """``voice-agent demo`` in each language, begun with the first test of this folder, if a test wants to see it."""
    wanted = any("demo" in item.name for item in request.session.items)
    running = {}
    for language in LANGUAGES if wanted else ():
        folder = tmp_path_factory.mktemp(f"demo-{language}")
        command = [sys.executable, "-m", "app.cli", "demo", "--language", language, "--profile", "instant"]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(PYTHONPATH=str(Path.cwd()), TTS_SPEED="1.5"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        running[language] = process, folder
    yield running
    for process, _folder in running.values():
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(_STOPS_SECONDS)
        assert process.stdout
        process.stdout.close()
