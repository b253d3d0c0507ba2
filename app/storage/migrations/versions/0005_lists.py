"""An index for every combination of filters, instead of one for every filter."""

from itertools import combinations

from alembic import op

revision = "0005"
down_revision = "0004"

_COLUMNS = {"status": "status", "direction": "direction", "caller": "caller_number", "called": "called_number"}


def upgrade() -> None:
    """Add the indexes of two filters and more."""
    for filters in (names for size in range(2, 5) for names in combinations(_COLUMNS, size)):
        columns = [_COLUMNS[name] for name in filters]
        op.create_index(f"calls_by_{'_'.join(filters)}", "calls", [*columns, "started_at", "call_id"])
