"""What LiveKit told of a call is found by its room, so that erasing the call does not look through all of it."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the index."""
    op.create_index("webhook_inbox_by_room", "webhook_inbox", ["room_sid"])
