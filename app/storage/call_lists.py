"""Lists of calls in pages. Each page is one range of one index, so its cost does not depend on the number of calls."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, select, tuple_

from app.clock import iso_utc, parse_iso
from app.errors import InvalidRequest
from app.storage.schema import calls


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Which calls to list; None matches every call."""

    status: str | None = None
    direction: str | None = None
    caller: str | None = None
    called: str | None = None
    since: str | None = None
    """Calls that started at this ISO UTC time or later."""
    until: str | None = None
    """Calls that started before this ISO UTC time."""


def list_statement(wanted: CallFilter, *, limit: int, after: tuple[str, str] | None) -> Select[Any]:
    """The query of ``CallStore.list``; ``after`` is the (started_at, call_id) of the call before the page."""
    equal = {
        calls.c.status: wanted.status,
        calls.c.direction: wanted.direction,
        calls.c.caller_number: wanted.caller,
        calls.c.called_number: wanted.called,
    }
    conditions: list[ColumnElement[bool]] = [column == value for column, value in equal.items() if value is not None]
    # Always one bound at each end: SQLite reads one range of the one index that fits, and cannot choose another.
    conditions.append(calls.c.started_at >= (wanted.since or ""))
    before = [bound for bound in (after, wanted.until and (wanted.until, "")) if bound]
    if before:
        conditions.append(tuple_(calls.c.started_at, calls.c.call_id) < min(before))
    newest_first = (calls.c.started_at.desc(), calls.c.call_id.desc())
    return select(calls).where(*conditions).order_by(*newest_first).limit(limit)


def encode_cursor(started_at: str, call_id: str) -> str:
    """Encode where the next page begins, after this call, as opaque text for a URL."""
    return base64.urlsafe_b64encode(json.dumps([started_at, call_id]).encode()).decode()


def decode_cursor(cursor: str) -> tuple[str, str]:
    """The inverse of :func:`encode_cursor`. Raises InvalidRequest."""
    try:
        started_at, call_id = json.loads(base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True))
        genuine = iso_utc(parse_iso(started_at)) == started_at and call_id.isprintable()
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        genuine, started_at, call_id = False, "", ""
    if not genuine:
        raise InvalidRequest("the cursor is none that this service gave out")
    return started_at, call_id
