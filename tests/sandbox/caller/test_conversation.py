"""What is shown of a simulated caller's call, for people and for programs."""

import io
import json

from sandbox.caller.conversation import Conversation
from sandbox.caller.events import CallerDone, CallerEvent, CallerSpeaks, Connected, Ended, Journaled

EVENTS: tuple[CallerEvent, ...] = (
    Connected("call_1"),
    Journaled(0.1, {"type": "agent.clause_started", "data": {"text": "Hello! "}}),
    Journaled(0.1, {"type": "state.changed", "data": {"before": "LISTENING", "after": "SPEAKING"}}),
    CallerSpeaks(2.25, "Are you open today?"),
    CallerDone(3.5),
    Ended(9.0, "agent", "agent_hangup"),
)


def test_it_prints_the_link_and_what_both_sides_say() -> None:
    out = io.StringIO()
    conversation = Conversation("http://127.0.0.1:8000/", out)
    for event in EVENTS:
        conversation.show(event)
    conversation.fail("the line broke")

    assert out.getvalue().splitlines() == [
        "http://127.0.0.1:8000/#/calls/call_1",
        "  0.10 s  agent   Hello!",
        "  2.25 s  caller  Are you open today?",
        "  9.00 s  the agent hung up: agent_hangup",
        "The call failed: the line broke",
    ]


def test_for_programs_each_line_is_an_object() -> None:
    out = io.StringIO()
    conversation = Conversation("http://127.0.0.1:8000", out, as_json=True)
    for event in EVENTS:
        conversation.show(event)
    conversation.fail("the line broke")

    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"type": "connected", "call_id": "call_1", "url": "http://127.0.0.1:8000/#/calls/call_1"},
        {"type": "agent", "at": 0.1, "text": "Hello!"},
        {"type": "caller", "at": 2.25, "text": "Are you open today?"},
        {"type": "ended", "at": 9.0, "by": "agent", "reason": "agent_hangup"},
        {"type": "failed", "reason": "the line broke"},
    ]
