"""Calls by agent, fault, end reason, part of a number, and the words that were said in them."""

import json
from collections.abc import Iterator
from itertools import groupby

import sqlalchemy as sa
from alembic import op

from app.storage.call_words import store_words

revision = "0011"
down_revision = "0010"

_HEARD = {"turn.taken": "text", "agent.finished": "heard", "agent.interrupted": "heard"}
"""The rows that say what was said, with their field."""


def upgrade() -> None:
    """Add the columns, the index and the tables, and fill them from the journals.

    The journals are read once; that takes about as long as copying them.
    """
    op.add_column("calls", sa.Column("agent", sa.String()))
    op.add_column("calls", sa.Column("words_id", sa.Integer()))
    op.create_table(
        "call_texts",
        sa.Column("words_id", sa.Integer(), primary_key=True),
        sa.Column("words", sa.Text(), nullable=False),
    )
    op.create_table(
        "call_words",
        sa.Column("word", sa.String(), primary_key=True),
        sa.Column("words_id", sa.Integer(), primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    _fill()
    op.drop_index("calls_by_start", "calls")
    filters = ["status", "direction", "caller_number", "called_number", "agent", "fault", "end_reason", "words_id"]
    op.create_index("calls_by_start", "calls", ["started_at", "call_id", *filters])


def _fill() -> None:
    connection = op.get_bind()
    agents = sa.text("UPDATE calls SET agent = :agent WHERE call_id = :call_id")
    for call_id, rows in groupby(_journals(connection), key=lambda row: row[0]):
        agent: object = None
        texts: list[str] = []
        for _, kind, data in rows:
            if kind == "call.created":
                described = data.get("agent")
                agent = described.get("name") if isinstance(described, dict) else None
            elif isinstance(text := data.get(_HEARD[kind]), str):
                texts.append(text)
        if isinstance(agent, str):
            connection.execute(agents, {"agent": agent, "call_id": call_id})
        store_words(connection, call_id, texts)


def _journals(connection: sa.Connection) -> Iterator[tuple[str, str, dict[str, object]]]:
    """What matters of the journals of all calls that have ended, call by call."""
    statement = sa.text(
        "SELECT call_id, type, data FROM journal"
        " WHERE type IN ('call.created', 'turn.taken', 'agent.finished', 'agent.interrupted')"
        " AND call_id IN (SELECT call_id FROM calls WHERE status = 'ended') ORDER BY call_id, seq"
    )
    for call_id, kind, written in connection.execute(statement):
        try:
            data = json.loads(written)
        except (ValueError, TypeError, RecursionError):
            continue
        if isinstance(data, dict):
            yield call_id, kind, data
