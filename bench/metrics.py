"""Reads histograms from the service's ``/metrics``."""

from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

_LAG = "voice_event_loop_lag_seconds"


@dataclass(frozen=True, slots=True)
class Counts:
    """Cumulative counts by the upper bound of their bucket, in seconds."""

    upto: dict[float, float]

    def since(self, earlier: "Counts") -> "Counts":
        """The counts since then."""
        return Counts({bound: count - earlier.upto.get(bound, 0.0) for bound, count in self.upto.items()})

    def percentile_ms(self, share: float) -> float | None:
        """Estimate a quantile, assuming that values are spread evenly within their bucket. None without counts."""
        total = max(self.upto.values(), default=0.0)
        if not total:
            return None
        below_bound, below = 0.0, 0.0
        for bound, count in sorted(self.upto.items()):
            if count >= share * total:
                part = (share * total - below) / (count - below) if count > below else 1.0
                return 1000 * (below_bound if bound == float("inf") else below_bound + part * (bound - below_bound))
            below_bound, below = bound, count
        return None


def loop_lag(service_url: str) -> Counts:
    """How late the service's event loop has been."""
    text = httpx.get(f"{service_url}/metrics", trust_env=False, timeout=10).text
    upto: dict[float, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == f"{_LAG}_bucket":
                upto[float(sample.labels["le"])] = sample.value
    return Counts(upto)
