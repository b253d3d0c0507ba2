"""The commands as an operator types them."""

import asyncio
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.processes import environment
from tests.test_settings import loaded

COMMAND = (sys.executable, "-m", "app.cli")


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(PYTHONPATH=str(Path.cwd()), **variables),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_start_with_wrong_settings_is_refused_in_plain_lines(tmp_path: Path) -> None:
    wrong = {"ENVIRONMENT": "production", "PORT": "none", "MAX_CONCURRENT_CALLS": "0", "OPENAI_API_KEY": "oa-secret"}
    finished = run(tmp_path, "serve", **wrong)
    assert (finished.returncode, finished.stdout) == (2, "")
    named = [line.strip().partition(":")[0] for line in finished.stderr.splitlines()[1:]]
    assert sorted(named) == ["API_KEY", "CARTESIA_API_KEY", "DEEPGRAM_API_KEY", "MAX_CONCURRENT_CALLS", "PORT"]
    assert "Traceback" not in finished.stderr
    assert "oa-secret" not in finished.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("workers", ["1", "2"])
def test_problems_found_before_the_start_are_reported_in_the_same_way(tmp_path: Path, workers: str) -> None:
    (tmp_path / "data").write_text("a file where a folder is wanted")
    finished = run(tmp_path, "serve", AGENT_PROMPT_FILE="nowhere.txt", DATA_DIR="data", WORKERS=workers)
    assert finished.returncode == 2
    assert "AGENT_PROMPT_FILE: nowhere.txt cannot be read" in finished.stderr
    assert "DATA_DIR: data" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_data_directory_that_is_read_only_stops_the_start(tmp_path: Path) -> None:
    finished = run(
        tmp_path, "serve", ENVIRONMENT="development", DATA_DIR="/sys/kernel"
    )  # not even root may write there
    assert finished.returncode == 2
    assert "DATA_DIR: /sys/kernel cannot be written: Permission denied. Name a folder" in finished.stderr
    assert "Traceback" not in finished.stderr


async def test_the_sandbox_prints_settings_that_a_service_can_be_started_with(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "sandbox", "--port", "0", "--profile", "instant", stdout=PIPE, cwd=tmp_path,
        env=environment(PYTHONPATH=str(Path.cwd())),
    )  # fmt: skip
    try:
        assert process.stdout
        async with asyncio.timeout(20):
            printed = [(await process.stdout.readline()).decode().strip() for _line in range(8)]
        settings = loaded(dict(line.split("=", 1) for line in printed if not line.startswith("#")))
        assert settings.uses_live_vendors
        assert settings.openai_api_key
        headers = {"Authorization": f"Bearer {settings.openai_api_key.get_secret_value()}"}
        async with httpx.AsyncClient(trust_env=False) as http:
            models = await http.get(f"{settings.openai_base_url}/models", headers=headers)
            assert models.json()["data"]
            control = printed[-1].rpartition(" ")[2]
            assert control.endswith("/control")
            assert (await http.get(f"{control}/requests")).json()["openai"] == {"models": 1}
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
