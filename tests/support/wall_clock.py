"""A wall clock that a test can set for the processes it starts, and for no others."""

import struct
from pathlib import Path

from tests.support.preloaded import preloaded

_SOURCE = Path(__file__).with_name("wall_clock.c")


class WallClock:
    """Compiles the library that processes have to load first; ``folder`` is the test's own."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "wall_clock"
        self.set(0.0)
        self.variables = {**preloaded(_SOURCE, folder), "WALL_CLOCK_FILE": str(self._file)}
        """Of the environment of a process whose clock this is."""

    def set(self, wrong_by: float) -> None:
        """Have the clock differ from the machine's by so many seconds from now on."""
        data = struct.pack("d", wrong_by)
        if self._file.exists():
            with self._file.open("r+b") as file:
                file.write(data)
        else:
            self._file.write_bytes(data)
