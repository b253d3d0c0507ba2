"""A caller whose call lost the room may be answered again: only one call at a time, and one that ended otherwise."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

_INDEX = "calls_by_telephone_call"


def upgrade() -> None:
    """Let the index leave out calls that lost the room."""
    op.drop_index(_INDEX, "calls")
    op.create_index(
        _INDEX,
        "calls",
        ["room_sid", "sip_call_id"],
        unique=True,
        sqlite_where=sa.text("end_reason IS NULL OR end_reason != 'media_lost'"),
        postgresql_where=sa.text("end_reason IS NULL OR end_reason != 'media_lost'"),
    )
