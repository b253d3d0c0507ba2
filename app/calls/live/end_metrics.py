"""Counts a call that has ended, from its rows: once, in the process that commits its end."""

from collections.abc import Collection, Sequence

from app.journal.readable_rows import readable
from app.journal.record import STAGES, call_record
from app.models import JournalRow
from app.observability.metrics import Metrics


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
    metrics.journal.count(readable(rows), tools=tools, is_outbound=direction == "outbound")
