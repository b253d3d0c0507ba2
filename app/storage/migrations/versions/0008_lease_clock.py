"""Leases count from the boot of the machine instead of from 1970; the table says which boot."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the table. It is empty, so the next start releases every lease of the old clock."""
    op.create_table(
        "lease_boot",
        sa.Column("boot", sa.String(), nullable=False),
        sa.Column("proofs", sa.Integer(), nullable=False),
    )
