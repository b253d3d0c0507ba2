"""An index of webhooks by room, so that erasing a call does not scan the whole inbox."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the index."""
    op.create_index("webhook_inbox_by_room", "webhook_inbox", ["room_sid"])
