"""The record of a call, computed from its journal and nothing else."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from app.conversation.state import BLAMELESS
from app.journal.bill import Bill
from app.journal.bridges import BridgeReader
from app.journal.failures import FailureRecord, failure_of
from app.journal.message_record import MessageReader, MessageRecord
from app.journal.readable_rows import UNREADABLE, readable
from app.journal.tool_records import ToolReader, ToolRecord
from app.journal.unanswered import Abandoned, TurnWaits
from app.models import ConversationMetrics, JournalRow, TokenUsage

STAGES = ("end_of_turn", "llm_first_token", "first_clause", "tts_first_audio", "playout")
"""Consecutive stages of an answer, from the caller's last voiced sample to the first sample handed to the leg."""
_STAMPS = ("turn_ended", "first_token", "first_clause", "first_audio", "first_frame")
_DIGITS = 4
Consent = Literal["given", "refused", "unanswered"]
"""``refused`` also for no clear answer; ``unanswered`` if the call ended before the question was settled."""
OPERATORS_LINE = "say"
"""The kind of an utterance that an operator asked for."""


@dataclass(slots=True)
class TurnRecord:
    """One utterance; times are seconds since the call was answered."""

    number: int
    role: str
    text: str
    text_generated: str | None
    started_at: float
    ended_at: float | None
    interrupted: bool = False
    heard: str = "exact"
    """``exact`` or ``estimated``: how it is known what the caller heard."""
    stt_confidence: float | None = None
    language: str | None = None
    latency: dict[str, Any] | None = None
    kind: str | None = None
    """For the agent: ``reply``, ``disclosure``, ``consent``, ``greeting``, ``prompt``, ``apology``, ``transfer``,
    ``goodbye``, or ``say`` for an operator's line. Of the caller: ``speech``, ``keypad``, or ``timeout`` for a turn
    without an end."""
    waited_seconds: float | None = None
    """How long the caller waited, if their turn was never answered; None otherwise."""
    served: dict[str, list[str]] = field(default_factory=dict)
    """Who thought (``llm``) and who spoke (``tts``), in order; nobody spoke what was prepared. Of a caller's turn: who
    heard it (``stt``)."""
    knowledge: list[dict[str, Any]] = field(default_factory=list)
    """What was found for the answer in the agent's files: ``file``, ``heading`` and ``line`` of each passage."""


@dataclass(slots=True)
class FillerRecord:
    """A filler, or a tool's line, that bridged a wait; times are seconds since the call was answered."""

    number: int
    """The number of the turn."""
    text: str
    """What was heard of it."""
    started_at: float
    ended_at: float | None


@dataclass(slots=True)
class HoldRecord:
    """No audio came from the caller; times are seconds since the call was answered."""

    started_at: float
    ended_at: float | None = None
    """None: no audio came again, so the caller was not on hold but gone."""


@dataclass(slots=True)
class CallRecord:
    """What the journal says of a call."""

    turns: list[TurnRecord] = field(default_factory=list)
    tools: list[ToolRecord] = field(default_factory=list)
    """The agent's own tools, not the built-in ones."""
    fillers: list[FillerRecord] = field(default_factory=list)
    failures: list[FailureRecord] = field(default_factory=list)
    holds: list[HoldRecord] = field(default_factory=list)
    message: MessageRecord | None = None
    """What the caller wants to be passed on, if the call could not be served."""
    unanswered: dict[int, float] = field(default_factory=dict)
    """Seconds that the caller waited, by the number of each turn that was never answered."""
    abandoned: Abandoned | None = None
    """When the caller gave the call up; None if they did not."""
    answered_t: float | None = None
    ended_t: float | None = None
    end_reason: str | None = None
    end_detail: str | None = None
    """More about why it ended, such as ``sip 486``, ``closed with 1006``."""
    fault: str = "none"
    """The worst failure; before the call has ended, the first failure of a vendor."""
    language: str | None = None
    disclosure_heard_at: str | None = None
    """When the caller had heard the disclosure to its end, ISO UTC; None if they have not, or there is none."""
    consent: Consent | None = None
    """Whether the caller agreed to be recorded; None if they were not asked."""
    agent_hash: str | None = None
    """The hash of the file of the agent that answered, as row 1 has it."""
    response_budget_seconds: float | None = None
    """What an answer may take, from the caller's last sound; None in calls of versions that did not note it."""
    token_usage: TokenUsage = field(default_factory=TokenUsage)
    costs: dict[str, float | None] = field(default_factory=dict)
    request_ids: list[str] = field(default_factory=list)

    @property
    def duration_seconds(self) -> float | None:
        """From the answer to the end; None while there is no end, 0 if it was never answered."""
        if self.ended_t is None:
            return None
        return round(self.ended_t - self.answered_t, 3) if self.answered_t is not None else 0.0

    def latency(self) -> dict[str, dict[str, float | int]]:
        """The median, 95th percentile, maximum and count over the answered turns in seconds, by stage and in total."""
        answered = [turn.latency for turn in self.turns if turn.latency is not None]
        return {stage: _spread([latency[stage] for latency in answered]) for stage in (*STAGES, "total") if answered}

    def answers(self) -> tuple[dict[str, float], ...]:
        """The latencies of each answer in seconds, by stage and in total."""
        answered = (turn.latency for turn in self.turns if turn.latency is not None)
        return tuple({stage: latency[stage] for stage in (*STAGES, "total")} for latency in answered)

    @property
    def late(self) -> int:
        """How many answers came later than the policy allows."""
        return sum(turn.latency is not None and not turn.latency["budget_kept"] for turn in self.turns)

    def metrics(self) -> ConversationMetrics:
        """Means over the answered turns."""
        answered = [turn.latency for turn in self.turns if turn.latency is not None]

        def mean(stage: str) -> float | None:
            return sum(latency[stage] for latency in answered) / len(answered) if answered else None

        return ConversationMetrics(
            total_duration=self.duration_seconds or 0.0,
            processing_latency=mean("total"),
            stt_latency=mean("end_of_turn"),
            llm_latency=mean("llm_first_token"),
            tts_latency=mean("tts_first_audio"),
            token_usage=self.token_usage,
            api_costs=self.costs,
        )

    def summary(self) -> dict[str, Any]:
        """What is stored with the call when it has ended, so that lists need no journals."""
        return {
            "latency": self.latency(),
            "token_usage": asdict(self.token_usage),
            "costs": self.costs,
            "requests": self.request_ids,
            "end_detail": self.end_detail,
            "turns": len(self.turns),
            "unanswered": self.unanswered_json(),
            "late": self.late,
            "abandoned": self.abandoned,
            "message": asdict(self.message) if self.message is not None else None,
            "disclosure_heard_at": self.disclosure_heard_at,
            "consent": self.consent,
        }

    def said(self) -> tuple[str, ...]:
        """What caller and agent said, as far as it was heard."""
        turns = tuple(turn.text for turn in self.turns)
        return (*turns, self.message.text) if self.message is not None and self.message.heard == "recording" else turns

    def unanswered_json(self) -> dict[str, Any]:
        """How many turns were never answered, and how long the caller waited at each, in seconds."""
        return {"count": len(self.unanswered), "waited_seconds": list(self.unanswered.values())}


def call_record(rows: Iterable[JournalRow]) -> CallRecord:
    """Compute the record. The journal may be unfinished, and may hold rows that this version cannot read."""
    return _Reader().read(readable(rows))


class _Reader:
    """Goes through the rows once."""

    def __init__(self) -> None:
        self._record = CallRecord()
        self._budget = 0.0
        self._utterances: dict[int, TurnRecord] = {}
        """The turns by the number of the utterance, from its first row on."""
        self._heard_of: set[int] = set()
        """Utterances that belong in the record: they began, or the caller heard something of them."""
        self._broken: set[int] = set()
        """Utterances whose vendor failed before their end."""
        self._said: dict[int, str] = {}
        self._paused_at: dict[int, float] = {}
        self._filler_at: dict[int, float] = {}
        self._fillers: set[int] = set()
        self._left: dict[str, str | None] = {}
        """Details of how the caller left, by reason."""
        self._known: dict[int, list[dict[str, Any]]] = {}
        """Sources of what was found for an answer, by the number of the utterance."""
        self._bill = Bill()
        self._waits = TurnWaits()
        self._tools = ToolReader()
        self._message = MessageReader()
        self._bridges = BridgeReader()

    def read(self, rows: Iterable[JournalRow]) -> CallRecord:
        for row in rows:
            handler = _ROWS.get(row.type)
            with suppress(*UNREADABLE):  # a value within a field may be anything
                if handler is not None:
                    handler(self, row)
                self._waits.take(row)
        record = self._record
        for number in sorted(self._heard_of):
            turn = self._completed(number, self._utterances[number])
            if number in self._fillers:
                record.fillers.append(FillerRecord(turn.number, turn.text, turn.started_at, turn.ended_at))
            else:
                record.turns.append(turn)
        record.tools = self._tools.tools(has_ended=record.ended_t is not None)
        record.message = self._message.message(record.end_reason)
        record.costs = self._bill.costs(record.duration_seconds)
        record.token_usage, record.request_ids = self._bill.token_usage(), self._bill.request_ids
        self._note_waits()
        record.turns.sort(key=lambda turn: (turn.number, turn.role == "assistant", turn.started_at))
        return record

    def _note_waits(self) -> None:
        record = self._record
        record.unanswered = self._waits.unanswered(record.ended_t)
        record.abandoned = self._waits.abandoned(
            answered_t=record.answered_t, ended_t=record.ended_t, reason=record.end_reason
        )
        for turn in record.turns:
            if turn.role == "user":
                turn.waited_seconds = record.unanswered.get(turn.number)
                turn.served = self._bill.heard_by(turn.number)

    def _completed(self, number: int, turn: TurnRecord) -> TurnRecord:
        """If the end of an utterance is missing, assume that the caller heard all clauses that had begun."""
        if turn.ended_at is None:
            turn.text, turn.heard = self._said.get(number, ""), "estimated"
        if turn.text_generated is None or not turn.text_generated.startswith(turn.text):
            turn.text_generated = turn.text
        turn.served = self._bill.served(turn.number)
        turn.knowledge = self._known.get(number, [])
        return turn

    def _created(self, row: JournalRow) -> None:
        self._record.language = row.data.get("language")
        self._record.agent_hash = (row.data.get("agent") or {}).get("agent_hash")
        self._bill.created(row)
        self._budget = row.data.get("policy", {}).get("max_response_seconds", 0.0)
        self._record.response_budget_seconds = self._budget or None

    def _answered(self, row: JournalRow) -> None:
        if self._record.answered_t is None:
            since: float | None = row.data.get("since_t")
            self._record.answered_t = row.t if since is None else since

    def _ended(self, row: JournalRow) -> None:
        self._record.ended_t = row.t
        self._record.end_reason, self._record.fault = row.data["reason"], row.data.get("fault", "none")
        self._record.end_detail = row.data.get("detail") or self._left.get(row.data["reason"])

    def _caller_left(self, row: JournalRow) -> None:
        self._left.setdefault(row.data["reason"], row.data.get("detail"))

    def _held(self, row: JournalRow) -> None:
        self._record.holds.append(HoldRecord(self._since_answer(row.data["since_t"])))

    def _returned(self, row: JournalRow) -> None:
        if self._record.holds:
            self._record.holds[-1].ended_at = self._since_answer(row.t)

    def _provider_failed(self, row: JournalRow) -> None:
        """The fault is this one only until the call has ended: ``call.ended`` has the worst of all."""
        data = row.data
        if self._record.fault == "none" and data["answer"] not in BLAMELESS:
            self._record.fault = f"provider:{data['provider']}"
        if data["final"] and data["speech"] is not None:
            self._broken.add(data["speech"])
        self._bill.note_requests(data["request_id"])
        self._record.failures.append(failure_of(row, self._since_answer(row.t)))

    def _message_requested(self, row: JournalRow) -> None:
        self._message.requested(row)

    def _message_transcribed(self, row: JournalRow) -> None:
        self._message.transcribed(row)

    def _consent_answered(self, row: JournalRow) -> None:
        self._record.consent = "given" if row.data["agreed"] else "refused"

    def _turn_taken(self, row: JournalRow) -> None:
        data = row.data
        self._message.turn(row)
        self._record.turns.append(
            TurnRecord(
                number=row.turn or 0,
                role="user",
                text=data["text"],
                text_generated=None,
                started_at=self._since_answer(data["started_t"]),
                ended_at=self._since_answer(data["ended_t"]),
                stt_confidence=data.get("confidence"),
                language=data.get("language"),
                kind=data.get("source"),
            )
        )

    def _knowledge_searched(self, row: JournalRow) -> None:
        passages = row.data["passages"]
        self._known[row.data["speech"]] = [
            {"file": str(found["file"]), "heading": str(found["heading"]), "line": int(found["line"])}
            for found in passages
        ]

    def _utterance(self, row: JournalRow) -> TurnRecord:
        """Rows come in any order: when an utterance is cut in its first moment, its end comes first."""
        return self._utterances.setdefault(
            row.data["speech"],
            TurnRecord(
                number=row.turn or 0,
                role="assistant",
                text="",
                text_generated=None,
                started_at=self._since_answer(row.t),
                ended_at=None,
                language=self._record.language,
            ),
        )

    def _reply_started(self, row: JournalRow) -> None:
        number, turn = row.data["speech"], self._utterance(row)
        self._heard_of.add(number)
        stamps = row.data.get("stamps", {})
        turn.started_at = self._since_answer(min(row.t, stamps.get("first_frame", row.t)))
        turn.language = row.data.get("language") or turn.language
        turn.kind = row.data["kind"]
        self._record.language = turn.language
        if turn.kind == "consent" and self._record.consent is None:
            self._record.consent = "unanswered"
        if row.data["kind"] == "filler":
            self._fillers.add(number)
            self._filler_at.setdefault(turn.number, turn.started_at)
            self._bridges.filler_started(turn.number)
        elif row.data["kind"] in ("notice", "reconnected"):
            self._filler_at.setdefault(turn.number, turn.started_at)
            self._bridges.filler_started(turn.number)
        else:
            turn.latency = self._latency(turn.number, stamps)

    def _clause_started(self, row: JournalRow) -> None:
        self._utterance(row)
        number = row.data["speech"]
        self._said[number] = self._said.get(number, "") + row.data["text"]

    def _generated(self, row: JournalRow) -> None:
        self._utterance(row).text_generated = row.data["text"]

    def _paused(self, row: JournalRow) -> None:
        self._paused_at[row.data["speech"]] = self._since_answer(row.t)

    def _resumed(self, row: JournalRow) -> None:
        self._paused_at.pop(row.data["speech"], None)

    def _utterance_ended(self, row: JournalRow) -> None:
        turn, number = self._utterance(row), row.data["speech"]
        turn.interrupted = row.type == "agent.interrupted"
        turn.text, generated = row.data["heard"], row.data["generated"]
        if turn.text_generated is None or not turn.text_generated.startswith(generated):
            turn.text_generated = generated
        turn.heard = "exact" if row.data.get("exact", True) else "estimated"
        turn.ended_at = self._paused_at.get(number, self._since_answer(row.t))
        is_whole = not turn.interrupted and number not in self._broken
        if turn.kind == "disclosure" and is_whole:
            self._record.disclosure_heard_at = self._record.disclosure_heard_at or row.at
        if turn.interrupted and turn.text:
            self._heard_of.add(number)

    def _tool_called(self, row: JournalRow) -> None:
        self._tools.called(row, self._since_answer(row.t))
        self._bridges.tool_called(row)

    def _tool_finished(self, row: JournalRow) -> None:
        self._tools.finished(row)
        self._bridges.tool_finished(row)

    def _caller_heard(self, row: JournalRow) -> None:
        self._bill.heard(row)

    def _provider_used(self, row: JournalRow) -> None:
        self._bill.used(row)

    def _latency(self, number: int, stamps: dict[str, float]) -> dict[str, Any] | None:
        if "last_voiced" not in stamps:
            return None
        before, latency = stamps["last_voiced"], {}
        for stage, stamp in zip(STAGES, _STAMPS, strict=True):
            at = max(before, stamps.get(stamp, before))
            latency[stage] = round(at - before, _DIGITS)
            before = at
        total = round(sum(latency.values()), _DIGITS)
        return {
            **latency,
            "total": total,
            "budget_kept": self._bridges.is_in_time(number, stamps["last_voiced"], total, self._budget),
            "filler_at": self._filler_at.get(number),
            "bridged": self._bridges.is_bridged(number),
        }

    def _since_answer(self, t: float) -> float:
        return round(t - (self._record.answered_t or 0.0), 3)


def _spread(values: list[float]) -> dict[str, float | int]:
    ordered = sorted(values)
    last = len(ordered) - 1
    return {
        "p50": ordered[round(last * 0.5)],
        "p95": ordered[round(last * 0.95)],
        "max": ordered[last],
        "count": len(ordered),
    }


_ROWS = {
    "call.created": _Reader._created,
    "call.answered": _Reader._answered,
    "call.ended": _Reader._ended,
    "caller.left": _Reader._caller_left,
    "caller.held": _Reader._held,
    "caller.returned": _Reader._returned,
    "consent.answered": _Reader._consent_answered,
    "turn.taken": _Reader._turn_taken,
    "message.requested": _Reader._message_requested,
    "message.transcribed": _Reader._message_transcribed,
    "provider.failed": _Reader._provider_failed,
    "agent.reply_started": _Reader._reply_started,
    "agent.clause_started": _Reader._clause_started,
    "agent.reply_generated": _Reader._generated,
    "agent.paused": _Reader._paused,
    "agent.resumed": _Reader._resumed,
    "agent.finished": _Reader._utterance_ended,
    "agent.interrupted": _Reader._utterance_ended,
    "agent.tool_called": _Reader._tool_called,
    "knowledge.searched": _Reader._knowledge_searched,
    "agent.tool_finished": _Reader._tool_finished,
    "caller.words": _Reader._caller_heard,
    "caller.turn_ended": _Reader._caller_heard,
    "provider.used": _Reader._provider_used,
}
