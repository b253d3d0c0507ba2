import asyncio
from functools import partial

from app.observability.loop_lag import watch_loop_lag
from app.service_loops import ServiceLoops
from tests.support.virtual_time import VirtualTimeLoop

VIRTUAL_TIME = True


async def test_what_blocks_the_loop_is_reported_as_lag() -> None:
    lags: list[float] = []
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    async with ServiceLoops() as loops:
        loops.keep("loop.lag", partial(watch_loop_lag, lags.append))
        await asyncio.sleep(0.25)
        loop.now += 0.4
        await asyncio.sleep(0.15)

    assert [round(lag, 3) for lag in lags] == [0.0, 0.0, 0.35, 0.0]
