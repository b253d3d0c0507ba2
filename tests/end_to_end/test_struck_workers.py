"""Workers that hang, a database that a stranger holds, a clock that is set: who is struck notices, nobody else."""

import asyncio
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.phones import Exchange, Phone, exchange
from tests.end_to_end.processes import sandbox_process
from tests.end_to_end.strikes import stopped
from tests.support.databases import locked
from tests.support.slowness import slowness
from tests.support.wall_clock import WallClock

NEWS = "Мастер уже выехал к вам."
LOCKED_SECONDS = 16.0
"""A call's lease is 2 s, and a worker that is slow keeps its calls for 10 s more."""
HOUR = 3600.0


@dataclass
class Night:
    """What was done to two workers, and what became of them and their calls."""

    deaths: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Of workers, by what was done before."""
    reached: dict[str, list[bool]] = field(default_factory=dict)
    """Whether calls that were not struck could be spoken in afterwards, by what was done."""
    known_after: float = 0.0
    replaced_after: float = 0.0
    struck: list[dict[str, Any]] = field(default_factory=list)
    """Records of the calls of the worker that hung."""
    line_codes: list[int] = field(default_factory=list)
    crashed: float = 0.0
    """How many calls the figures say have lost their process, at the end."""
    active: float = 0.0
    alive: int = 0
    lines: list[str] = field(default_factory=list)
    """Events of the log about leases."""


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("struck")
    clock = WallClock(folder)

    async def spend() -> Night:
        night = Night()
        async with (
            asyncio.timeout(240),
            sandbox_process() as sandbox,
            exchange(folder, sandbox, DRAIN_SECONDS="0.5", **clock.variables) as here,
        ):
            await _spend(night, here, folder, clock)
        return night

    return asyncio.run(spend())


async def _spend(night: Night, here: Exchange, folder: Path, clock: WallClock) -> None:
    phones = await here.ring_both(1)
    everybody = phones[1] + phones[2]

    with stopped(here.service.process.pid):
        await asyncio.sleep(5)
    await asyncio.sleep(1)
    await _note(night, here, "supervisor stopped", everybody)

    with stopped(here.pid_of(1)):
        await asyncio.sleep(1)
    await _note(night, here, "busy for a second", everybody)

    for hours in (1, -1):
        clock.set(hours * HOUR)
        await asyncio.sleep(3)
        await _note(night, here, f"clock {hours:+}", everybody)
    clock.set(0)

    with locked(folder / "calls.db"):
        await asyncio.sleep(LOCKED_SECONDS)
    await asyncio.sleep(3)
    await _note(night, here, "database locked", everybody)
    night.lines = [event for event in ("leases.not_renewed", "leases.in_order") if here.logged(event)]

    await _hang(night, here, phones[1])
    await _note(night, here, "worker hangs", phones[2])
    figures = await here.figures()
    night.crashed = figures['voice_calls_total{direction="web",end_reason="media_lost",fault="ours"}']
    night.active, night.alive = figures["voice_calls_active"], len(phones[2])


async def _hang(night: Night, here: Exchange, struck: list[Phone]) -> None:
    loop = asyncio.get_running_loop()
    starts = len(here.logged("worker.started"))
    began = loop.time()
    os.kill(here.pid_of(1), signal.SIGSTOP)
    while not here.logged("worker.died"):
        await asyncio.sleep(0.02)
    night.known_after = loop.time() - began
    while len(here.logged("worker.started")) == starts:
        await asyncio.sleep(0.02)
    night.replaced_after = loop.time() - began
    night.line_codes = [await phone.closed() for phone in struck]
    while not all(record.get("status") == "ended" for record in night.struck) or not night.struck:
        await asyncio.sleep(0.05)
        night.struck = [await here.get(f"/calls/{phone.call_id}") for phone in struck]


async def _note(night: Night, here: Exchange, what: str, phones: list[Phone]) -> None:
    night.deaths[what] = here.logged("worker.died")
    night.reached[what] = []
    for phone in phones:
        said = len([row for row in phone.rows if row["type"] == "operator.say_requested"])
        async with here.service.client() as http:
            answer = await http.post(f"/calls/{phone.call_id}/say", json={"text": NEWS})
        if answer.is_success:
            await phone.row("operator.say_requested", said + 1)
        night.reached[what].append(answer.is_success and phone.close_code is None)


@pytest.mark.parametrize(
    "what", ["supervisor stopped", "busy for a second", "clock +1", "clock -1", "database locked", "worker hangs"]
)
def test_a_call_whose_worker_is_not_struck_goes_on(night: Night, what: str) -> None:
    assert night.reached[what]
    assert all(night.reached[what])


@pytest.mark.parametrize("what", ["supervisor stopped", "busy for a second", "clock +1", "clock -1", "database locked"])
def test_no_worker_is_killed_that_does_not_hang(night: Night, what: str) -> None:
    assert night.deaths[what] == []


def test_the_log_says_that_leases_could_not_be_renewed_and_that_they_can_again(night: Night) -> None:
    assert night.lines == ["leases.not_renewed", "leases.in_order"]


def test_a_worker_that_hangs_is_known_killed_and_replaced_within_five_seconds(night: Night) -> None:
    reasons = [(death["worker"], death["reason"]) for death in night.deaths["worker hangs"]]
    assert reasons == [(1, "its event loop did not turn for 2.5 s, and it was killed")]
    assert night.known_after < 3 * slowness()
    assert night.replaced_after < 5 * slowness()


def test_the_calls_of_a_worker_that_hung_end_once(night: Night) -> None:
    assert {(record["end_reason"], record["fault"]) for record in night.struck} == {("media_lost", "ours")}
    assert set(night.line_codes) == {1006}
    assert night.crashed == len(night.struck)
    assert night.active == night.alive
