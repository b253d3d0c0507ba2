"""``voice-agent chat`` as a developer types it. The sandbox stands in for the model."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.errors import SettingsError
from app.settings import load_settings, load_text_settings
from tests.cli.test_commands import COMMAND
from tests.end_to_end.processes import environment

AGENT = """
prompt: You answer the telephone of {{ company }}.
language: en
variables:
  company: {default: a clinic}
greeting:
  en: Welcome to {{ company }}.
"""


def agents(folder: Path) -> Path:
    (folder / "agents").mkdir()
    (folder / "agents" / "clinic.yaml").write_text(AGENT)
    return folder


def run(folder: Path, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(PYTHONPATH=str(Path.cwd())),
        input=typed,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_one_line_gets_its_answer_as_json(tmp_path: Path) -> None:
    finished = run(
        agents(tmp_path), "chat", "clinic", "--json", "--once", "When are you open?", "--set", "company=Smith & Co"
    )
    # on a busy machine the answer may be late, and then the agent says so
    shown = [line for line in lines(finished.stdout) if line["type"] != "event" and line.get("kind") != "filler"]

    assert finished.returncode == 0, finished.stderr
    assert [line["type"] for line in shown] == ["call", "agent", "caller", "agent", "figures", "end"]
    assert shown[0]["agent"] == "clinic"
    assert shown[0]["sandbox"] is True
    assert shown[1]["text"] == "Welcome to Smith & Co."
    assert shown[2]["text"] == "When are you open?"
    assert "nine in the morning" in shown[3]["text"]
    assert shown[4]["prompt_tokens"] > 20
    assert shown[4]["cost_usd"] > 0
    assert shown[4]["first_token_seconds"] > 0
    assert (shown[5]["reason"], shown[5]["turns"]) == ("caller_hangup", 1)
    assert finished.stderr == ""


def test_each_line_of_a_pipe_is_a_turn(tmp_path: Path) -> None:
    typed = "When are you open?\n\nAnd how much is a visit?\nGoodbye\n"
    finished = run(agents(tmp_path), "chat", "--language", "en", typed=typed)

    assert finished.returncode == 0, finished.stderr
    said = [line.split(maxsplit=1)[1] for line in finished.stdout.splitlines() if line.startswith("you ")]
    assert said == ["When are you open?", "And how much is a visit?", "Goodbye"]
    assert "agent Thank you for calling. Goodbye!" in finished.stdout
    assert "agent_hangup; 3 turns;" in finished.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nobody",), "agent nobody: is not known; there are clinic, standard"),
        (("clinic", "--set", "firm=x"), "variables.firm: is not known; the agent has company"),
        (("clinic", "--set", "company"), "--set company: write name=value"),
    ],
)
def test_a_wrong_request_is_refused_in_a_line(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    finished = run(agents(tmp_path), "chat", *arguments, "--once", "Hello")
    assert finished.returncode == 2
    assert told in finished.stderr
    assert "Traceback" not in finished.stderr


def test_the_key_of_the_model_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-model")
    assert load_text_settings(None).uses_live_vendors
    with pytest.raises(SettingsError):
        load_settings(None)


def test_without_the_key_of_the_model_the_sandbox_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "dg-key")
    monkeypatch.setenv("VA_HOST", "0.0.0.0")  # noqa: S104 - nobody listens there
    assert not load_text_settings(None).uses_live_vendors


def test_in_production_the_key_of_the_model_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    with pytest.raises(SettingsError) as error:
        load_text_settings(None)
    assert [line.partition(":")[0] for line in error.value.problems] == ["OPENAI_API_KEY"]
