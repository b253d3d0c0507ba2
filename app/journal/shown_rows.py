"""Which parts of a call's journal its own caller may see.

The address of a media websocket may be in a browser, so its holder may be a stranger to the operator. They see what
caller and agent said, and who has the floor. What belongs to the operator is hidden: prompt, policy, tools, vendors,
costs, and text that the caller has not heard.
"""

from collections.abc import Mapping
from typing import Any

from app.conversation import events as ev
from app.conversation.opening_events import ConsentAnswered

SHOWN: Mapping[str, frozenset[str]] = {
    ev.CallAnswered.type: frozenset({"since_t"}),
    ev.CallEnded.type: frozenset({"reason"}),
    ev.StateChanged.type: frozenset({"before", "after"}),
    ev.CallerSoundStarted.type: frozenset({"since_t"}),
    ev.CallerSoundStopped.type: frozenset({"last_voiced_t"}),
    ev.CallerWords.type: frozenset({"text"}),
    ev.CallerTurnEndedEagerly.type: frozenset({"text", "language"}),
    ev.CallerTurnResumed.type: frozenset({"text"}),
    ev.CallerTurnEnded.type: frozenset({"text", "confidence", "language", "last_voiced_t"}),
    ev.CallerDtmf.type: frozenset({"digit"}),
    ev.CallerTyped.type: frozenset({"text"}),
    ev.CallerLeft.type: frozenset({"reason"}),
    ev.CallerIgnored.type: frozenset({"reason"}),
    ConsentAnswered.type: frozenset({"agreed"}),
    ev.TurnTaken.type: frozenset({"text", "source", "started_t", "ended_t", "language", "confidence"}),
    ev.AgentReplyStarted.type: frozenset({"speech", "kind", "language"}),
    ev.AgentClauseStarted.type: frozenset({"speech", "text", "start_sample"}),
    ev.AgentPaused.type: frozenset({"speech", "heard"}),
    ev.AgentResumed.type: frozenset({"speech"}),
    ev.AgentInterrupted.type: frozenset({"speech", "heard", "exact"}),
    ev.AgentFinished.type: frozenset({"speech", "heard", "exact"}),
}
"""Row types, and the fields of their ``data``. A type or a field that is not here is hidden."""


def shown_to_caller(row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The row as the caller may see it; None when it is hidden. ``seq`` stays, so hidden rows leave gaps."""
    fields = SHOWN.get(row["type"])
    if fields is None:
        return None
    return {**row, "data": {name: value for name, value in row["data"].items() if name in fields}}
