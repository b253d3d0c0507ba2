"""What one loop raises harms none of the others; it is logged, counted and shown, and the loop goes on."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from app.backoff import Backoff
from app.errors import ProviderUnavailable, StorageError
from app.models import ServiceHealth
from app.service_loops import LoopFinished, ServiceLoops

VIRTUAL_TIME = True


class Panic(BaseException):
    """As libraries in Rust raise it: no Exception."""


class Work:
    """A round of a loop: a tenth of a second, unless it is told to fail."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.times = 1_000_000
        self.rounds: list[float] = []

    def fails(self, error: BaseException, times: int = 1_000_000) -> None:
        self.error, self.times = error, times

    async def round(self) -> None:
        self.rounds.append(asyncio.get_running_loop().time())
        if self.error is not None and self.times:
            self.times -= 1
            raise self.error
        await asyncio.sleep(0.1)


def health(loops: ServiceLoops) -> ServiceHealth:
    return loops.shown_in("service", ServiceHealth("service", "ok"))


@contextmanager
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


async def cancelled() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), Panic(), asyncio.CancelledError(), BaseExceptionGroup("", [Panic()])]
)
async def test_a_loop_that_raises_once_goes_on_and_nobody_else_notices(error: BaseException) -> None:
    broken, other = Work(), Work()
    with logged() as lines:
        async with ServiceLoops() as loops:
            loops.keep("reaper", broken.round)
            loops.keep("eraser", other.round)
            await asyncio.sleep(1.05)
            broken.fails(error, times=1)
            await asyncio.sleep(0.3)
            during = health(loops)
            await asyncio.sleep(2)
            assert health(loops) == ServiceHealth("service", "ok")
    assert (during.status, (during.detail or "").partition(":")[0]) == ("degraded", "reaper")
    assert [line["event"] for line in lines] == ["loop.failed", "loop.recovered"]
    assert (lines[0]["loop"], loops.failures) == ("reaper", {"reaper": 1})
    assert lines[0]["trace"]
    assert max(later - earlier for earlier, later in zip(other.rounds, other.rounds[1:], strict=False)) < 0.11
    assert broken.rounds[-1] > 3.0


async def test_a_loop_that_raises_for_ever_is_tried_with_a_growing_wait_and_logged_once() -> None:
    work = Work()
    work.fails(KeyError("what a caller said"))
    with logged() as lines:
        async with ServiceLoops() as loops:
            loops.keep("reaper", work.round, backoff=Backoff(0.5, 4.0))
            await asyncio.sleep(20)
            assert health(loops).status == "degraded"
    waits = [later - earlier for earlier, later in zip(work.rounds, work.rounds[1:], strict=False)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0]
    assert [line["event"] for line in lines] == ["loop.failed"]
    assert "what a caller said" not in str(lines)
    assert not loops.gone.is_set()


async def test_what_is_expected_to_fail_has_its_message_and_no_traceback() -> None:
    work = Work()
    with logged() as lines:
        async with ServiceLoops() as loops:
            loops.keep("reaper", work.round, backoff=Backoff(0.5, 0.5))
            for error in (StorageError("the disk is full"), ProviderUnavailable("livekit", "cut")):
                work.fails(error, times=1)
                await asyncio.sleep(1)
    assert [(line["error"], line["log_level"]) for line in lines if line["event"] == "loop.failed"] == [
        ("the disk is full", "error"),
        ("livekit: cut", "warning"),
    ]
    assert not any("trace" in line for line in lines)


async def test_a_loop_that_only_waits_is_well_again_after_a_while() -> None:
    failed = False

    async def once() -> None:
        nonlocal failed
        if not failed:
            failed = True
            raise ZeroDivisionError
        await asyncio.Event().wait()

    async with ServiceLoops() as loops:
        loop = loops.keep("claims", once, steady_seconds=2.0)
        await asyncio.sleep(1)
        assert loop.is_failing
        await asyncio.sleep(2)
        assert not loop.is_failing


async def test_a_future_that_somebody_cancelled_does_not_end_the_loop_that_awaited_it() -> None:
    async with ServiceLoops() as loops:
        loop = loops.keep("claims", cancelled)
        await asyncio.sleep(10)
        assert loop.failures > 2


async def test_a_loop_that_is_cancelled_from_outside_restarts() -> None:
    work = Work()
    async with ServiceLoops() as loops:
        loop = loops.keep("claims", work.round)
        await asyncio.sleep(1)
        loop._task.cancel()
        await asyncio.sleep(5)
        assert work.rounds[-1] > 5.5
        assert loops.failures == {"claims": 1}


async def test_a_loop_ends_when_its_round_says_so() -> None:
    async def nothing_to_do() -> None:
        raise LoopFinished

    async with ServiceLoops() as loops:
        loop = loops.keep("claims", nothing_to_do)
        await loop.wait()
        assert not loop.is_failing


async def test_a_round_that_waits_for_nothing_leaves_the_others_their_turn() -> None:
    async def at_once() -> None:
        return

    async with ServiceLoops() as loops:
        loops.keep("claims", at_once)
        for _ in range(10):
            await asyncio.sleep(0)


# --- what calls cannot do without -------------------------------------------------------------------------------------


async def test_a_vital_loop_that_raises_for_ever_is_given_up() -> None:
    work = Work()
    work.fails(ZeroDivisionError())
    with logged() as lines:
        async with ServiceLoops() as loops:
            loop = loops.keep("storage.writer", work.round, is_vital=True)
            await asyncio.sleep(1)
            assert (health(loops).status, loops.gone.is_set()) == ("failed", False)
            async with asyncio.timeout(6):
                await loops.gone.wait()
            await loop.wait()
            assert health(loops).status == "failed"
    assert [line["event"] for line in lines] == ["loop.failed", "loop.gone"]


async def test_a_vital_loop_that_raises_once_is_not() -> None:
    work = Work()
    work.fails(ZeroDivisionError(), times=1)
    async with ServiceLoops() as loops:
        loops.keep("storage.writer", work.round, is_vital=True)
        await asyncio.sleep(10)
        assert (health(loops).status, loops.gone.is_set()) == ("ok", False)


async def test_a_vital_loop_waits_for_ever_for_what_is_expected_to_come_back() -> None:
    work = Work()
    work.fails(StorageError("the disk is full"))
    async with ServiceLoops() as loops:
        loops.keep("storage.writer", work.round, is_vital=True)
        await asyncio.sleep(60)
        assert (health(loops).status, loops.gone.is_set()) == ("failed", False)


async def test_a_part_is_shown_no_better_than_it_is() -> None:
    work = Work()
    work.fails(ZeroDivisionError())
    async with ServiceLoops() as loops:
        loops.keep("claims", work.round)
        await asyncio.sleep(1)
        assert loops.shown_in("storage", ServiceHealth("storage", "ok")).status == "ok"
        shown = loops.shown_in("service", ServiceHealth("service", "failed", detail="worse"))
        assert (shown.status, (shown.detail or "").startswith("worse; claims: ")) == ("failed", True)


# --- tasks of calls ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ZeroDivisionError("what a caller said"), Panic(), asyncio.CancelledError()])
async def test_what_a_task_raises_is_logged_and_counted_and_harms_nobody(error: BaseException) -> None:
    other, ended = Work(), asyncio.Event()

    async def breaks() -> None:
        await asyncio.sleep(1)
        raise error

    async def lives() -> None:
        await asyncio.sleep(3)
        ended.set()

    with logged() as lines:
        async with ServiceLoops() as loops:
            loops.keep("claims", other.round)
            loops.spawn(lives(), name="call-2:room", kind="room")
            task = loops.spawn(breaks(), name="call-1:room", kind="room")
            await asyncio.wait([task])
            assert not task.cancelled()
    assert ended.is_set()
    assert [(line["event"], line["kind"]) for line in lines] == [("task.failed", "room")]
    assert loops.failures == {"room": 1}
    assert "what a caller said" not in str(lines)


async def test_tasks_that_do_not_end_are_cancelled_after_a_while() -> None:
    with logged() as lines:
        async with ServiceLoops() as loops:
            task = loops.spawn(asyncio.sleep(3600), name="call-1", kind="call")
    assert task.cancelled()
    assert asyncio.get_running_loop().time() == pytest.approx(30)
    assert [line["event"] for line in lines] == ["tasks.abandoned"]


async def test_everything_is_cancelled_when_the_context_ends_with_an_exception() -> None:
    tasks: list[asyncio.Task[None]] = []

    async def start_that_fails() -> None:
        async with ServiceLoops() as loops:
            loops.keep("claims", Work().round)
            tasks.append(loops.spawn(asyncio.sleep(3600), name="call-1", kind="call"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await start_that_fails()
    assert tasks[0].cancelled()
    assert asyncio.get_running_loop().time() < 1
