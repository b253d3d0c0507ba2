"""How late the event loop is: what delays it delays every call of the process."""

import asyncio
from collections.abc import Callable

_EACH_SECONDS = 0.1


async def watch_loop_lag(observe: Callable[[float], None]) -> None:
    """Tell ten times a second by how many seconds a timer came late; ends by cancellation."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _EACH_SECONDS
        await asyncio.sleep(_EACH_SECONDS)
        observe(max(0.0, loop.time() - due))
