"""What a process reads of itself."""

import os
import shutil
from pathlib import Path

from prometheus_client import CollectorRegistry

from app.observability.process_metrics import ProcessMetrics


def test_what_this_process_uses_is_read_and_cpu_only_grows(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    metrics = ProcessMetrics(registry)

    def value(name: str) -> float:
        return registry.get_sample_value(name) or 0.0

    disk = shutil.disk_usage(tmp_path)
    metrics.note(disk)
    files, cpu = value("voice_process_open_files"), value("voice_process_cpu_seconds_total")
    with open(os.devnull), open(os.devnull):  # noqa: PTH123 - two more files
        sum(number * number for number in range(300_000))
        metrics.note(disk)

    assert value("voice_process_open_files") == files + 2
    assert value("voice_process_cpu_seconds_total") > cpu > 0
    assert value("voice_process_cpu_seconds_total") < sum(os.times()[:2]) + 1
    assert value("voice_process_resident_bytes") > 10_000_000
    assert 0 < value("voice_process_open_files_ratio") < 1
    assert 0 < value("voice_disk_free_bytes") <= value("voice_disk_size_bytes")


def test_the_network_is_that_of_all_interfaces_but_loopback(tmp_path: Path) -> None:
    counters, registry = tmp_path / "dev", CollectorRegistry()
    rows = {"lo": (5, 6), "eth0": (100, 20), "eth1": (1000, 300)}
    lines = [f"{name:>6}: {read} 1 0 0 0 0 0 0 {written} 1 0 0 0 0 0 0" for name, (read, written) in rows.items()]
    counters.write_text("\n".join(["Inter-|   Receive  |  Transmit", " face |bytes packets|bytes packets", *lines, ""]))

    ProcessMetrics(registry, network=counters).note(shutil.disk_usage(tmp_path))

    assert registry.get_sample_value("voice_network_received_bytes") == 1100
    assert registry.get_sample_value("voice_network_sent_bytes") == 320
