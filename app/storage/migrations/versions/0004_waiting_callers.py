"""An index for waiting callers, because every worker polls for them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Index the callers that no process has taken; usually there are none."""
    waiting = sa.text("taken_at IS NULL")
    op.create_index(
        "webhook_inbox_waiting", "webhook_inbox", ["received_at"], sqlite_where=waiting, postgresql_where=waiting
    )
