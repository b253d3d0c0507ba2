"""What an event loop waits on, so that a loop of the tests can have waits of its own."""

import selectors
from collections.abc import Mapping
from typing import Any


class LoopSelector(selectors.BaseSelector):
    """The usual selector of this system, with ``select`` left open."""

    def __init__(self) -> None:
        self.real = selectors.DefaultSelector()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self.real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self.real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self.real.get_map()

    def close(self) -> None:
        self.real.close()
