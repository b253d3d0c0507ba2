"""Stretches of time in a call, in seconds since the answer."""

from collections.abc import Iterable

Span = tuple[float, float]
"""From, to."""


def merged(spans: Iterable[Span], *, apart: float = 0.0) -> list[Span]:
    """The same time in order, as few spans; two that are no more than ``apart`` from each other become one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start - found[-1][1] <= apart:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def uncovered(covered: Iterable[Span], end: float) -> list[Span]:
    """What no span covers between 0 and ``end``."""
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
