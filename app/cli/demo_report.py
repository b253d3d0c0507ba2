"""What a demo call was like: turns with their stages, costs, what the service added, and where the files are."""

import math
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from sandbox.call_report import CallReport

_STAGES = {
    "end_of_turn": "end of turn",
    "llm_first_token": "first token",
    "first_clause": "first clause",
    "tts_first_audio": "first audio",
    "playout": "playout",
    "total": "total",
}
_WIDTH = 140
_TEXT_SHOWN = 52


def print_report(record: dict[str, Any], report: CallReport, timings: list[dict[str, Any]], recording: Path) -> None:
    """Print it."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    console.print()
    console.print(_turns(record))
    costs = {name: value for name, value in record["costs"].items() if isinstance(value, float)}
    console.print("costs     " + ", ".join(f"{name} ${value:.5f}" for name, value in costs.items()))
    added = [] if _has_fillers(record) else added_latencies(report, timings)
    if added:
        ordered = [f"{seconds * 1000:.1f}" for seconds in sorted(added)]
        middle = ordered[(len(ordered) - 1) // 2]
        console.print(
            f"added     {middle} ms p50 ({', '.join(ordered)}): from the vendor's end of turn to the caller's ear, "
            "less the time the vendors took"
        )
    left, right = _loudness(recording)
    console.print(f"recording {recording} (caller left {left:.0f} dBFS, agent right {right:.0f} dBFS while sounding)")
    console.print(f"record    GET /calls/{record['call_id']}, kept in {recording.parent / 'calls.db'}")
    console.print(f"log       {recording.parent / 'service.log'}")


def added_latencies(report: CallReport, timings: list[dict[str, Any]]) -> list[float]:
    """For each answered turn the seconds that were neither the vendors' nor the caller's.

    ``timings`` are the sandbox's, on the same clock as ``report.ready_at``. A vendor that worked on the answer before
    the end of the turn was told took no time of the caller's.
    """
    ends = [timing["at"] for timing in timings if timing["event"] == "end_of_turn"]
    arrivals = [report.ready_at + at for at in report.arrivals]
    added = []
    for utterance in report.utterances:
        if utterance.answered_at is None:
            continue
        answered = report.ready_at + utterance.answered_at
        heard = min((abs(at - answered), at) for at in arrivals)[1] if arrivals else None
        ended = max((at for at in ends if heard is not None and at <= heard), default=None)
        if heard is not None and ended is not None:
            added.append(heard - ended - _taken_by_vendors(timings, ended, heard))
    return added


def _taken_by_vendors(timings: list[dict[str, Any]], ended: float, heard: float) -> float:
    """Of the answer that was heard: from request to the text of its first clause, from that text to its first sound."""
    before = [timing for timing in timings if timing["at"] <= heard]
    sound = _last(before, "cartesia", "first_audio", text=1)
    if sound is None:
        return 0.0
    clause = _first(before, "cartesia", "input", context_id=sound["context_id"]) or sound
    text = _last([item for item in before if item["at"] <= clause["at"]], "openai", "delta")
    request = _last([item for item in before if item["at"] <= clause["at"]], "openai", "request")
    took: float = max(0.0, sound["at"] - max(clause["at"], ended))
    if text is not None and request is not None:
        took += max(0.0, text["at"] - max(request["at"], ended))
    return took


def _first(timings: list[dict[str, Any]], vendor: str, event: str, **more: Any) -> dict[str, Any] | None:
    return _last(timings[::-1], vendor, event, **more)


def _last(timings: list[dict[str, Any]], vendor: str, event: str, **more: Any) -> dict[str, Any] | None:
    wanted = {"vendor": vendor, "event": event, **more}
    return next((item for item in reversed(timings) if wanted.items() <= item.items()), None)


def _has_fillers(record: dict[str, Any]) -> bool:
    """An answer that waited for the end of a filler says nothing of the service's speed."""
    return any((turn["latency"] or {}).get("filler_at") is not None for turn in record["turns"])


def _turns(record: dict[str, Any]) -> Table:
    table = Table(title=f"{record['call_id']}: {record['end_reason']}, {record['duration_seconds']:.1f} s")
    for name in ("turn", "who", "what was heard"):
        table.add_column(name)
    for name in _STAGES.values():
        table.add_column(name, justify="right")
    for turn in record["turns"]:
        text = " ".join(turn["text"].split())
        shown = f"{text[:_TEXT_SHOWN]}…" if len(text) > _TEXT_SHOWN else text
        who = "caller" if turn["role"] == "user" else "agent"
        latency = turn["latency"] or {}
        cells = [f"{latency[stage]:.3f}" if stage in latency else "" for stage in _STAGES]
        table.add_row(str(turn["number"]), who, f"{shown} ✂" if turn["interrupted"] else shown, *cells)
    return table


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
