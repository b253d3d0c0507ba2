"""The tables, and how JSON is stored in them."""

import json
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import structlog
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)

log = structlog.get_logger(__name__)

metadata = MetaData()

REVISION = "0028"
"""The newest revision in ``migrations/versions``, which creates these tables."""

_LISTED_BY = {
    "status": "status",
    "direction": "direction",
    "caller": "caller_number",
    "called": "called_number",
}
"""The filters of a call list, each with its column."""

_SEARCHED_BY = ("agent", "fault", "end_reason", "words_id", "unanswered", "late", "synthetic")
"""The columns of the other filters."""


def _where(condition: str) -> dict[str, Any]:
    """What an index of some rows only has, on either database."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


def _list_indexes() -> Iterator[Index]:
    """One index for each combination of these filters, so that a page costs only what it returns, however rare it is.

    A list is newest first, so each index ends with that order and no page is ever sorted. The index by start has all
    that any other filter asks for, so that looking for rare calls reads this index and no rows of the table. Together
    they take less than two kilobytes per call.
    """
    yield Index("calls_by_start", "started_at", "call_id", *_LISTED_BY.values(), *_SEARCHED_BY)
    for filters in (names for size in range(1, 5) for names in combinations(_LISTED_BY, size)):
        columns = [_LISTED_BY[name] for name in filters]
        yield Index(f"calls_by_{'_'.join(filters)}", *columns, "started_at", "call_id")


calls = Table(
    "calls",
    metadata,
    Column("call_id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("direction", String, nullable=False),
    Column("status", String, nullable=False),
    Column("caller_number", String),
    Column("called_number", String),
    Column("livekit_room", String),
    Column("created_at", String, nullable=False),
    Column("started_at", String, nullable=False),
    Column("answered_at", String),
    Column("ended_at", String),
    Column("duration_seconds", Float),
    Column("end_reason", String),
    Column("fault", String, nullable=False),
    Column("language", String),
    Column("version", String, nullable=False),
    Column("recording", Boolean, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("agent", String),
    Column("variables", JSON, nullable=False, server_default="{}"),
    Column("summary", JSON(none_as_null=True)),
    Column("owner", String),
    Column("fence", Integer, nullable=False),
    Column("lease_until", Float),
    Column("alive_at", Float),
    Column("over_since", Float),
    Column("room_sid", String),
    Column("sip_call_id", String),
    Column("analysis", JSON(none_as_null=True)),  # its status and what it found; null if there is none
    Column("seal", String),  # the hash of the last row; null while the call lives
    Column("words_id", Integer),  # of call_texts; null if nothing was said, or while the call lives
    Column("retention", JSON(none_as_null=True)),  # the agent's own; null where the settings decide
    Column("recording_erased_at", String),
    Column("words_erased_at", String),
    Column("words_left_from", Integer),  # while the words are being erased: the first row that may still have some
    Column("unanswered", Integer),  # turns of the caller; null while the call lives, and in calls of older versions
    Column("late", Integer),  # answers that came later than the policy allows; likewise
    Column("synthetic", Boolean, nullable=False, server_default=false()),  # placed by the service to check itself
    Column("resume_hash", String),
    Index(  # one call, however often it is reported; but a caller whose call lost the room may be answered again
        "calls_by_telephone_call",
        "room_sid",
        "sip_call_id",
        unique=True,
        **_where("end_reason IS NULL OR end_reason != 'media_lost'"),
    ),
    Index("calls_by_end", "ended_at", "call_id", **_where("status = 'ended'")),  # the oldest are erased first
    *_list_indexes(),
)

journal = Table(
    "journal",
    metadata,
    Column("call_id", String, ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", String, nullable=False),
    Column("t", Float, nullable=False),
    Column("type", String, nullable=False),
    Column("turn", Integer),
    Column("v", Integer, nullable=False),
    Column("data", Text, nullable=False),  # JSON, encoded when the row is appended, not when it is committed
    Column("hash", String),  # see app/journal/seal.py; null in rows of versions that had no seals
    Column("salt", String),  # null in rows that hold no words
    Column("data_hash", String),  # of the words that retention has erased; null if it has not
    sqlite_with_rowid=False,  # a call's rows are adjacent, and the key is stored once
)

erased_calls = Table(
    "erased_calls",
    metadata,
    Column("call_id", String, primary_key=True),
    Column("seal", String),
    Column("erased_at", String, nullable=False),
    Column("erased_by", String, nullable=False, server_default="request"),  # or "retention"
)
"""All that is left of a call that was erased: that it was, and the seal that its record had."""

call_texts = Table(
    "call_texts",
    metadata,
    Column("words_id", Integer, primary_key=True),
    Column("words", Text, nullable=False),  # each once, in order, with spaces between them
)

call_words = Table(
    "call_words",
    metadata,
    Column("word", String, primary_key=True),
    Column("words_id", Integer, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

call_figures = Table(
    "call_figures",
    metadata,
    Column("period", String, primary_key=True),  # "hour" or "day"
    Column("starts_at", String, primary_key=True),  # of the hour or the day, ISO UTC
    Column("agent", String, primary_key=True),  # empty in calls of versions without agents
    Column("name", String, primary_key=True),  # see app/storage/figures.py
    Column("amount", Float, nullable=False),
    sqlite_with_rowid=False,
)
"""Sums over the calls that began in an hour or a day. They outlive the calls, and hold nothing of a single one."""

latency_figures = Table(
    "latency_figures",
    metadata,
    Column("period", String, primary_key=True),
    Column("starts_at", String, primary_key=True),
    Column("agent", String, primary_key=True),
    Column("stage", String, primary_key=True),
    Column("steps", JSON, nullable=False),  # answers by step, see app/storage/figures.py
    sqlite_with_rowid=False,
)
"""How many answers took about so long in a stage, likewise."""

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", String, primary_key=True),
    Column("call_id", String, nullable=False, unique=True),
    Column("caller", String),
    Column("metadata", JSON, nullable=False),
    Column("created_at", String, nullable=False),
    Column("expires_at", String, nullable=False),
    Column("used_at", String),
    Column("events", String, nullable=False, server_default="conversation"),  # or "all"
    Column("agent", String),
    Column("variables", JSON, nullable=False, server_default="{}"),
    Column("synthetic", Boolean, nullable=False, server_default=false()),
    Index("sessions_by_expiry", "expires_at"),
)

webhook_inbox = Table(
    "webhook_inbox",
    metadata,
    Column("event_id", String, primary_key=True),
    Column("event", String, nullable=False),
    Column("room", String, nullable=False),
    Column("room_sid", String, nullable=False),
    Column("identity", String, nullable=False),
    Column("attributes", JSON, nullable=False),
    Column("received_at", String, nullable=False),
    Column("taken_at", String),
    Index("webhook_inbox_by_age", "received_at"),
    Index("webhook_inbox_by_room", "room_sid"),
    Index("webhook_inbox_waiting", "received_at", **_where("taken_at IS NULL")),
)

call_requests = Table(
    "call_requests",
    metadata,
    Column("request_id", Integer, primary_key=True),
    Column("call_id", String, ForeignKey("calls.call_id", ondelete="CASCADE"), nullable=False),
    Column("kind", String, nullable=False),
    Column("data", JSON, nullable=False),
    Column("created_at", String, nullable=False),
    Column("taken_at", String),
    Index("call_requests_by_call", "call_id"),
    # Owners poll this index.
    Index("call_requests_waiting", "request_id", **_where("taken_at IS NULL")),
)

lease_boot = Table(
    "lease_boot",
    metadata,
    Column("boot", String, nullable=False),
    Column("proofs", Integer, nullable=False),
)
"""One row: the boot that ``calls.lease_until`` counts from, and a number that is changed to prove that writes work."""

ERASED_BODY = ""
"""Replaces the hash of a request whose call was erased: the key stays used, the request is forgotten."""

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key_digest", String, primary_key=True),
    Column("body_hash", String, nullable=False),
    Column("call_id", String, nullable=False),  # no foreign key: the call may be erased
    Column("created_at", String, nullable=False),
    Index("idempotency_keys_by_age", "created_at"),
    Index("idempotency_keys_by_call", "call_id"),
)

dials = Table(
    "dials",
    metadata,
    Column("dial_id", Integer, primary_key=True),
    Column("placed_at", String, nullable=False),
    Column("number_digest", String, nullable=False),
    Index("dials_by_time", "placed_at"),
    Index("dials_by_number", "number_digest", "placed_at"),
)

spending = Table(
    "spending",
    metadata,
    Column("spending_id", Integer, primary_key=True),
    Column("day", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("call_id", String),  # no foreign key: the call may be erased, and then this is null
    Column("reserved_usd", Float, nullable=False),
    Column("spent_usd", Float),  # null while the call lives, or if its cost is unknown
    Column("ended", Boolean, nullable=False),
    Index("spending_by_day", "day", "agent"),
    Index("spending_by_call", "call_id"),
)

analysis_jobs = Table(
    "analysis_jobs",
    metadata,
    Column("call_id", String, ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("due_at", String, nullable=False),
    Column("lease_until", Float),
    Column("cost", Float),  # of the attempts so far, in US dollars; null if it is not known
    Index("analysis_jobs_due", "due_at"),
)
"""The calls whose analysis is not done."""

compression_jobs = Table(
    "compression_jobs",
    metadata,
    Column("call_id", String, ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("due_at", String, nullable=False),
    Column("lease_until", Float),
    Index("compression_jobs_due", "due_at"),
)
"""The calls whose recording is not compressed."""

call_outcomes = Table(
    "call_outcomes",
    metadata,
    Column("field", String, primary_key=True),
    Column("value", String, primary_key=True),
    Column("call_id", String, ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
    Index("call_outcomes_by_call", "call_id"),
    sqlite_with_rowid=False,
)
"""The plain values among what came of the calls, by which they are found."""

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("endpoint_id", String, primary_key=True),
    Column("agent", String),  # null: the events of all calls
    Column("events", String, nullable=False),  # with a space before and after each
    Column("off_since", String),
)
"""The endpoints that are set up now, so that the code that commits an event knows who must get it."""

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("delivery_id", Integer, primary_key=True),
    Column("message_id", String, nullable=False),
    Column("call_id", String, ForeignKey("calls.call_id", ondelete="CASCADE"), nullable=False),
    Column("endpoint_id", String, nullable=False),  # no foreign key: the endpoint may be gone
    Column("event", String, nullable=False),
    Column("happened_at", String, nullable=False),
    Column("status", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", String, nullable=False),
    Column("lease_until", Float),
    Column("delivered_at", String),
    Column("answer", Integer),
    Column("error", String),
    Index("webhook_deliveries_by_call", "call_id", "endpoint_id"),
    Index("webhook_deliveries_by_status", "status", "delivery_id"),
    # Each worker polls this index for each endpoint.
    Index("webhook_deliveries_waiting", "endpoint_id", "due_at", **_where("status = 'pending'")),
    sqlite_autoincrement=True,  # no number is given twice: a client lists by them
)

service_jobs = Table(
    "service_jobs",
    metadata,
    Column("name", String, primary_key=True),
    Column("due_at", String, nullable=False),
    Column("lease_until", Float),
)
"""Work that one process does for all, at intervals."""

do_not_call = Table(
    "do_not_call",
    metadata,
    Column("number", String, primary_key=True),  # in E.164
    Column("added_at", String, nullable=False),
    Column("added_by", String, nullable=False),  # "operator" or "caller"
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("name", String, primary_key=True),
    Column("key_hash", String, nullable=False, unique=True),  # SHA-256, hexadecimal
    Column("scopes", String, nullable=False),  # separated by commas
    Column("created_at", String, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("audit_id", Integer, primary_key=True),
    Column("at", String, nullable=False),
    Column("key", String, nullable=False),  # the name of the key
    Column("action", String, nullable=False),
    Column("call_id", String),  # no foreign key: an entry outlives its call
    Column("detail", String),
    Column("status", Integer),
    Index("audit_by_call", "call_id", "audit_id"),
    Index("audit_by_key", "key", "audit_id"),
    sqlite_autoincrement=True,  # no number is given twice: a client lists by them
)

service_orders = Table(
    "service_orders",
    metadata,
    Column("order_id", Integer, primary_key=True),  # 1: there is one row
    Column("paused_since", String),
    Column("draining_since", String),
    Column("outbound_stopped_since", String),
    Column("ordered_by", String),  # the name of the key
)
"""What operators have ordered the whole service to do."""


def decode_object(written: Any) -> dict[str, Any]:
    """Decode the JSON object of a column. Anything else becomes an empty object, so that it does not harm other rows.

    SQLite returns text that looks like a number as a number, whatever the column's type. What is returned can be sent
    on as UTF-8 and JSON: half a surrogate pair becomes a question mark, and NaN becomes null.
    """
    try:
        value = json.loads(written, parse_constant=_no_number)
        if isinstance(written, str) and "\\u" in written:
            value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError, TypeError):
        value = None
    if isinstance(value, dict):
        return value
    if value is not None or written not in ("null", b"null"):
        log.error("row.unreadable", length=len(str(written)))
    return {}


def _no_number(_name: str) -> None:
    """``NaN`` and the like, which Python reads as numbers."""


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def encode_json(value: Any) -> str:
    """Encode as compact JSON that can be stored as UTF-8. Raises TypeError or ValueError for what is not JSON.

    A lone surrogate, which a client may send as an escape, stays an escape: UTF-8 cannot represent it.
    """
    encoded = _encode(value)
    if encoded.isascii():
        return encoded
    try:
        encoded.encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    return encoded
