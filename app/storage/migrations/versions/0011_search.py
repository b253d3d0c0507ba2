"""Calls by agent, fault, end reason, part of a number, and the words that were said in them."""

import json
from collections.abc import Iterator
from itertools import groupby

import sqlalchemy as sa
from alembic import op

from app.storage.call_words import words_of

revision = "0011"
down_revision = "0010"

_HEARD = {"turn.taken": "text", "agent.finished": "heard", "agent.interrupted": "heard"}
"""The rows that say what was said, with their field."""
_CALLS_AT_ONCE = 2000


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
    found: list[tuple[int, str, str | None, list[str]]] = []
    for number, (call_id, rows) in enumerate(groupby(_journals(connection), key=lambda row: row[0]), 1):
        agent: object = None
        texts: list[str] = []
        for _, kind, data in rows:
            if kind == "call.created":
                described = data.get("agent")
                agent = described.get("name") if isinstance(described, dict) else None
            elif isinstance(text := data.get(_HEARD[kind]), str):
                texts.append(text)
        found.append((number, call_id, agent if isinstance(agent, str) else None, words_of(texts)))
        if len(found) == _CALLS_AT_ONCE:
            _store(connection, found)
            found.clear()
    _store(connection, found)


def _store(connection: sa.Connection, found: list[tuple[int, str, str | None, list[str]]]) -> None:
    """Words in their order: neighbours in the table are written together."""
    said = [call for call in found if call[3]]
    if said:
        texts = [(number, " ".join(words)) for number, _, _, words in said]
        connection.exec_driver_sql("INSERT INTO call_texts (words_id, words) VALUES (?, ?)", texts)
        words = sorted((word, number) for number, _, _, words in said for word in words)
        connection.exec_driver_sql("INSERT INTO call_words (word, words_id) VALUES (?, ?)", words)
    if found:
        columns = [(agent, number if words else None, call_id) for number, call_id, agent, words in found]
        connection.exec_driver_sql("UPDATE calls SET agent = ?, words_id = ? WHERE call_id = ?", columns)


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
