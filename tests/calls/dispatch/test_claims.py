"""Callers and calls to be placed go to the idlest of the processes, each once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from app.calls.dispatch.claims import Claims, Share
from app.errors import StorageError
from app.models import TelephoneCall
from app.service_loops import ServiceLoops
from app.storage.calls import CallRow
from app.storage.wakeups import Wakeups
from tests.storage.stores import a_call

VIRTUAL_TIME = True


class Waiting:
    """The inbox and the list of calls, as all processes see them."""

    def __init__(self) -> None:
        self.callers: list[TelephoneCall] = []
        self.outbound: list[CallRow] = []
        self.workers: list[Worker] = []
        self.looks = 0
        self.fails = False
        self.wakeups = Wakeups()

    async def is_any_unclaimed(self) -> bool:
        self.looks += 1
        if self.fails:
            raise StorageError("locked")
        await asyncio.sleep(0.0003)
        return bool(self.callers or self.outbound)

    async def take(self, now: datetime, limit: int) -> list[TelephoneCall]:
        await asyncio.sleep(0.002)
        taken, self.callers[:limit] = self.callers[:limit], []
        return taken

    async def count_owned(self) -> int:
        await asyncio.sleep(0.0003)
        return sum(worker.live for worker in self.workers)

    async def claim_unowned(self, owner: str, until: float, limit: int) -> list[CallRow]:
        await asyncio.sleep(0.002)
        taken, self.outbound[:limit] = self.outbound[:limit], []
        return [a_call(row.call_id, owner=owner, lease_until=until) for row in taken]

    def call_in(self, number: int) -> None:
        self.callers += [TelephoneCall("call_1", "RM_1", f"sip_{each}", {}) for each in range(number)]


class Worker:
    """One process, its calls, and when it took them."""

    def __init__(self, waiting: Waiting, live: int, share: Share, loops: ServiceLoops) -> None:
        self.before = live
        self.callers: list[float] = []
        self.placed: list[CallRow] = []
        self.claims = Claims(
            waiting,  # type: ignore[arg-type]  # the real one is a class over a database
            waiting,  # type: ignore[arg-type]  # the same
            share,
            live_calls=lambda: self.live,
            on_caller=lambda _caller: self.callers.append(asyncio.get_running_loop().time()),
            on_outbound=self.placed.append,
            loops=loops,
        )

    @property
    def live(self) -> int:
        return self.before + len(self.callers) + len(self.placed)


@asynccontextmanager
async def workers(waiting: Waiting, *live: int, places: int = 25, alone: bool = False) -> AsyncIterator[list[Worker]]:
    async with ServiceLoops() as loops:
        each = []
        for number in live:
            share = Share("worker-a", places, len(live) * places, has_siblings=not alone)
            each.append(Worker(waiting, number, share, loops))
            waiting.workers = each
            await asyncio.sleep(0.02)  # nobody looks at the same moment
        yield each
        for worker in each:
            worker.claims.stop()


async def test_twenty_callers_at_once_are_shared_though_one_process_got_all_webhooks() -> None:
    waiting = Waiting()
    async with workers(waiting, 0, 0) as (first, second):
        waiting.call_in(20)
        first.claims.wake()
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(2)
        assert len(first.callers) + len(second.callers) == 20
        assert 8 <= len(first.callers) <= 12
        assert max(first.callers + second.callers) - began < 0.5


async def test_a_caller_goes_to_the_process_with_the_fewest_calls() -> None:
    waiting = Waiting()
    async with workers(waiting, 20, 3, 20) as (busy, idle, other):
        for _ in range(10):
            waiting.call_in(1)
            for worker in (busy, idle, other):
                worker.claims.wake()
            await asyncio.sleep(0.2)
        assert [len(worker.callers) for worker in (busy, idle, other)] == [0, 10, 0]


async def test_calls_go_round_whichever_process_gets_the_webhooks() -> None:
    waiting = Waiting()
    async with workers(waiting, 0, 0) as (first, other):
        for _ in range(10):
            waiting.call_in(1)
            first.claims.wake()
            await asyncio.sleep(0.2)
        assert [len(worker.callers) for worker in (first, other)] == [5, 5]


async def test_another_process_sees_a_caller_within_fifty_milliseconds() -> None:
    waiting = Waiting()
    async with workers(waiting, 0) as (worker,):
        await asyncio.sleep(1.01)
        began = asyncio.get_running_loop().time()
        waiting.call_in(1)
        await asyncio.sleep(1)
        assert worker.callers[0] - began < 0.06


async def test_a_full_process_leaves_callers_to_one_with_places() -> None:
    waiting = Waiting()
    async with workers(waiting, 2, 24) as (full, open_one):
        full.before = 25
        waiting.call_in(1)
        full.claims.wake()
        await asyncio.sleep(1)
        assert (len(full.callers), len(open_one.callers)) == (0, 1)


async def test_callers_without_a_free_place_are_taken_at_once_to_be_refused() -> None:
    waiting = Waiting()
    async with workers(waiting, 25, 25) as (first, second):
        began = asyncio.get_running_loop().time()
        waiting.call_in(20)
        await asyncio.sleep(1)
        met = first.callers + second.callers
        assert len(met) == 20
        assert max(met) - began < 0.06


async def test_a_full_process_takes_a_caller_whom_no_free_process_takes() -> None:
    waiting = Waiting()
    async with workers(waiting, 25, 0) as (full, stuck):
        stuck.claims.stop()
        began = asyncio.get_running_loop().time()
        waiting.call_in(1)
        await asyncio.sleep(1)
        assert len(full.callers) == 1
        assert full.callers[0] - began < 0.35


async def test_calls_to_be_placed_are_shared_as_callers_are() -> None:
    waiting = Waiting()
    async with workers(waiting, 0, 0) as (first, second):
        waiting.outbound += [a_call(f"out-{number}") for number in range(20)]
        await asyncio.sleep(2)
        ids = [row.call_id for row in first.placed + second.placed]
        assert sorted(ids) == sorted(f"out-{number}" for number in range(20))
        assert 8 <= len(first.placed) <= 12


async def test_a_single_process_takes_everything_at_once_and_looks_only_when_it_is_woken() -> None:
    waiting = Waiting()
    waiting.call_in(3)
    async with workers(waiting, 0, alone=True) as (worker,):
        assert len(worker.callers) == 3
        looks = waiting.looks
        await asyncio.sleep(10)
        assert waiting.looks == looks
        waiting.call_in(30)
        began = asyncio.get_running_loop().time()
        worker.claims.wake()
        await asyncio.sleep(1)
        assert len(worker.callers) == 33
        assert worker.callers[-1] - began < 0.01


async def test_storage_that_fails_for_a_while_loses_no_caller() -> None:
    waiting = Waiting()
    async with workers(waiting, 0, alone=True) as (worker,):
        waiting.fails = True
        waiting.call_in(1)
        worker.claims.wake()
        await asyncio.sleep(3)
        assert worker.callers == []
        waiting.fails = False
        await asyncio.sleep(1.1)
        assert len(worker.callers) == 1
