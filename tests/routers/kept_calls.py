"""Calls put straight into the database, for doors that only read."""

import json
import sqlite3
from pathlib import Path
from typing import Any

from app.storage.schema import calls

_CALL: dict[str, Any] = {
    "kind": "websocket",
    "direction": "web",
    "status": "ended",
    "created_at": "2026-11-22T10:00:00.000Z",
    "started_at": "2026-11-22T10:00:00.000Z",
    "fault": "none",
    "version": "0.1.0",
    "recording": False,
    "metadata": "{}",
    "fence": 1,
    "owner": "another-process",
    "lease_until": 4e9,
}

INSERT_ROW = "INSERT INTO journal (call_id, seq, at, t, type, turn, v, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


def keep_call(data_dir: Path, call_id: str, rows: list[tuple[str, dict[str, Any]]] | None = None, **values: Any) -> str:
    """Insert a call, with a journal of ``(type, data)``, a second apart. Gives its id."""
    record = {**_CALL, "call_id": call_id, **values}
    assert set(record) <= set(calls.c.keys())
    journal = [
        (call_id, seq, "2026-11-22T10:00:00.000Z", float(seq - 1), kind, None, 1, json.dumps(data))
        for seq, (kind, data) in enumerate(rows or [("call.created", {"language": "ru"})], 1)
    ]
    execute(data_dir, f"INSERT INTO calls ({', '.join(record)}) VALUES ({_marks(record)})", tuple(record.values()))  # noqa: S608 - ours
    for row in journal:
        execute(data_dir, INSERT_ROW, row)
    return call_id


def execute(data_dir: Path, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Run a statement as another process would; gives its rows."""
    connection = sqlite3.connect(data_dir / "calls.db", timeout=5)
    try:
        with connection:
            return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def _marks(values: Any) -> str:
    return ", ".join("?" * len(values))
