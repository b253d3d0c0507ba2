"""Tasks that end by themselves and harm no other. In virtual time."""

import asyncio

import pytest
from structlog.testing import capture_logs

from app.contained_tasks import ContainedTasks
from app.errors import OwnershipLost

VIRTUAL_TIME = True


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_stopping_service_waits_for_what_ends_soon() -> None:
    ended: list[float] = []

    async def books() -> None:
        await asyncio.sleep(7.8)
        ended.append(now())

    async with ContainedTasks() as background:
        background.start(books(), name="call-1:tool:tool-1", kind="tool")
    assert ended == [pytest.approx(7.8)]


async def test_a_stopping_service_is_not_held_up_by_what_never_ends() -> None:
    async def hangs() -> None:
        await asyncio.get_running_loop().create_future()

    async def does_not_even_stop() -> None:
        try:
            await hangs()
        finally:
            await asyncio.sleep(5)

    with capture_logs() as logs:
        async with ContainedTasks() as background:
            background.start(hangs(), name="room:end", kind="leftover")
            background.start(does_not_even_stop(), name="room:call-off", kind="leftover")
    assert now() == pytest.approx(15.0)
    assert [(line["event"], line["tasks"]) for line in logs] == [("tasks.abandoned", 2)]


async def test_too_much_work_costs_the_oldest() -> None:
    ended: list[int] = []

    async def work(number: int) -> None:
        await asyncio.sleep(1)
        ended.append(number)

    async with ContainedTasks(tasks_max=3) as background:
        for number in range(5):
            background.start(work(number), name=f"{number}:end", kind="leftover")
            await asyncio.sleep(0)
    assert ended == [2, 3, 4]


async def test_a_bug_is_logged_with_its_place_and_reported_to_its_call() -> None:
    bugs: list[Exception] = []
    counted: list[str] = []

    async def breaks() -> None:
        raise ZeroDivisionError("a caller's words")

    async def lost() -> None:
        raise OwnershipLost("another process owns the call now")

    with capture_logs() as logs:
        async with ContainedTasks() as background:
            background.on_failed.add(counted.append)
            background.start(breaks(), name="call-1:transfer", kind="transfer", on_error=bugs.append)
            background.start(lost(), name="call-1:transfer", kind="transfer", on_error=bugs.append)
    assert [type(error) for error in bugs] == [ZeroDivisionError, OwnershipLost]
    assert counted == ["transfer"], "another owner of the call is an outcome, not a bug"
    [line] = logs
    assert (line["event"], line["kind"]) == ("task.failed", "transfer")
    assert "test_contained_tasks.py" in line["error"]
    assert "a caller's words" not in str(line)


async def test_an_outcome_that_nobody_hears_of_is_logged_without_a_traceback() -> None:
    async def lost() -> None:
        raise OwnershipLost("another process owns the call now")

    with capture_logs() as logs:
        async with ContainedTasks() as background:
            background.start(lost(), name="call-1:room", kind="room")
    assert [(line["event"], line["kind"], "trace" in line) for line in logs] == [("task.failed", "room", False)]


async def test_after_an_exception_the_tasks_are_cancelled_at_once() -> None:
    tasks: list[asyncio.Task[None]] = []

    async def start_that_fails() -> None:
        async with ContainedTasks() as background:
            tasks.append(background.start(asyncio.sleep(9), name="call-1:tool:tool-1", kind="tool"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await start_that_fails()
    assert tasks[0].cancelled()
    assert now() == 0.0
