"""Converts call records to the bodies of responses."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.calls.agent.profile import AgentProfile
from app.journal.failures import failure_text
from app.journal.record import OPERATORS_LINE, CallRecord, TurnRecord, call_record
from app.journal.tool_records import ToolRecord
from app.models import JournalRow
from app.observability.printable import printable
from app.observability.trace_ids import trace_id
from app.storage.calls import CallRow
from media.recording_report import RecordingReport, recording_report
from routers.schemas import (
    Agent,
    AgentOutcomeField,
    AgentSummary,
    AgentVariable,
    Analysis,
    Call,
    CallMessage,
    CallSummary,
    Costs,
    Failure,
    Filler,
    Hold,
    ProviderIds,
    RecordingState,
    TokenUsage,
    Tool,
    Transcript,
    Turn,
    Unanswered,
)

_PARTS = ("stt", "llm", "tts", "telephony", "total")
"""Of the costs of a call."""

_WORDS = {"turns", "fillers"}
"""Fields of a call that have words of it."""


def summary_of(row: CallRow, recordings: Path) -> CallSummary:
    """A call for a list. Values that come from the journal are there once the call has ended."""
    summary = row.summary or {}
    report = _report(row, recordings)
    return CallSummary(
        call_id=row.call_id,
        direction=row.direction,
        status=row.status,
        caller_number=row.caller_number,
        called_number=row.called_number,
        livekit_room=row.livekit_room,
        started_at=row.started_at,
        answered_at=row.answered_at,
        ended_at=row.ended_at,
        duration_seconds=row.duration_seconds,
        end_reason=row.end_reason,
        end_detail=summary.get("end_detail"),
        fault=row.fault,
        language=row.language,
        latency=summary.get("latency", {}),
        token_usage=TokenUsage(**summary.get("token_usage", {})),
        costs=_costs(summary.get("costs", {})),
        metadata=row.metadata,
        synthetic=row.synthetic,
        agent=row.agent,
        variables=row.variables,
        provider_ids=_provider_ids(row, summary.get("requests", [])),
        recording_available=row.status == "ended" and report.has_sound,
        recording=RecordingState(status=report.status, gaps=[list(gap) for gap in report.gaps]),
        unanswered=_unanswered(summary.get("unanswered")),
        late_answers=row.late,
        disclosure_heard_at=summary.get("disclosure_heard_at"),
        consent=summary.get("consent"),
        abandoned=summary.get("abandoned"),
        message=_message(summary.get("message")),
        seal=row.seal,
        words_erased_at=row.words_erased_at,
        recording_erased_at=row.recording_erased_at,
        analysis=analysis_of(row),
        trace_id=trace_id(row.call_id),
        version=row.version,
    )


def analysis_of(row: CallRow) -> Analysis | None:
    """What came of the call; None if that is not known, or was written by a version that this one cannot read."""
    try:
        return None if row.analysis is None else Analysis(**row.analysis)
    except (TypeError, ValidationError):
        return None


def call_of(row: CallRow, rows: list[JournalRow], recordings: Path) -> Call:
    """The whole record; for a live call, the record so far."""
    record = call_record(rows)
    fresh = summary_of(row, recordings).model_dump()
    fresh.update(
        latency=record.latency(),
        token_usage=asdict(record.token_usage),
        costs=_costs(record.costs),
        end_detail=record.end_detail,
        fault=row.fault if row.status == "ended" else record.fault,
        language=record.language or row.language,
        provider_ids=_provider_ids(row, record.request_ids),
        unanswered=record.unanswered_json(),
        late_answers=record.late,
        disclosure_heard_at=record.disclosure_heard_at,
        consent=record.consent,
        abandoned=record.abandoned,
        message=None if record.message is None else asdict(record.message),
    )
    holds = [Hold(**asdict(hold)) for hold in record.holds]
    return Call(
        **fresh,
        **transcript_of(record).model_dump(),
        agent_hash=record.agent_hash,
        response_budget_seconds=record.response_budget_seconds,
        holds=holds,
    )


def reported_call(recordings: Path, row: CallRow, rows: list[JournalRow], *, with_transcript: bool) -> dict[str, Any]:
    """The record as a webhook sends it; without the transcript, nothing in it says what was said."""
    return call_of(row, rows, recordings).model_dump(exclude=None if with_transcript else _WORDS)


def transcript_of(record: CallRecord) -> Transcript:
    """The transcript of a call, with what happened in it."""
    return Transcript(
        turns=[Turn(**asdict(turn)) for turn in record.turns],
        fillers=[Filler(**asdict(filler)) for filler in record.fillers],
        tools=[Tool(**asdict(tool)) for tool in record.tools],
        failures=[Failure(**asdict(failure)) for failure in record.failures],
    )


def agent_summary_of(agent: AgentProfile) -> AgentSummary:
    """An agent for a list."""
    return AgentSummary(**_agent(agent))


def agent_of(agent: AgentProfile, mcp_tools: Iterable[str]) -> Agent:
    """The whole agent; ``mcp_tools`` are the tools that it has from its servers now."""
    return Agent(
        **_agent(agent),
        language=agent.language,
        timezone=str(agent.zone),
        models={"stt": agent.stt.model, "llm": agent.llm.model, "tts": agent.tts.model},
        voices=agent.voices,
        tools=[tool.spec.name for tool in agent.tools],
        mcp_servers=[server.endpoint.name for server in agent.mcp_servers],
        mcp_tools=list(mcp_tools),
        knowledge=[name for name, _ in agent.knowledge.files] if agent.knowledge is not None else [],
        recording=agent.is_recorded,
        sip_headers=list(agent.sip_headers),
        disclosure={language: lines.opening for language, lines in agent.policy.lines.items() if lines.opening},
        consent="ask" if agent.policy.asks_consent else None,
        variables=[AgentVariable(**variable.describe()) for variable in agent.variables],
        outcome=[
            AgentOutcomeField(name=field.name, schema=dict(field.schema), confirm=field.is_confirmed)
            for field in agent.outcome
        ],
        prompt=agent.prompt,
    )


def _agent(agent: AgentProfile) -> dict[str, Any]:
    return {
        "name": agent.name,
        "version": agent.sha256,
        "numbers": list(agent.numbers),
        "languages": list(agent.policy.lines),
    }


def transcript_text(record: CallRecord) -> str:
    """One line for each turn, ``[m:ss] caller: ...``, and one for each other event, in the order of their times."""
    lines = [
        *((turn.started_at, _turn_line(turn)) for turn in record.turns),
        *((filler.started_at, f"agent, filler: {printable(filler.text)}") for filler in record.fillers),
        *((tool.called_at, _tool_line(tool)) for tool in record.tools),
        *((failure.at, f"failure: {printable(failure_text(failure))}") for failure in record.failures),
        *(_wait_line(turn) for turn in record.turns if turn.waited_seconds is not None),
    ]
    return "".join(f"{_moment(at)} {line}\n" for at, line in sorted(lines, key=lambda line: line[0]))


def events_json(rows: list[JournalRow]) -> str:
    """The journal as JSON. Skips pydantic's validation of each row: a long call has thousands."""
    return json.dumps({"events": [asdict(row) for row in rows]}, ensure_ascii=False)


def _report(row: CallRow, recordings: Path) -> RecordingReport:
    if not row.recording or (row.summary or {}).get("consent") in ("refused", "unanswered"):
        return RecordingReport("none")
    if row.recording_erased_at is not None:
        return RecordingReport("erased")
    return recording_report(recordings / row.call_id, row.duration_seconds if row.status == "ended" else None)


def _costs(known: dict[str, Any]) -> Costs:
    return Costs(**{part: known.get(part) for part in _PARTS}, currency="USD")


def _provider_ids(row: CallRow, requests: list[str]) -> ProviderIds:
    return ProviderIds(sip_call_id=row.sip_call_id, room_sid=row.room_sid, requests=requests)


def _unanswered(stored: Any) -> Unanswered | None:
    """The caller's unanswered turns. None for a live call, and for a call that an older version ended."""
    return None if stored is None else Unanswered(**stored)


def _message(stored: Any) -> CallMessage | None:
    """The message of an ended call. None when there is none, and for a call that an older version ended."""
    return None if stored is None else CallMessage(**stored)


def _turn_line(turn: TurnRecord) -> str:
    who = "caller" if turn.role == "user" else "operator" if turn.kind == OPERATORS_LINE else "agent"
    return f"{who}: {printable(turn.text)}"


def _wait_line(turn: TurnRecord) -> tuple[float, str]:
    waited = turn.waited_seconds or 0.0
    return (turn.ended_at or turn.started_at) + waited, f"not answered: the caller waited {waited:.1f} s"


def _tool_line(tool: ToolRecord) -> str:
    outcome = {"unknown": "called, outcome unknown", "running": "called"}.get(tool.outcome, tool.outcome)
    took = "" if tool.seconds is None else f" after {tool.seconds:.1f} s"
    return f"tool {printable(tool.name)}: {outcome}{took}"


def _moment(at: float) -> str:
    minutes, seconds = divmod(int(max(0.0, at)), 60)
    return f"[{minutes}:{seconds:02d}]"
