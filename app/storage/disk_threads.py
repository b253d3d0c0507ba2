"""Threads for those who wait for the disk at a door.

They are apart from asyncio's own threads, which look up the names of vendors: a disk that hangs holds up those who need
the disk, and no connection of a call.
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
    """Begin it when a thread is free; what waits for one is bounded by the requests that are served."""
    return asyncio.get_running_loop().run_in_executor(_POOL, lambda: work(*arguments, **named))


async def on_disk(work: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
    """Do it in one of the threads. Who is cancelled does not wait; the work goes on."""
    return await asyncio.shield(start_on_disk(work, *arguments, **named))
