"""A part that needs a vendor's library is made when it is first needed, once, and closed only if it was made."""

import asyncio
from collections.abc import Callable

import pytest

from app.clients.loading import LoadedWhenNeeded
from app.errors import ProviderUnavailable


class Part:
    def __init__(self) -> None:
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1


def loaded(make: Callable[[], Part]) -> LoadedWhenNeeded[Part]:
    return LoadedWhenNeeded(make, provider="deepgram", name="deepgram.loading")


async def test_all_who_need_it_at_once_share_one() -> None:
    made: list[Part] = []

    def make() -> Part:
        made.append(Part())
        return made[-1]

    part = loaded(make)
    first, second = await asyncio.gather(part.get(), part.get())
    await part.aclose()

    assert first is second
    assert [each.closed for each in made] == [1]


async def test_what_could_not_be_loaded_is_an_error_of_the_vendor_and_is_tried_again() -> None:
    faults = [ImportError("none")]

    def make() -> Part:
        if faults:
            raise faults.pop()
        return Part()

    part = loaded(make)
    with pytest.raises(ProviderUnavailable, match=r"cannot be loaded \(ImportError\)"):
        await part.get()
    assert isinstance(await part.get(), Part)
    await part.aclose()


async def test_whoever_waits_and_is_cancelled_leaves_it_to_the_others() -> None:
    part = loaded(Part)
    waiting = asyncio.get_running_loop().create_task(part.get())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])

    assert isinstance(await part.get(), Part)
    await part.aclose()


async def test_nothing_is_loaded_in_order_to_be_closed_nor_afterwards() -> None:
    made: list[Part] = []

    def make() -> Part:
        made.append(Part())
        return made[-1]

    part = loaded(make)
    await part.aclose()

    with pytest.raises(ProviderUnavailable, match="closed"):
        await part.get()
    assert made == []
