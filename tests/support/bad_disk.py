"""A disk that is slow or full on demand, for a child process: see ``bad_disk.c``."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.support.preloaded import preloaded


@dataclass(frozen=True, slots=True)
class BadDisk:
    """What lies below ``folder`` is on it."""

    folder: Path
    orders: Path
    library: dict[str, str]
    """The environment of a process that loads the library."""

    @property
    def environment(self) -> dict[str, str]:
        """Of the process that shall meet it."""
        return {**self.library, "BAD_DISK": str(self.folder.resolve()), "BAD_DISK_ORDERS": str(self.orders)}

    @contextmanager
    def being(self, what: Literal["slow", "full"]) -> Iterator[None]:
        order = self.orders / what
        order.touch()
        try:
            yield
        finally:
            order.unlink()


def bad_disk(folder: Path, workplace: Path) -> BadDisk:
    """``workplace`` must be somewhere else."""
    orders = workplace / "orders"
    orders.mkdir(parents=True)
    return BadDisk(folder, orders, preloaded(Path(__file__).with_suffix(".c"), workplace))
