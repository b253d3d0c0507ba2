"""What the service's processes hold while no call is live, and how fast that grows."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from bench.pinned import resident_bytes

_MEGABYTE = 1 << 20
_SETTLED_AFTER = 2
"""Samples before this one show a service that is still loading its libraries."""


@dataclass(frozen=True, slots=True)
class Figures:
    """At one moment."""

    at: float
    """Seconds since the beginning."""
    memory_mb: float
    tasks: float
    sockets: float
    files: float
    disk_mb: float


def measured(at: float, pid: int, metrics: str, folder: Path) -> Figures:
    """Of a process and its children; ``metrics`` is what it serves, ``folder`` its data."""
    pids = _family(pid)
    open_files = [_target(link) for each in pids for link in Path(f"/proc/{each}/fd").iterdir()]
    return Figures(
        at,
        sum(map(resident_bytes, pids)) / _MEGABYTE,
        _value(metrics, "voice_tasks"),
        sum(target.startswith("socket:") for target in open_files),
        len(open_files),
        sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / _MEGABYTE,
    )


def slopes(samples: Sequence[Figures]) -> dict[str, float]:
    """By how much each figure grows in an hour; empty before there are enough samples."""
    settled = np.array([astuple(each) for each in samples[_SETTLED_AFTER:]])
    if len(settled) < 2:
        return {}
    names = [each.name for each in fields(Figures)]
    hours = settled[:, 0] / 3600
    return {name: float(np.polyfit(hours, settled[:, index], 1)[0]) for index, name in enumerate(names) if name != "at"}


def _value(metrics: str, name: str) -> float:
    values = [line.rpartition(" ")[2] for line in metrics.splitlines() if line.startswith(f"{name} ")]
    return float(values[0]) if values else 0.0


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # closed meanwhile
        return ""
