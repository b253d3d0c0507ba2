"""What the workers use of the machine: CPU, memory, open files, network, and the disk of the data folder.

The library's own collector of these works in one process only (https://prometheus.github.io/client_python/multiprocess/).
So each worker reads its own through it and keeps them in metrics that add up over all workers.
"""

from contextlib import suppress
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

_NETWORK = Path("/proc/self/net/dev")
"""Linux counts for each network namespace, not for each process."""
_LOOPBACK = "lo"
_SENT_COLUMN = 8


class DiskUsage(Protocol):
    """How full a disk is, in bytes."""

    @property
    def free(self) -> int:
        """What may still be written."""

    @property
    def total(self) -> int:
        """Its size."""


class ProcessMetrics:
    """Noted with each check of the data folder, in its thread, because reading ``/proc`` takes a moment.

    Where there is no ``/proc``, as on macOS, only the disk is known.
    """

    def __init__(self, registry: CollectorRegistry, *, network: Path = _NETWORK) -> None:
        """``network`` has the counters of the network's interfaces, as Linux writes them."""
        self._network = network
        self._cpu = Counter(
            "voice_process_cpu_seconds_total", "CPU seconds of all workers, also of dead ones.", registry=registry
        )
        self._memory = Gauge(
            "voice_process_resident_bytes",
            "Memory of all workers; what they share counts once for each.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._files = Gauge(
            "voice_process_open_files", "Open files and sockets.", registry=registry, multiprocess_mode="livesum"
        )
        self._files_ratio = Gauge(
            "voice_process_open_files_ratio",
            "Open files as a share of the limit, in the worker with the most.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._disk_free = Gauge(
            "voice_disk_free_bytes", "Free on the disk of the data.", registry=registry, multiprocess_mode="livemax"
        )
        self._disk_size = Gauge(
            "voice_disk_size_bytes", "Size of the disk of the data.", registry=registry, multiprocess_mode="livemax"
        )
        self._received, self._sent = (
            Gauge(
                f"voice_network_{way}_bytes",
                f"Bytes {way} since the start of the container or machine, of all its programs, without loopback.",
                registry=registry,
                multiprocess_mode="livemax",
            )
            for way in ("received", "sent")
        )
        self._collector = ProcessCollector(registry=None)
        self._known_cpu = 0.0

    def note(self, disk: DiskUsage) -> None:
        """Read what this process uses now; ``disk`` is how full that of the data is. Call it in one thread only."""
        self._disk_free.set(disk.free)
        self._disk_size.set(disk.total)
        received, sent = _network_bytes(self._network)
        self._received.set(received)
        self._sent.set(sent)
        now = {sample.name: sample.value for family in self._collector.collect() for sample in family.samples}
        if not now:
            return
        self._cpu.inc(max(0.0, now["process_cpu_seconds_total"] - self._known_cpu))
        self._known_cpu = now["process_cpu_seconds_total"]
        self._memory.set(now["process_resident_memory_bytes"])
        self._files.set(now["process_open_fds"])
        self._files_ratio.set(now["process_open_fds"] / now["process_max_fds"])


def _network_bytes(counters: Path) -> tuple[int, int]:
    """What all interfaces but loopback have received and sent; 0 where there is no ``/proc``."""
    received = sent = 0
    with suppress(OSError, ValueError, IndexError):
        for line in counters.read_text("ascii").splitlines():
            name, colon, columns = line.partition(":")
            if colon and name.strip() != _LOOPBACK:
                numbers = columns.split()
                received, sent = received + int(numbers[0]), sent + int(numbers[_SENT_COLUMN])
    return received, sent
