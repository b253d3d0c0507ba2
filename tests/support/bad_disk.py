"""A disk that is slow or full on demand, for a child process: see ``bad_disk.c``."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class BadDisk:
    """What lies below ``folder`` is on it."""

    folder: Path
    orders: Path
    library: Path

    @property
    def environment(self) -> dict[str, str]:
        """Of the process that shall meet it."""
        return {
            "LD_PRELOAD": str(self.library),
            "BAD_DISK": str(self.folder.resolve()),
            "BAD_DISK_ORDERS": str(self.orders),
        }

    @contextmanager
    def being(self, what: Literal["slow", "full"]) -> Iterator[None]:
        order = self.orders / what
        order.touch()
        try:
            yield
        finally:
            order.unlink()


def bad_disk(folder: Path, workplace: Path) -> BadDisk:
    """``workplace`` must be somewhere else. Needs a C compiler, ``cc``."""
    disk = BadDisk(folder, workplace / "orders", workplace / "bad_disk.so")
    disk.orders.mkdir(parents=True)
    source = Path(__file__).with_suffix(".c")
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", disk.library, source, "-ldl"]
    subprocess.run(command, check=True)
    return disk
