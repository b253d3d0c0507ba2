import asyncio

from routers.unstarted import Unstarted


async def _outcome(unstarted: Unstarted) -> str:
    try:
        async with unstarted.patience():
            await asyncio.Event().wait()
    except TimeoutError:
        pass
    return "given up"


async def test_of_too_many_the_one_that_waited_longest_is_given_up() -> None:
    unstarted = Unstarted(limit=2)
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(_outcome(unstarted), name=f"socket-{number}") for number in range(4)]
        assert await asyncio.gather(*waiting[:2]) == ["given up", "given up"]
        assert not any(task.done() for task in waiting[2:])

        assert len(unstarted) == 2
        for task in waiting[2:]:
            task.cancel()
        await asyncio.wait(waiting)
    assert len(unstarted) == 0


async def test_a_socket_that_has_started_no_longer_counts() -> None:
    unstarted = Unstarted(limit=1)
    for _ in range(3):
        async with unstarted.patience():
            await asyncio.sleep(0)
            assert len(unstarted) == 1
