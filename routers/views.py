"""Converts call records to the bodies of responses."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.journal.record import CallRecord, TurnRecord, call_record
from app.journal.tool_records import ToolRecord
from app.models import JournalRow
from app.observability.printable import printable
from app.storage.calls import CallRow
from media.recording_report import RecordingReport, recording_report
from routers.schemas import Call, CallSummary, Hold, RecordingState, Tool, Turn

_NO_COSTS: dict[str, float | str | None] = {
    "stt": None, "llm": None, "tts": None, "telephony": None, "total": None, "currency": "USD",
}  # fmt: skip


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
        token_usage=summary.get("token_usage", {}),
        costs={**_NO_COSTS, **summary.get("costs", {})},
        metadata=row.metadata,
        provider_ids=_provider_ids(row, summary.get("requests", [])),
        recording_available=row.status == "ended" and report.has_sound,
        recording=RecordingState(status=report.status, gaps=[list(gap) for gap in report.gaps]),
        version=row.version,
    )


def call_of(row: CallRow, rows: list[JournalRow], recordings: Path) -> Call:
    """The whole record; for a live call, the record so far."""
    record = call_record(rows)
    fresh = summary_of(row, recordings).model_dump()
    fresh.update(
        latency=record.latency(),
        token_usage=asdict(record.token_usage),
        costs={**_NO_COSTS, **record.costs},
        end_detail=record.end_detail,
        fault=row.fault if row.status == "ended" else record.fault,
        language=record.language or row.language,
        provider_ids=_provider_ids(row, record.request_ids),
    )
    holds = [Hold(**asdict(hold)) for hold in record.holds]
    return Call(**fresh, turns=turns_of(record), tools=tools_of(record), holds=holds)


def turns_of(record: CallRecord) -> list[Turn]:
    """The turns of a record."""
    return [Turn(**asdict(turn)) for turn in record.turns]


def tools_of(record: CallRecord) -> list[Tool]:
    """The tools of a record."""
    return [Tool(**asdict(tool)) for tool in record.tools]


def transcript_text(record: CallRecord) -> str:
    """One line for each turn, ``[m:ss] caller: ...``; then the tools whose outcome is unknown."""
    unknown = [tool for tool in record.tools if tool.outcome == "unknown"]
    return "".join(f"{line}\n" for line in (*map(_line, record.turns), *map(_tool_line, unknown)))


def events_json(rows: list[JournalRow]) -> str:
    """The journal as JSON. Skips pydantic's validation of each row: a long call has thousands."""
    return json.dumps({"events": [asdict(row) for row in rows]}, ensure_ascii=False)


def _report(row: CallRow, recordings: Path) -> RecordingReport:
    if not row.recording:
        return RecordingReport("none")
    return recording_report(recordings / row.call_id, row.duration_seconds if row.status == "ended" else None)


def _provider_ids(row: CallRow, requests: list[str]) -> dict[str, Any]:
    return {"sip_call_id": row.sip_call_id, "room_sid": row.room_sid, "requests": requests}


def _line(turn: TurnRecord) -> str:
    who = "caller" if turn.role == "user" else "agent"
    return f"{_moment(turn.started_at)} {who}: {printable(turn.text)}"


def _tool_line(tool: ToolRecord) -> str:
    return f"{_moment(tool.called_at)} tool {printable(tool.name)}: called, outcome unknown"


def _moment(at: float) -> str:
    minutes, seconds = divmod(int(max(0.0, at)), 60)
    return f"[{minutes}:{seconds:02d}]"
