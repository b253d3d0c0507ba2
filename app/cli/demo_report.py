"""The report of a demo call: turns with their stages, costs, the latency that the service added, and the files."""

import math
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from routers.turn_table import turn_lines
from sandbox.caller.report import CallReport
from sandbox.vendors.added_latency import added_latencies

_WIDTH = 140
_NEAR_SECONDS = 1.0


def report_console() -> Console:
    """Where the report is printed."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    return console


def print_report(
    console: Console, record: dict[str, Any], report: CallReport, timings: list[dict[str, Any]], recording: Path
) -> None:
    """Print the turns, what they cost, the added latency, and where the files are."""
    console.print()
    title = f"{record['call_id']}: {record['end_reason']}, {record['duration_seconds']:.1f} s"
    for line in (title, *turn_lines(record["turns"])):
        console.print(line, soft_wrap=True, markup=False)
    costs = {name: value for name, value in record["costs"].items() if isinstance(value, float)}
    console.print("costs     " + ", ".join(f"{name} ${value:.5f}" for name, value in costs.items()))
    added = added_latencies(_heard_answers(report, record), timings)
    if added:
        ordered = [f"{seconds * 1000:.1f}" for seconds in sorted(added)]
        middle = ordered[(len(ordered) - 1) // 2]
        console.print(
            f"added     {middle} ms p50 ({', '.join(ordered)}): from the vendor's end of turn to the caller's ear, "
            "minus the vendors' time"
        )
    left, right = _loudness(recording)
    console.print(f"recording {recording} (caller left {left:.0f} dBFS, agent right {right:.0f} dBFS while sounding)")
    console.print(f"record    GET /calls/{record['call_id']}, kept in {recording.parent / 'calls.db'}")
    console.print(f"log       {recording.parent / 'service.log'}")


def _heard_answers(report: CallReport, record: dict[str, Any]) -> list[float]:
    """When the audio of each answer arrived, on the monotonic clock of this machine.

    That is the arrival nearest to the moment the caller heard the answer. A telephone gets audio all the time, silence
    included: there the moment it was heard is all we have. An answer that waited for the end of a filler says nothing
    about the service, and is left out.
    """
    arrivals = [report.ready_at + at for at in report.arrivals]
    heard = [each.answered_at for each in report.utterances if each.answered_at is not None]
    answered = [report.ready_at + at for at in heard if not _begins_with_filler(at, record)]
    nearest = [min(arrivals, key=lambda at: abs(at - moment), default=moment) for moment in answered]
    return [at if abs(at - moment) < _NEAR_SECONDS else moment for at, moment in zip(nearest, answered, strict=True)]


def _begins_with_filler(heard_at: float, record: dict[str, Any]) -> bool:
    """Whether a filler is what the caller heard at that time."""
    fillers = [turn["latency"].get("filler_at") for turn in record["turns"] if turn["latency"]]
    return any(abs(heard_at - at) < _NEAR_SECONDS for at in fillers if at is not None)


def _loudness(recording: Path) -> tuple[float, float]:
    """The level of each side while it sounds, in decibels below full scale."""
    with wave.open(str(recording)) as wav:
        samples = np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2").reshape(-1, 2).astype(np.float64)
    left, right = (_level(samples[:, side]) for side in (0, 1))
    return left, right


def _level(samples: NDArray[np.float64]) -> float:
    sounding = samples[np.abs(samples) > 100]
    if not len(sounding):
        return float("-inf")
    return 20 * math.log10(math.sqrt(float(np.mean(sounding**2))) / 32768)
