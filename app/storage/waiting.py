"""Waits for an event, for a bounded time."""

import asyncio


async def set_within(event: asyncio.Event, seconds: float | None) -> bool:
    """Whether the event is set within this many seconds; None waits forever."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
