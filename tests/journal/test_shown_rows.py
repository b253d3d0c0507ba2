"""What the holder of a media address may see of the call's journal."""

from dataclasses import fields

import pytest

from app.conversation.events import EVENT_TYPES
from app.journal.shown_rows import SHOWN, shown_to_caller

SEEN = {
    "call.answered": {"since_t"},
    "call.ended": {"reason"},
    "state.changed": {"before", "after"},
    "caller.sound_started": {"since_t"},
    "caller.sound_stopped": {"last_voiced_t"},
    "caller.words": {"text"},
    "caller.turn_ended_eagerly": {"text", "language"},
    "caller.turn_resumed": {"text"},
    "caller.turn_ended": {"text", "confidence", "language", "last_voiced_t"},
    "caller.dtmf": {"digit"},
    "caller.typed": {"text"},
    "caller.left": {"reason"},
    "caller.ignored": {"reason"},
    "consent.answered": {"agreed"},
    "turn.taken": {"text", "source", "started_t", "ended_t", "language", "confidence"},
    "agent.reply_started": {"speech", "kind", "language"},
    "agent.clause_started": {"speech", "text", "start_sample"},
    "agent.paused": {"speech", "heard"},
    "agent.resumed": {"speech"},
    "agent.interrupted": {"speech", "heard", "exact"},
    "agent.finished": {"speech", "heard", "exact"},
}
"""All that a stranger is told. Whoever adds to it has asked: may everybody who calls read this?"""


@pytest.mark.parametrize("kind", [*EVENT_TYPES, "a.type_of_tomorrow"])
def test_a_caller_sees_what_is_listed_and_nothing_else(kind: str) -> None:
    names = [item.name for item in fields(EVENT_TYPES[kind])] if kind in EVENT_TYPES else ["text"]
    data = {name: f"secret of {name}" for name in [*names, "of_tomorrow"] if name != "turn"}
    row = {"seq": 4, "at": "2026-11-30T12:00:00Z", "t": 1.5, "type": kind, "turn": 2, "v": 1, "data": data}

    shown = shown_to_caller(row)

    if kind not in SEEN:
        assert shown is None
    else:
        assert shown == {**row, "data": {name: data[name] for name in SEEN[kind]}}


def test_every_field_that_is_listed_exists() -> None:
    for kind, names in SHOWN.items():
        assert names <= {item.name for item in fields(EVENT_TYPES[kind])}
