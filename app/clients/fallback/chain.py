"""A chain: the first choice, its fallbacks in order, and which of them are well.

A link is down after two failures in a row, after one that a retry cannot mend (a wrong key, no credit), when its answer
stalled, or when it was so late that another link answered in its place. Links that are down go to the end of the order,
so that no caller waits for them while another link is well. A probe, not a caller, finds out when a link is well
again::

    well --2 failures, or 1 final--> down --probe succeeds--> well
                                      ^ |
                                      +-+ probe fails: the next one comes later
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.backoff import Backoff
from app.clients.limiter import LIVE_WAIT_SECONDS
from app.errors import ContentRejected, ProviderError, ProviderRateLimited, Throttled

ClientT = TypeVar("ClientT")

_FAILURES_MAX = 2
_WAIT_SECONDS_MAX = 60.0
"""The longest time without a probe, whatever the vendor asks for."""


@dataclass(slots=True, eq=False)
class Link(Generic[ClientT]):
    """One client of a chain. ``name`` is its entry in the registry."""

    name: str
    client: ClientT
    failures: int = 0
    """Failures in a row."""
    failed_at: float = -math.inf
    probe_at: float | None = None
    """When to probe it next; None while it is well."""
    probes: int = 0
    """Probes since it went down."""


class Chain(Generic[ClientT]):
    """Links in the order of choice. ``now`` is in seconds of any monotonic clock; the chain reads no clock itself."""

    def __init__(self, links: Sequence[Link[ClientT]], *, backoff: Backoff | None = None) -> None:
        """``backoff`` spaces the probes of a link that is down."""
        self.links = tuple(links)
        self._backoff = backoff or Backoff(first_seconds=1.0, max_seconds=15.0)

    def __repr__(self) -> str:
        shown = (link.name if link.probe_at is None else f"{link.name} (down)" for link in self.links)
        return f"<Chain {' > '.join(shown)}>"

    @property
    def first(self) -> Link[ClientT]:
        """The first choice."""
        return self.links[0]

    def is_down(self, link: Link[ClientT]) -> bool:
        """Whether the link is down."""
        return link.probe_at is not None

    def order(self) -> list[Link[ClientT]]:
        """The links that are well, then the others, each in the order of choice."""
        return sorted(self.links, key=lambda link: link.probe_at is not None)

    def failed(self, link: Link[ClientT], error: ProviderError, *, began_at: float, now: float) -> bool:
        """Note the failure of an attempt. Returns whether the link is down because of it.

        An attempt that began before the last failure belongs to the same outage, and does not count again. A request
        that was refused for its content, or never sent, says nothing about the link. A vendor that asks for a longer
        wait than a turn can afford is down meanwhile.
        """
        if isinstance(error, ContentRejected | Throttled) or began_at < link.failed_at:
            return False
        link.failures += 1
        link.failed_at = now
        wait = error.retry_after or 0.0 if isinstance(error, ProviderRateLimited) else 0.0
        is_final = not error.retryable or wait > LIVE_WAIT_SECONDS
        if link.probe_at is not None or not (is_final or link.failures >= _FAILURES_MAX):
            return False
        link.probes = 0
        link.probe_at = now + max(self._backoff.delay(1), min(wait, _WAIT_SECONDS_MAX))
        return True

    def served(self, link: Link[ClientT]) -> None:
        """Note a complete answer, and forget the failures before it. Only a probe can declare a link well again."""
        if link.probe_at is None:
            link.failures = 0

    def due(self, now: float) -> list[Link[ClientT]]:
        """Links that are down and should be probed now."""
        return [link for link in self.links if link.probe_at is not None and link.probe_at <= now]

    def probed(self, link: Link[ClientT], *, is_well: bool, now: float) -> None:
        """Note the outcome of a probe."""
        if is_well:
            link.failures, link.probe_at = 0, None
        else:
            link.probes += 1
            link.probe_at = now + self._backoff.delay(link.probes + 1)
