import asyncio

from routers.pacing import OneAtATime, Pacer


async def test_a_few_begin_in_each_round_of_the_loop_and_in_their_order() -> None:
    pacer, begun = Pacer(at_once=3), list[int]()
    for number in range(7):
        pacer.add(lambda number=number: begun.append(number))
    seen = []
    while len(begun) < 7:
        await asyncio.sleep(0)
        seen.append(len(begun))
    assert begun == list(range(7))
    assert seen[-3:] == [3, 6, 7]
    assert len(pacer) == 0


async def test_what_begins_may_have_more_begin() -> None:
    pacer, begun = Pacer(at_once=1), list[str]()
    pacer.add(lambda: (begun.append("a"), pacer.add(lambda: begun.append("c"))))
    pacer.add(lambda: begun.append("b"))
    for _ in range(4):
        await asyncio.sleep(0)
    assert begun == ["a", "b", "c"]


async def test_many_requests_at_once_share_a_value_made_after_them() -> None:
    made, may_end = 0, asyncio.Event()

    async def make() -> int:
        nonlocal made
        made += 1
        mine = made
        await may_end.wait()
        return mine

    shared = OneAtATime(make)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(shared.get(), name="first")
        await asyncio.sleep(0)
        others = [tasks.create_task(shared.get(), name=f"other-{number}") for number in range(50)]
        await asyncio.sleep(0)
        may_end.set()
    assert first.result() == 1
    assert {task.result() for task in others} == {2}
    assert await shared.get() == 3


async def test_a_failure_reaches_its_requesters_and_the_next_one_tries_again() -> None:
    failures = [ValueError("x")]

    async def make() -> str:
        if failures:
            raise failures.pop()
        return "made"

    shared = OneAtATime(make)
    results = await asyncio.gather(shared.get(), shared.get(), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError, str]
