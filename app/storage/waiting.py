"""Waiting for something, for a bounded time."""

import asyncio


async def set_within(event: asyncio.Event, seconds: float | None) -> bool:
    """Whether the event was set before so many seconds were over; None waits for ever."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
