"""How slow this machine is now, for tests that time other processes on it."""

import os


def slowness() -> float:
    """How many times as long as alone things may take: the programs that wanted a core in the last minute, per core."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
