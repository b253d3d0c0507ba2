"""Whatever befalls database and processes, who renews its leases is never taken for dead."""

from dataclasses import dataclass, field
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from app.calls.dispatch.leases import LEASE_SECONDS, RENEW_SECONDS, LeaseWatch

TICK = 0.05
SECONDS = 60.0
REAP_SECONDS = 0.5
PROCESSES = 3

Spans = list[tuple[float, float]]
"""From when, and for how long."""


@dataclass
class World:
    """A database that is locked at times, and a clock."""

    now: float = 0.0
    leases: dict[int, float] = field(default_factory=dict)
    locked: Spans = field(default_factory=list)
    reaped: list[tuple[int, float]] = field(default_factory=list)

    @property
    def is_locked(self) -> bool:
        return _within(self.locked, self.now)


@dataclass
class Process:
    """Has one call, renews its lease as the dispatcher does, and reaps."""

    name: int
    world: World
    stopped: Spans
    renews_at: float
    reaps_at: float

    def __post_init__(self) -> None:
        self.watch = LeaseWatch(lambda: self.world.now)
        self.world.leases[self.name] = LEASE_SECONDS

    def run(self) -> None:
        world = self.world
        if _within(self.stopped, world.now) or world.is_locked:
            return
        if world.now >= self.reaps_at:
            self.reaps_at = world.now + REAP_SECONDS
            if self.watch.may_judge():
                expired = [name for name, until in world.leases.items() if until < world.now and name != self.name]
                world.reaped += [(name, world.now) for name in expired]
                for name in expired:
                    del world.leases[name]
        if world.now >= self.renews_at:
            self.renews_at = world.now + RENEW_SECONDS
            if self.name in world.leases:
                world.leases[self.name] = world.now + LEASE_SECONDS
            self.watch.renewed()


def _within(spans: Spans, moment: float) -> bool:
    return any(begins <= moment < begins + lasts for begins, lasts in spans)


def spans(longest: float) -> st.SearchStrategy[Spans]:
    return st.lists(st.tuples(st.floats(0, SECONDS - 15), st.floats(0.05, longest)), max_size=5)


def play(locked: Spans, stopped: Spans, phases: list[float], seed: int) -> World:
    """The first process is stopped at times; the order in which they come to run is chance."""
    world, chance = World(locked=locked), Random(seed)  # noqa: S311 - not a secret
    processes = [
        Process(name, world, stopped if name == 0 else [], renews_at=phase, reaps_at=phase / 2)
        for name, phase in enumerate(phases)
    ]
    while world.now < SECONDS:
        world.now += TICK
        chance.shuffle(processes)
        for process in processes:
            process.run()
    return world


phases = st.lists(st.floats(0, RENEW_SECONDS), min_size=PROCESSES, max_size=PROCESSES)


@given(locked=spans(20), stopped=spans(20), phases=phases, seed=st.integers(0, 1000))
def test_a_process_that_is_never_stopped_is_never_reaped(
    locked: Spans, stopped: Spans, phases: list[float], seed: int
) -> None:
    assert [name for name, _ in play(locked, stopped, phases, seed).reaped if name != 0] == []


@given(begins=st.floats(0, 20), phases=phases, seed=st.integers(0, 1000))
def test_a_process_that_is_stopped_for_good_is_reaped_within_three_seconds(
    begins: float, phases: list[float], seed: int
) -> None:
    [(name, at)] = play([], [(begins, SECONDS)], phases, seed).reaped
    assert name == 0
    assert at - max(begins, LEASE_SECONDS) < LEASE_SECONDS + 1
