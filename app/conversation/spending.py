"""What a call costs while it lives, as the core sees it."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class SpendingReached:
    """The call has cost so much that its limit is near, or reached. Costs are in US dollars at list prices."""

    type: ClassVar[str] = "spending.reached"
    spent_usd: float
    """What is known of it."""
    limit_usd: float
    is_complete: bool = True
    """Whether all prices are known so far."""
