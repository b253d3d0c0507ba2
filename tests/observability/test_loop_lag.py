import asyncio

from app.observability.loop_lag import watch_loop_lag
from tests.support.virtual_time import VirtualTimeLoop

VIRTUAL_TIME = True


async def test_what_holds_the_loop_up_is_told_as_its_lag() -> None:
    lags: list[float] = []
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    watching = loop.create_task(watch_loop_lag(lags.append), name="loop.lag")

    await asyncio.sleep(0.25)
    loop.now += 0.4
    await asyncio.sleep(0.15)
    watching.cancel()
    await asyncio.wait([watching])

    assert [round(lag, 3) for lag in lags] == [0.0, 0.0, 0.35, 0.0]
