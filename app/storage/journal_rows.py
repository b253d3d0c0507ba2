"""One journal transaction: inserts rows of many calls, each only if its writer owns the call."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from app.storage.backlog import WaitingRow
from app.storage.calls import end_call
from app.storage.schema import calls, journal

Group = dict[str, list[WaitingRow]]
"""Rows by call id, each call's in order."""


@dataclass(frozen=True, slots=True)
class LostRows:
    """Rows of a call that were not inserted: another process owns the call now, or the call has ended."""

    rows: int
    owner_changed: bool


def write_group(group: Group, connection: Connection) -> dict[str, LostRows]:
    """Insert the rows whose writer owns the call, and end calls; returns the rows that were not inserted."""
    owned = select(calls.c.call_id, calls.c.fence, calls.c.status).where(calls.c.call_id.in_(list(group)))
    owners = {row.call_id: row for row in connection.execute(owned)}
    lost: dict[str, LostRows] = {}
    inserts: list[dict[str, Any]] = []
    for call_id, rows in group.items():
        owner = owners.get(call_id)
        kept = [row for row in rows if owner and owner.fence == row.fence and owner.status != "ended"]
        inserts += (_columns(call_id, waiting) for waiting in kept)
        if len(kept) < len(rows):
            lost[call_id] = LostRows(len(rows) - len(kept), owner is None or owner.fence != rows[-1].fence)
        for waiting in kept:
            if waiting.ending is not None:
                end_call(connection, call_id, waiting.fence, waiting.ending)
    if inserts:
        connection.execute(insert(journal), inserts)
    return lost


def _columns(call_id: str, waiting: WaitingRow) -> dict[str, Any]:
    row = waiting.row
    return {
        "call_id": call_id,
        "seq": row.seq,
        "at": row.at,
        "t": row.t,
        "type": row.type,
        "turn": row.turn,
        "v": row.v,
        "data": waiting.data,
    }
