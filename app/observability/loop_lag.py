"""How late the event loop is: what delays it delays every call of the process."""

import asyncio
from collections.abc import Callable

_EACH_SECONDS = 0.1


async def watch_loop_lag(observe: Callable[[float], None]) -> None:
    """A round, to be repeated: tell after a tenth of a second by how many seconds its timer came late."""
    loop = asyncio.get_running_loop()
    due = loop.time() + _EACH_SECONDS
    await asyncio.sleep(_EACH_SECONDS)
    observe(max(0.0, loop.time() - due))
