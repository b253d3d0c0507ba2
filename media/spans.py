"""Time spans of a call, in seconds since the answer."""

from collections.abc import Iterable

Span = tuple[float, float]
"""From, to."""


def merged(spans: Iterable[Span], *, apart: float = 0.0) -> list[Span]:
    """The spans in order, overlapping ones joined; two that are at most ``apart`` seconds apart are joined too."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start - found[-1][1] <= apart:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def uncovered(covered: Iterable[Span], end: float) -> list[Span]:
    """The time between 0 and ``end`` that no span covers."""
    found: list[Span] = []
    reached = 0.0
    for start, stop in merged(covered):
        if start > reached:
            found.append((reached, min(start, end)))
        reached = max(reached, stop)
        if reached >= end:
            break
    if reached < end:
        found.append((reached, end))
    return [(start, stop) for start, stop in found if start < stop]
