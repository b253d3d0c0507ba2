"""The priority of requests follows the code that makes them, into the tasks that it starts."""

import asyncio

from app.ports.priority import Priority, context_at, current_priority, requests_at


async def _priority() -> Priority:
    await asyncio.sleep(0)
    return current_priority()


async def test_everything_is_a_live_turn_unless_it_says_otherwise() -> None:
    assert current_priority() is Priority.LIVE_TURN
    with requests_at(Priority.BACKGROUND):
        task = asyncio.get_running_loop().create_task(_priority())
        assert await _priority() is Priority.BACKGROUND
    assert current_priority() is Priority.LIVE_TURN
    assert await task is Priority.BACKGROUND


async def test_nothing_inside_gets_a_higher_priority() -> None:
    with requests_at(Priority.BACKGROUND), requests_at(Priority.LIVE_TURN):
        assert current_priority() is Priority.BACKGROUND
        task = asyncio.get_running_loop().create_task(_priority(), context=context_at(Priority.HEDGE))
        assert await task is Priority.BACKGROUND


async def test_a_task_may_have_a_lower_priority_than_its_starter() -> None:
    task = asyncio.get_running_loop().create_task(_priority(), context=context_at(Priority.HEDGE))
    assert await task is Priority.HEDGE
    assert current_priority() is Priority.LIVE_TURN
