"""What ``python -m sandbox.caller`` prints of a call, and what it says when there is no service."""

import io

import pytest

from sandbox.caller.conversation import Conversation, main
from sandbox.caller.events import CallerDone, CallerSpeaks, Connected, Ended, Journaled
from sandbox.child_server import free_port


def test_it_prints_the_link_and_what_both_sides_say() -> None:
    out = io.StringIO()
    conversation = Conversation("http://127.0.0.1:8000/", out)
    for event in (
        Connected("call_1"),
        Journaled(0.1, {"type": "agent.clause_started", "data": {"text": "Hello! "}}),
        Journaled(0.1, {"type": "state.changed", "data": {"before": "LISTENING", "after": "SPEAKING"}}),
        CallerSpeaks(2.25, "Are you open today?"),
        CallerDone(3.5),
        Ended(9.0, "agent", "agent_hangup"),
    ):
        conversation.show(event)

    assert out.getvalue().splitlines() == [
        "http://127.0.0.1:8000/#/calls/call_1",
        "  0.10 s  agent   Hello!",
        "  2.25 s  caller  Are you open today?",
        "  9.00 s  the agent hung up: agent_hangup",
    ]


def test_it_says_that_no_service_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"http://127.0.0.1:{free_port()}", "--language", "en"]) == 1

    assert capsys.readouterr().out == "The call failed: the service cannot be reached: ConnectError\n"
