"""Figures over all calls, calls with unanswered turns and late answers, and calls that check the service itself."""

import json
from collections import Counter
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0020"

_PERIODS = {"hour": (13, ":00:00.000Z"), "day": (10, "T00:00:00.000Z")}


def upgrade() -> None:
    """Add the columns and tables, and fill them from the records of the calls.

    No record of an older version has the latency of each answer, or says how many were late.
    """
    op.add_column("calls", sa.Column("unanswered", sa.Integer()))
    op.add_column("calls", sa.Column("late", sa.Integer()))
    for table in ("calls", "sessions"):
        op.add_column(table, sa.Column("synthetic", sa.Boolean(), nullable=False, server_default=sa.false()))
    figures = [sa.Column(name, sa.String(), primary_key=True) for name in ("period", "starts_at", "agent", "name")]
    amount = sa.Column("amount", sa.Float(), nullable=False)
    op.create_table("call_figures", *figures, amount, sqlite_with_rowid=False)
    latencies = [sa.Column(name, sa.String(), primary_key=True) for name in ("period", "starts_at", "agent", "stage")]
    steps = sa.Column("steps", sa.JSON(), nullable=False)
    op.create_table("latency_figures", *latencies, steps, sqlite_with_rowid=False)
    _fill()
    op.drop_index("calls_by_start", "calls")
    listed = ["status", "direction", "caller_number", "called_number", "agent", "fault", "end_reason", "words_id"]
    found = ["unanswered", "late", "synthetic"]
    op.create_index("calls_by_start", "calls", ["started_at", "call_id", *listed, *found])


def _fill() -> None:
    connection = op.get_bind()
    unanswered: list[tuple[int, str]] = []
    sums: Counter[tuple[str, str, str, str]] = Counter()
    statement = sa.text(
        "SELECT call_id, started_at, agent, direction, answered_at, duration_seconds, end_reason, fault, summary"
        " FROM calls WHERE status = 'ended'"
    )
    for call_id, started_at, agent, direction, answered_at, seconds, end_reason, fault, written in connection.execute(
        statement
    ):
        summary = _object(written)
        turns = _object(summary.get("unanswered")).get("count")
        if isinstance(turns, int):
            unanswered.append((turns, call_id))
        amounts: dict[str, float] = {
            "calls": 1,
            f"end_reason:{end_reason}": 1,
            f"fault:{fault}": 1,
            f"direction:{direction}": 1,
            "unanswered_turns": turns if isinstance(turns, int) else 0,
            "unanswered_calls": int(bool(turns)),
        }
        amounts |= dict(_costs(_object(summary.get("costs")), was_answered=answered_at is not None))
        if answered_at is not None:
            amounts |= {"answered": 1, "talk_seconds": seconds if isinstance(seconds, int | float) else 0}
        if isinstance(summary.get("abandoned"), str):
            amounts[f"abandoned:{summary['abandoned']}"] = 1
        for period, (letters, rest) in _PERIODS.items():
            for name, amount in amounts.items():
                sums[period, started_at[:letters] + rest, agent or "", name] += amount  # type: ignore[assignment]
    if unanswered:
        connection.exec_driver_sql("UPDATE calls SET unanswered = ? WHERE call_id = ?", unanswered)
    rows = [(*key, amount) for key, amount in sums.items() if amount]
    if rows:
        insert = "INSERT INTO call_figures (period, starts_at, agent, name, amount) VALUES (?, ?, ?, ?, ?)"
        connection.exec_driver_sql(insert, rows)


def _costs(costs: dict[str, object], *, was_answered: bool) -> Iterator[tuple[str, float]]:
    for kind in ("stt", "llm", "tts", "telephony", "total"):
        amount = costs.get(kind)
        if isinstance(amount, int | float):
            yield f"cost:{kind}", amount
    if was_answered and costs.get("total") is None:
        yield "unpriced_calls", 1


def _object(value: object) -> dict[str, object]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    return value if isinstance(value, dict) else {}
