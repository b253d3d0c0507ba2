"""The selector of the tests' event loops, which replace the waiting."""

import selectors
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any


class LoopSelector(selectors.BaseSelector):
    """The usual selector of this system. When nothing is ready, a subclass decides how to wait."""

    def __init__(self) -> None:
        self.real = selectors.DefaultSelector()

    @abstractmethod
    def wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait until something is ready or the time has passed; nothing is ready now."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self.real.select(0)
        return ready if ready or timeout == 0 else self.wait(timeout)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self.real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self.real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self.real.get_map()

    def close(self) -> None:
        self.real.close()
