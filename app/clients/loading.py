"""Parts of the clients that need a vendor's SDK: it is loaded, in a thread, when the part is first needed."""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from app.errors import ProviderUnavailable


class Closable(Protocol):
    """What holds connections."""

    async def aclose(self) -> None:
        """Close them."""


PartT = TypeVar("PartT", bound=Closable)


class LoadedWhenNeeded(Generic[PartT]):
    """A part that all who need it share; made once, or again after it could not be made.

    ``make`` runs in a thread, within a task that nobody's cancellation ends. It may import for a second.
    """

    def __init__(self, make: Callable[[], PartT], *, provider: str, name: str) -> None:
        """``name`` is that of the task."""
        self._make = make
        self._provider = provider
        self._name = name
        self._making: asyncio.Task[PartT] | None = None
        self._closed = False

    async def get(self) -> PartT:
        """The part. Raises ProviderUnavailable when it cannot be made, and after :meth:`aclose`."""
        if self._closed:
            raise ProviderUnavailable(self._provider, "the client is closed")
        failed = self._making and self._making.done() and self._making.exception()
        if self._making is None or failed:
            making = asyncio.to_thread(self._make)
            self._making = asyncio.get_running_loop().create_task(making, name=self._name)
        try:
            return await asyncio.shield(self._making)
        except Exception as error:
            detail = f"its library cannot be loaded ({type(error).__name__})"
            raise ProviderUnavailable(self._provider, detail) from error

    async def aclose(self) -> None:
        """Close the part, if it was ever needed."""
        self._closed = True
        if self._making:
            await asyncio.wait([self._making])
            if self._making.exception() is None:
                await self._making.result().aclose()
