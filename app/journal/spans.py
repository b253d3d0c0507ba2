"""The trace of a call, made from its rows: spans for the call, its turns, stages, vendor requests and tools. No I/O.

::

    call                            invoked agent, end reason, fault
    ├─ ringing                      until the answer
    ├─ lookup
    ├─ listen <model>               what recognition billed
    ├─ turn                         from the caller's first sound to the last of the answer
    │  ├─ end_of_turn, llm_first_token, first_clause, tts_first_audio, playout
    │  ├─ chat <model>              a request to the model
    │  ├─ execute_tool <tool>
    │  ├─ speak <model>             what synthesis billed
    │  └─ say                       what the caller could hear
    └─ transfer

Rows say when a vendor's request has ended. Its beginning is the moment from which on it could be made: for the model
the end of the caller's turn or of the tool before it, for the voice the first clause.

No name and no attribute has words or numbers of the call: values come from the settings, the agents' files, the
vendors' ids and the closed sets of :mod:`app.conversation.events`.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from app.journal.readable_rows import UNREADABLE, readable
from app.journal.record import STAGES
from app.models import JournalRow

Value = str | int | float | bool | tuple[str, ...]
SpanKind = Literal["internal", "server", "client"]

ROOT = "call"
_STAMPS = ("turn_ended", "first_token", "first_clause", "first_audio", "first_frame")
_OPERATION = {"think": "chat", "speak": "speak", "listen": "listen"}
_NO_FAILURE = ("none", "caller", "policy")
_LOOKUP = "tool:lookup"


@dataclass(slots=True)
class Span:
    """A part of a call; times are seconds since the call was created."""

    key: str
    """Unique within the call."""
    parent: str | None
    name: str
    began: float
    ended: float
    kind: SpanKind = "internal"
    attributes: dict[str, Value] = field(default_factory=dict)
    error: str | None = None
    """The kind of failure; None if it went well."""


@dataclass(frozen=True, slots=True)
class CallTrace:
    """The spans of a call that has ended; the first is that of the call. None if its rows cannot be read."""

    began_at: datetime
    """When the call was created, UTC."""
    spans: list[Span]


def call_trace(call_id: str, rows: Iterable[JournalRow]) -> CallTrace | None:
    """The trace of a call that has ended; None for a call without a row that can be read."""
    known = list(readable(rows))
    with suppress(*UNREADABLE):
        began_at = datetime.fromisoformat(known[0].at) - timedelta(seconds=known[0].t)
        return CallTrace(began_at, _Reader(call_id, known).spans())
    return None


class _Reader:
    def __init__(self, call_id: str, rows: list[JournalRow]) -> None:
        self._rows = rows
        last = max(row.t for row in rows)
        self._call = Span(ROOT, None, "call", 0.0, last, "server", {"gen_ai.conversation.id": call_id})
        self._answered = 0.0
        self._spans: list[Span] = []
        self._turns: dict[int, Span] = {}
        self._asked: dict[int, float] = {}
        """When the next request to the model could be made, by turn."""
        self._clauses: dict[int, list[float]] = {}
        """When the utterances of a turn had their first clause."""
        self._open: dict[str, Span] = {}
        """What has no end yet, by key."""

    def spans(self) -> list[Span]:
        for row in self._rows:
            if row.type == "agent.reply_started" and "first_clause" in row.data["stamps"]:
                self._clauses.setdefault(row.turn or 0, []).append(float(row.data["stamps"]["first_clause"]))
        for row in self._rows:
            with suppress(*UNREADABLE):
                if read := _ROWS.get(row.type):
                    read(self, row)
        for span in self._open.values():
            span.ended, span.error = self._call.ended, "unfinished"
        self._close_turns()
        return [self._call, *self._turns.values(), *self._spans]

    def _add(
        self,
        span: Span,
        turn: int | None = None,
        **attributes: Any,
    ) -> Span:
        """Add it below its turn, or below the call."""
        span.began = min(span.began, span.ended)
        span.attributes |= {f"voice.{name}": value for name, value in attributes.items() if value is not None}
        if turn is not None:
            span.parent = self._turn(turn, span.began).key
        self._spans.append(span)
        return span

    def _turn(self, number: int, began: float) -> Span:
        if number not in self._turns:
            self._turns[number] = Span(f"turn:{number}", ROOT, "turn", began, began, attributes={"voice.turn": number})
        return self._turns[number]

    def _close_turns(self) -> None:
        """A turn begins with the caller, or with the first of its parts, and lasts until the last of them."""
        by_key = {turn.key: turn for turn in self._turns.values()}
        for span in self._spans:
            if turn := by_key.get(span.parent or ""):
                turn.began, turn.ended = min(turn.began, span.began), max(turn.ended, span.ended)

    def _created(self, row: JournalRow) -> None:
        agent = row.data["agent"]
        self._call.attributes["voice.language"] = row.data["language"]
        if agent.get("name"):
            self._call.attributes["gen_ai.agent.name"] = str(agent["name"])

    def _was_answered(self, row: JournalRow) -> None:
        since = row.data["since_t"]
        self._answered = row.t if since is None else float(since)
        self._add(Span("ringing", ROOT, "ringing", 0.0, self._answered))

    def _was_ended(self, row: JournalRow) -> None:
        reason, fault = row.data["reason"], row.data["fault"]
        self._call.ended = row.t
        self._call.attributes |= {"voice.end_reason": reason, "voice.fault": fault}
        self._call.error = None if fault in _NO_FAILURE else fault

    def _looked_up(self, row: JournalRow) -> None:
        seconds, ok = float(row.data["seconds"]), row.data["ok"]
        span = Span(_LOOKUP, ROOT, "lookup", row.t - seconds, row.t, "client", error=None if ok else "failed")
        span.began = max(0.0, span.began)
        self._add(span, rejected=row.data["rejected"])

    def _searched(self, row: JournalRow) -> None:
        problem, seconds = row.data["problem"], float(row.data["seconds"])
        span = Span(f"knowledge:{row.seq}", ROOT, "knowledge", row.t - seconds, row.t)
        span.error = "failed" if problem else None
        self._add(span, row.turn, passages=len(row.data["passages"]))

    def _may_ask(self, row: JournalRow) -> None:
        self._asked.setdefault(row.turn or 0, row.t)

    def _went_on(self, row: JournalRow) -> None:
        self._asked.pop(row.turn or 0, None)

    def _turn_taken(self, row: JournalRow) -> None:
        data = row.data
        number = row.turn if row.turn is not None else int(data["turn"])
        turn = self._turn(number, float(data["started_t"]))
        turn.began = min(turn.began, float(data["started_t"]))
        turn.attributes["voice.source"] = data["source"]
        if data["language"]:
            turn.attributes["voice.language"] = data["language"]
        self._asked.setdefault(number, row.t)
        self._add(Span(f"caller:{number}", ROOT, "caller", turn.began, float(data["ended_t"])), number)

    def _used(self, row: JournalRow) -> None:
        data, stage = row.data, row.data["stage"] or "think"
        provider, model = data["provider"], data["model"]
        began = self._began(stage, row)
        span = Span(f"request:{row.seq}", ROOT, f"{_OPERATION.get(stage, stage)} {model}", began, row.t, "client")
        span.attributes = {"gen_ai.provider.name": provider, "gen_ai.request.model": model}
        if stage == "think":
            span.attributes |= {
                "gen_ai.operation.name": "chat",
                "gen_ai.usage.input_tokens": data["prompt_tokens"],
                "gen_ai.usage.output_tokens": data["completion_tokens"],
                "gen_ai.usage.cache_read.input_tokens": data["cached_tokens"],
            }
        used = {"characters": data["characters"] or None, "audio_seconds": data["seconds"] or None}
        ids = data["request_ids"] or ([data["request_id"]] if data["request_id"] else [])
        self._add(
            span,
            row.turn,
            stage=stage,
            way=data["way"] or None,
            served=data["served"],
            cost_usd=data["cost"],
            request_ids=tuple(map(str, ids)) or None,
            **used,
        )

    def _failed(self, row: JournalRow) -> None:
        """What the vendor says of it is left out: it may quote the caller."""
        data, stage = row.data, row.data["stage"]
        name = f"{_OPERATION.get(stage, stage)} {data['provider']}"
        span = Span(f"failure:{row.seq}", ROOT, name, self._began(stage, row), row.t, "client", error=data["code"])
        span.attributes = {"gen_ai.provider.name": data["provider"]}
        ids = (str(data["request_id"]),) if data["request_id"] else None
        self._add(span, row.turn, stage=stage, answer=data["answer"], final=data["final"], request_ids=ids)

    def _began(self, stage: str, row: JournalRow) -> float:
        number = row.turn or 0
        match stage:
            case "think":
                return self._asked.get(number, row.t)
            case "speak":
                return max((at for at in self._clauses.get(number, ()) if at <= row.t), default=row.t)
            case "listen":
                return max(self._answered, row.t - float(row.data.get("seconds", 0.0)))
            case _:
                return row.t

    def _tool_called(self, row: JournalRow) -> None:
        """The name of a tool that is refused is the model's invention, and may have anything in it."""
        data, key = row.data, f"tool:{row.data['id']}"
        name = "execute_tool" if data["refused"] else f"execute_tool {data['name']}"
        span = Span(key, ROOT, name, row.t, row.t, "client" if data["timeout_seconds"] else "internal")
        span.attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.id": data["id"]}
        if data["refused"]:
            span.error = "refused"
        else:
            span.attributes["gen_ai.tool.name"] = data["name"]
        self._add(span, row.turn)
        if data["timeout_seconds"] and not data["refused"]:
            self._open[key] = span

    def _tool_finished(self, row: JournalRow) -> None:
        data = row.data
        if row.turn is not None:
            self._asked[row.turn] = row.t
        span = self._open.pop(f"tool:{data['id']}", None)
        if span is None:
            return
        span.ended, status = row.t, data["status"]
        if status is not None:
            span.attributes["http.response.status_code"] = status
        if not data["ok"]:
            span.error = "given_up" if data["given_up"] else str(status or "failed")

    def _reply_started(self, row: JournalRow) -> None:
        data, number = row.data, row.data["speech"]
        span = Span(f"say:{number}", ROOT, "say", row.t, row.t)
        span.began = span.ended = min(row.t, float(data["stamps"].get("first_frame", row.t)))
        self._open[span.key] = self._add(span, row.turn, kind=data["kind"], language=data["language"])
        before = data["stamps"].get("last_voiced")
        if data["kind"] in ("filler", "notice", "reconnected") or before is None:
            return
        for stage, stamp in zip(STAGES, _STAMPS, strict=True):
            at = max(before, data["stamps"].get(stamp, before))
            self._add(Span(f"stage:{number}:{stage}", ROOT, stage, before, at), row.turn)
            before = at

    def _said(self, row: JournalRow) -> None:
        span = self._open.pop(f"say:{row.data['speech']}", None)
        if span is not None:
            span.ended = row.t
            span.attributes["voice.interrupted"] = row.type == "agent.interrupted"

    def _transfer_started(self, row: JournalRow) -> None:
        self._open["transfer"] = self._add(Span(f"transfer:{row.seq}", ROOT, "transfer", row.t, row.t, "client"))

    def _transfer_over(self, row: JournalRow) -> None:
        span = self._open.pop("transfer", None)
        if span is not None:
            span.ended, span.error = row.t, row.data.get("reason")


_ROWS: dict[str, Callable[[_Reader, JournalRow], None]] = {
    "call.created": _Reader._created,
    "call.answered": _Reader._was_answered,
    "call.ended": _Reader._was_ended,
    "lookup.finished": _Reader._looked_up,
    "knowledge.searched": _Reader._searched,
    "caller.turn_ended_eagerly": _Reader._may_ask,
    "caller.turn_ended": _Reader._may_ask,
    "caller.turn_resumed": _Reader._went_on,
    "turn.taken": _Reader._turn_taken,
    "provider.used": _Reader._used,
    "provider.failed": _Reader._failed,
    "agent.tool_called": _Reader._tool_called,
    "agent.tool_finished": _Reader._tool_finished,
    "agent.reply_started": _Reader._reply_started,
    "agent.finished": _Reader._said,
    "agent.interrupted": _Reader._said,
    "transfer.started": _Reader._transfer_started,
    "transfer.completed": _Reader._transfer_over,
    "transfer.failed": _Reader._transfer_over,
}
