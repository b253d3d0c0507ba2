"""One journal transaction: inserts rows of many calls, each only if its writer owns the call."""

import secrets
from dataclasses import dataclass
from itertools import dropwhile
from typing import Any

from sqlalchemy import Connection, func, insert, select

from app.journal.seal import SealedRow, row_hash
from app.journal.wordless import has_words
from app.storage.backlog import WaitingRow
from app.storage.calls import end_call
from app.storage.dialects.statements import keep_rows
from app.storage.schema import calls, journal

Group = dict[str, list[WaitingRow]]
"""Rows by call id, each call's in order."""


@dataclass(frozen=True, slots=True)
class LostRows:
    """Rows of a call that were not inserted: another process owns the call now, or the call has ended."""

    rows: int
    owner_changed: bool


def write_group(group: Group, connection: Connection) -> dict[str, LostRows]:
    """Insert the rows whose writer owns the call, and end calls; returns the rows that were not inserted.

    No other process can take over one of the calls before this is committed. Rows that are there already, because the
    answer to an earlier commit of them was lost, are passed over.
    """
    keep_rows(connection, select(calls.c.call_id).where(calls.c.call_id.in_(list(group))).order_by(calls.c.call_id))
    owners = _owners(group, connection)
    lost: dict[str, LostRows] = {}
    inserts: list[dict[str, Any]] = []
    for call_id, rows in group.items():
        owner = owners.get(call_id)
        if owner and owner.last_seq is not None and rows[0].row.seq <= owner.last_seq:
            rows = _not_there(call_id, rows, connection)
        kept = [row for row in rows if owner and owner.fence == row.fence and owner.status != "ended"]
        if len(kept) < len(rows):
            lost[call_id] = LostRows(len(rows) - len(kept), owner is None or owner.fence != rows[-1].fence)
        previous = (owner and owner.last_hash) or call_id
        for waiting in kept:
            row = _sealed(waiting, previous)
            inserts.append({"call_id": call_id, **row._asdict()})
            previous = str(row.hash)
            if waiting.ending is not None:
                end_call(connection, call_id, waiting.fence, waiting.ending, seal=previous)
    if inserts:
        connection.execute(insert(journal), inserts)
    return lost


def _owners(group: Group, connection: Connection) -> dict[str, Any]:
    """The fence, the status, and of the last row the hash and the number, of each call."""
    of_call = journal.c.call_id == calls.c.call_id
    last_seq = select(func.max(journal.c.seq)).where(of_call).scalar_subquery().label("last_seq")
    last_hash = select(journal.c.hash).where(of_call).order_by(journal.c.seq.desc()).limit(1).scalar_subquery()
    columns = (calls.c.call_id, calls.c.fence, calls.c.status, last_hash.label("last_hash"), last_seq)
    owned = select(*columns).where(calls.c.call_id.in_(list(group)))
    return {row.call_id: row for row in connection.execute(owned)}


def _not_there(call_id: str, rows: list[WaitingRow], connection: Connection) -> list[WaitingRow]:
    """The rows without those at the beginning that are in the journal, word for word."""
    columns = (journal.c.seq, journal.c.at, journal.c.type, journal.c.data)
    since = select(*columns).where(journal.c.call_id == call_id, journal.c.seq >= rows[0].row.seq)
    there = {tuple(row) for row in connection.execute(since)}
    return list(dropwhile(lambda each: (each.row.seq, each.row.at, each.row.type, each.data) in there, rows))


def _sealed(waiting: WaitingRow, previous: str) -> SealedRow:
    """The row as it is stored; ``previous`` is the hash of the row before it, or the call's id."""
    row = waiting.row
    salt = secrets.token_hex(16) if has_words(row.type) else None
    unsealed = SealedRow(row.seq, row.at, float(row.t), row.type, row.turn, row.v, waiting.data, salt=salt)
    return unsealed._replace(hash=row_hash(previous, unsealed))
