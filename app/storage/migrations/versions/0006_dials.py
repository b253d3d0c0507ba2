"""Dials and idempotency keys apart from the calls, so that erasing a call neither allows a dial nor frees a key."""

import hashlib
from datetime import timedelta

import sqlalchemy as sa
from alembic import op

from app.clock import iso_utc, utc_now

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table with the dials of the last day, and let the keys outlive their calls."""
    connection = op.get_bind()
    dials = op.create_table(
        "dials",
        sa.Column("dial_id", sa.Integer, primary_key=True),
        sa.Column("placed_at", sa.String, nullable=False),
        sa.Column("number_digest", sa.String, nullable=False),
    )
    op.create_index("dials_by_time", "dials", ["placed_at"])
    op.create_index("dials_by_number", "dials", ["number_digest", "placed_at"])
    calls = sa.table("calls", *map(sa.column, ("started_at", "called_number", "direction")))
    since = iso_utc(utc_now() - timedelta(days=1))
    of_a_day = (calls.c.direction == "outbound") & (calls.c.started_at > since)
    placed = connection.execute(sa.select(calls.c.started_at, calls.c.called_number).where(of_a_day)).all()
    op.bulk_insert(dials, [{"placed_at": at, "number_digest": _digest(number)[:6]} for at, number in placed if number])

    old_keys = sa.table("idempotency_keys", *map(sa.column, ("key", "body_hash", "call_id", "created_at")))
    kept = connection.execute(sa.select(*old_keys.c)).all()
    op.drop_table("idempotency_keys")
    keys = op.create_table(
        "idempotency_keys",
        sa.Column("key_digest", sa.String, primary_key=True),
        sa.Column("body_hash", sa.String, nullable=False),
        sa.Column("call_id", sa.String, nullable=False),
        sa.Column("created_at", sa.String, nullable=False),
    )
    op.create_index("idempotency_keys_by_age", "idempotency_keys", ["created_at"])
    op.create_index("idempotency_keys_by_call", "idempotency_keys", ["call_id"])
    op.bulk_insert(
        keys,
        [
            {"key_digest": _digest(key), "body_hash": body_hash, "call_id": call_id, "created_at": created_at}
            for key, body_hash, call_id, created_at in kept
        ],
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
