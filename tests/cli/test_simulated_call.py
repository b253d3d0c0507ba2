"""A simulated caller calls a running service from the command line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.cli.caller_voice import recognisable_voice
from app.cli.simulated_call import CallOptions, call_command
from app.settings import load_settings
from sandbox.caller.score import Score, says, waits_for_agent
from sandbox.child_server import free_port
from sandbox.vendors import espeak_program
from tests.end_to_end.calls import QUIET, score
from tests.end_to_end.service import API_KEY, RunningService, service_in_thread


def asks(when: str, answer: str) -> Score:
    return score(waits_for_agent(QUIET), says(when), waits_for_agent(QUIET), replies=({"text": answer},))


def listed(service: RunningService, **asked: str) -> list[str]:
    with service.client() as http:
        return [call["call_id"] for call in http.get("/calls", params=asked).json()["calls"]]


def test_both_sides_are_printed_a_refusal_is_a_failure_and_no_list_of_callers_has_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("API_KEY", API_KEY)
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    with service_in_thread(tmp_path / "data", providers="sandbox") as service:
        options = CallOptions(service.url, None, {}, asks("Когда вы открыты?", "С девяти."), None)
        assert call_command(settings, options) == 0
        said = capsys.readouterr().out
        assert call_command(settings, replace(options, as_json=True)) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line[:8] == '{"type":']
        assert call_command(settings, replace(options, agent="nobody")) == 1
        refused = capsys.readouterr().out
        with service.client() as http:
            call = http.get(f"/calls/{lines[0]['call_id']}").json()
        assert (listed(service), len(listed(service, synthetic="true"))) == ([], 2)
    assert "caller  Когда вы открыты?" in said
    assert "agent   С девяти." in said
    assert ("agent", "С девяти.") in [(line["type"], line.get("text")) for line in lines]
    assert (lines[0]["type"], lines[-1]["type"], lines[-1]["by"]) == ("connected", "ended", "caller")
    assert (call["synthetic"], call["metadata"]["score"]) == (True, options.score.name)
    assert "The call failed: the session was refused with 422" in refused


def test_the_command_lists_the_scores_and_knows_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cli = CliRunner()
    plain, told = cli.invoke(app, ["call", "--list"]), cli.invoke(app, ["call", "--list", "--json"])
    names = [each["name"] for each in json.loads(told.stdout)["scores"]]
    assert [line.split()[0] for line in plain.stdout.splitlines()] == names
    assert {"demo-en", "demo-ru", "booking-en", "booking-ru"} == set(names)
    unknown = cli.invoke(app, ["call", "singing"])
    assert unknown.exit_code == 2
    nowhere = cli.invoke(app, ["call", "demo-en", "--url", f"http://127.0.0.1:{free_port()}"])
    assert (nowhere.exit_code, nowhere.stdout) == (1, "The call failed: the service cannot be reached: ConnectError\n")


def test_without_the_sandboxs_voice_the_program_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cli.caller_voice.load_espeak", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert recognisable_voice() is None
    espeak_program.install(tmp_path)
    speak = recognisable_voice()
    assert speak is not None
    assert len(speak("Good morning, are you open?", "en", 8000)) > 8000
