"""A thread pool for HTTP requests that wait for the disk.

It is separate from asyncio's own pool, which resolves the vendors' host names: a disk that hangs delays requests that
need the disk, but no connection of a call.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

_THREADS = 8
_POOL = ThreadPoolExecutor(_THREADS, "disk")


def start_on_disk(work: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> asyncio.Future[_T]:
    """Run ``work`` when a thread is free; the number of requests being served bounds how many wait."""
    return asyncio.get_running_loop().run_in_executor(_POOL, lambda: work(*arguments, **named))


async def on_disk(work: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
    """Run ``work`` in one of the threads. A cancelled caller does not wait; the work continues."""
    return await asyncio.shield(start_on_disk(work, *arguments, **named))
