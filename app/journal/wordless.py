"""What is left of a row when the words are erased from it.

Words are what was said, pressed or written, by the caller, the agent, a tool or an operator. Times, languages, names of
tools and vendors, latencies and costs stay.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from app.conversation import events as ev
from app.conversation.knowledge_events import KnowledgeSearched
from app.conversation.opening_events import ConsentAnswered, LookupFinished

_NO_WORDS = frozenset(
    event.type
    for event in (
        ev.CallAnswered, ev.CallTakenOver, ev.CallEnded, ev.StateChanged, ev.CallerSoundStarted, ev.CallerSoundStopped,
        ev.CallerHeld, ev.CallerReturned, ev.CallerLeft, ev.CallerIgnored, ev.LegLost, ev.LegRejoined,
        ev.AgentReplyStarted, ev.AgentResumed, ev.TransferStarted, ev.TransferDialled, ev.TransferFailed,
        ev.TransferCompleted, ev.MessageRequested, ev.ProviderFailed, ev.ProviderRestored, ev.ProviderUsed,
        ev.SpendingReached, ev.HangupRequested, ev.TransferRequested, ev.DeadlinePassed, ConsentAnswered,
        LookupFinished,
    )
)  # fmt: skip
_WORDS: Mapping[str, frozenset[str]] = {
    ev.CallerWords.type: frozenset({"text"}),
    ev.CallerTurnEndedEagerly.type: frozenset({"text"}),
    ev.CallerTurnResumed.type: frozenset({"text"}),
    ev.CallerTurnEnded.type: frozenset({"text"}),
    ev.CallerDtmf.type: frozenset({"digit"}),
    ev.CallerTyped.type: frozenset({"text"}),
    ev.TurnTaken.type: frozenset({"text"}),
    ev.AgentReplyGenerated.type: frozenset({"text"}),
    ev.AgentClauseStarted.type: frozenset({"text"}),
    ev.AgentPaused.type: frozenset({"heard"}),
    ev.AgentInterrupted.type: frozenset({"heard", "generated"}),
    ev.AgentFinished.type: frozenset({"heard", "generated"}),
    ev.AgentToolCalled.type: frozenset({"arguments", "line"}),
    ev.AgentToolFinished.type: frozenset({"result"}),
    ev.MessageTranscribed.type: frozenset({"text"}),
    ev.SayRequested.type: frozenset({"text"}),
    KnowledgeSearched.type: frozenset({"passages"}),  # they tell what was asked
}
"""The fields that hold words, by the type of the row."""
AGENT_KEPT = frozenset(
    {"name", "agent_hash", "models", "voices", "speed", "emotion", "chains", "code_version", "retention", "redact"}
)
"""Of the agent in row 1. Its prompt, lines and tools may hold values of the call."""
_POLICY_ERASED = frozenset({"lines", "keypad"})


def has_words(kind: str) -> bool:
    """Whether rows of that type hold words. Rows of a type that this version does not know may."""
    return kind not in _NO_WORDS


def without_words(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The ``data`` of a row without words. Safe to repeat.

    Nothing is left of a row whose type this version does not know, and no field that it does not know.
    """
    if kind in _NO_WORDS:
        return dict(data)
    if kind == ev.CallCreated.type:
        return _created(data)
    words = _WORDS.get(kind)
    if words is None:
        return {}
    known = {item.name for item in fields(ev.EVENT_TYPES[kind])}
    return {name: _blank(value) if name in words else value for name, value in data.items() if name in known}


def _created(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **data,
        "policy": _only(data.get("policy"), lambda name: name not in _POLICY_ERASED),
        "agent": _only(data.get("agent"), lambda name: name in AGENT_KEPT),
    }


def _only(part: Any, is_kept: Callable[[str], bool]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if is_kept(name)} if isinstance(part, dict) else {}


def _blank(value: Any) -> Any:
    """An empty value of the same type."""
    return None if value is None else [] if isinstance(value, list | tuple) else ""
