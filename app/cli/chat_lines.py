"""What a call in text shows, line by line: each a JSON object whose ``type`` says what it is.

::

    {"type": "call", "agent": "clinic", "language": "en", "model": "a-model", "sandbox": false}
    {"type": "agent", "t": 2.1, "turn": 1, "kind": "greeting", "text": "Hello!", "generated": "Hello!",
     "interrupted": false}
    {"type": "caller", "t": 4.0, "turn": 1, "text": "When are you open?", "source": "speech"}
    {"type": "tool_called", "t": 4.6, "turn": 1, "id": "call_1", "name": "find_hours", "arguments": {"day": "today"}}
    {"type": "tool_finished", "t": 4.7, "turn": 1, "id": "call_1", "name": "find_hours", "ok": true, "status": 200,
     "seconds": 0.1, "result": "9-20"}
    {"type": "figures", "turn": 1, "first_token_seconds": 0.41, "prompt_tokens": 812, "cached_tokens": 0,
     "completion_tokens": 31, "cost_usd": 0.0002}
    {"type": "event", "t": 9.8, "turn": null, "name": "deadline.passed", "data": {"name": "idle"}}
    {"type": "end", "t": 12.0, "reason": "agent_hangup", "fault": "none", "turns": 3, "prompt_tokens": 2400,
     "cached_tokens": 0, "completion_tokens": 90, "cost_usd": 0.0006}

``t`` is in seconds since the call began, as it would be by telephone: both sides take the time that their words need.
``text`` is what the caller heard, ``generated`` what the agent would have said. An unknown price is null.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from app.models import JournalRow

_SHOWN_EVENTS = frozenset(
    {"transfer.started", "transfer.dialled", "transfer.failed", "transfer.completed", "message.requested"}
    | {"consent.answered", "caller.ignored", "provider.failed", "spending.reached", "agent.paused", "caller.dtmf"}
)
_SHOWN_DEADLINES = frozenset({"idle", "limit", "filler", "reply", "stall", "message"})


@dataclass(slots=True)
class _Used:
    """Tokens and cost of one turn, or of the whole call."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    cost: float | None = 0.0

    def add(self, data: dict[str, Any]) -> None:
        self.prompt += data.get("prompt_tokens") or 0
        self.cached += data.get("cached_tokens") or 0
        self.completion += data.get("completion_tokens") or 0
        cost = data.get("cost")
        self.cost = None if self.cost is None or cost is None else self.cost + cost

    def shown(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt,
            "cached_tokens": self.cached,
            "completion_tokens": self.completion,
            "cost_usd": None if self.cost is None else round(self.cost, 7),
        }


@dataclass(slots=True)
class ChatLines:
    """Makes lines of rows, one row after another."""

    _kinds: dict[int, str] = field(default_factory=dict)
    """The kind of each utterance, by its number."""
    _first_tokens: dict[int, float] = field(default_factory=dict)
    """How long the first token took, by the number of the utterance."""
    _used: dict[int, _Used] = field(default_factory=dict)
    """By turn."""
    _all: _Used = field(default_factory=_Used)
    _turns: int = 0

    def take(self, row: JournalRow) -> Iterator[dict[str, Any]]:
        """The lines of a row; none for rows that show nothing."""
        data, at = row.data, {"t": round(row.t, 3), "turn": row.turn}
        if row.type in _SHOWN_EVENTS or (row.type == "deadline.passed" and data.get("name") in _SHOWN_DEADLINES):
            yield {"type": "event", **at, "name": row.type, "data": data}
        match row.type:
            case "agent.reply_started":
                self._started(data)
            case "agent.finished" | "agent.interrupted":
                yield from self._agent(row)
            case "turn.taken":
                self._turns += 1
                yield {"type": "caller", **at, "text": data["text"], "source": data["source"]}
            case "agent.tool_called":
                called = {"id": data["id"], "name": data["name"], "arguments": _json(data["arguments"])}
                yield {"type": "tool_called", **at, **called}
            case "agent.tool_finished":
                names = ("id", "name", "ok", "status", "seconds", "result")
                yield {"type": "tool_finished", **at, **{name: data[name] for name in names}}
            case "provider.used":
                self._used.setdefault(row.turn or 0, _Used()).add(data)
                self._all.add(data)
            case "call.ended":
                ended = {"reason": data["reason"], "fault": data["fault"], "turns": self._turns}
                yield {"type": "end", "t": at["t"], **ended, **self._all.shown()}
            case _:
                pass  # shows nothing by itself

    def _started(self, data: dict[str, Any]) -> None:
        self._kinds[data["speech"]] = data["kind"]
        stamps = data.get("stamps") or {}
        if "first_token" in stamps and "turn_ended" in stamps:
            self._first_tokens[data["speech"]] = max(0.0, round(stamps["first_token"] - stamps["turn_ended"], 3))

    def _agent(self, row: JournalRow) -> Iterator[dict[str, Any]]:
        data, at = row.data, {"t": round(row.t, 3), "turn": row.turn}
        kind = self._kinds.get(data["speech"])
        if kind is None:  # nothing of it was heard
            return
        said = {"kind": kind, "text": data["heard"], "generated": data["generated"]}
        yield {"type": "agent", **at, **said, "interrupted": row.type == "agent.interrupted"}
        if kind == "reply":
            first = self._first_tokens.get(data["speech"])
            used = self._used.get(row.turn or 0, _Used())
            yield {"type": "figures", "turn": row.turn, "first_token_seconds": first, **used.shown()}


def _json(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text
