"""A simulated caller calls a running service from the command line."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.cli.simulated_call import CallOptions, call_command
from sandbox.caller.score import says, waits_for_agent
from tests.end_to_end.calls import QUIET, score
from tests.end_to_end.service import API_KEY, service_in_thread


def test_both_sides_are_printed_and_a_refusal_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("API_KEY", API_KEY)
    steps = (waits_for_agent(QUIET), says("Когда вы открыты?"), waits_for_agent(QUIET))
    with service_in_thread(tmp_path) as service:
        options = CallOptions(
            service.url, None, {}, score(*steps, replies=({"text": "С девяти."},)), service.sandbox.url
        )
        assert call_command(options) == 0
        said = capsys.readouterr().out
        assert call_command(replace(options, agent="nobody")) == 1
    assert "caller  Когда вы открыты?" in said
    assert "agent   С девяти." in said
    assert "The call failed" in capsys.readouterr().out
