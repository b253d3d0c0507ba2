"""Logs a call that has ended, and counts it from its rows: once, in the process that commits its end."""

from collections.abc import Collection, Mapping, Sequence

import structlog

from app.journal.readable_rows import readable
from app.journal.record import STAGES, CallRecord, TurnRecord, call_record
from app.models import JournalRow
from app.observability.metrics import Metrics

log = structlog.get_logger(__name__)


def log_end(record: CallRecord, *, rows: int, heard_seconds: float) -> None:
    """Log the end. ``heard_seconds`` is how much of the caller's sound was transcribed."""
    log.info(
        "call.ended",
        end_reason=record.end_reason,
        fault=record.fault,
        duration_seconds=record.duration_seconds,
        turns=len(record.turns),
        rows=rows,
        language=record.language,
        heard_seconds=round(heard_seconds, 2),
        latency_total=record.latency().get("total"),
        cost_usd=record.costs.get("total"),
    )


def count_end(metrics: Metrics, rows: Sequence[JournalRow], *, direction: str, tools: Collection[str]) -> None:
    """Count the end, the latencies, and everything in the rows. ``tools`` are those whose names metrics may show."""
    record = call_record(rows)
    metrics.call_ended(
        record.end_reason or "internal_error",
        record.fault,
        record.duration_seconds if record.answered_t is not None else None,
        direction=direction,
        abandoned=record.abandoned,
    )
    for turn in record.turns:
        if turn.latency is not None:
            stages = {stage: turn.latency[stage] for stage in (*STAGES, "total")}
            in_time, bridged = turn.latency["budget_kept"], turn.latency["bridged"]
            metrics.turn_answered(stages, is_in_time=in_time, is_bridged=bridged)
    _count_turns(metrics, record, _first_choices(rows))
    metrics.journal.count(readable(rows), tools=tools, is_outbound=direction == "outbound")


def _count_turns(metrics: Metrics, record: CallRecord, first_choices: Mapping[str, str]) -> None:
    for turn in record.turns:
        if turn.latency is not None:
            metrics.turns.caller_waited(_silence(turn))
    for seconds in record.unanswered.values():
        metrics.turns.caller_waited(seconds)
    served = {
        (turn.number, stage)
        for turn in record.turns
        for stage, who in turn.served.items()
        if who and who[-1] != first_choices.get(stage, who[-1])
    }
    for _, stage in served:
        if stage in first_choices:
            metrics.turns.fallback_served(stage)


def _silence(turn: TurnRecord) -> float:
    """Seconds from the caller's last sound to the answer, or to what bridged the wait for it."""
    latency = turn.latency or {}
    total: float = latency["total"]
    filler_at: float | None = latency["filler_at"]
    return total if filler_at is None else min(total, max(0.0, filler_at - (turn.started_at - total)))


def _first_choices(rows: Sequence[JournalRow]) -> dict[str, str]:
    """By stage, from row 1; empty for rows of versions that do not name them."""
    agent = rows[0].data.get("agent") if rows else None
    chains = agent.get("chains") if isinstance(agent, dict) else None
    if not isinstance(chains, dict):
        return {}
    return {stage: chain[0] for stage, chain in chains.items() if isinstance(chain, list) and chain}
