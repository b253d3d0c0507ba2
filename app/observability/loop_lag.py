"""Measures the lag of the event loop: what delays the loop delays every call of the process."""

import asyncio
from collections.abc import Callable

_EACH_SECONDS = 0.1


async def watch_loop_lag(observe: Callable[[float], None]) -> None:
    """One round of the loop: sleep a tenth of a second, and report by how many seconds the timer was late."""
    loop = asyncio.get_running_loop()
    due = loop.time() + _EACH_SECONDS
    await asyncio.sleep(_EACH_SECONDS)
    observe(max(0.0, loop.time() - due))
