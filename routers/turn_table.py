"""A table of a call's turns as lines of text, with the latency of each answer by stage."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.observability.printable import printable

_STAGES = {
    "end_of_turn": "end of turn",
    "llm_first_token": "first token",
    "first_clause": "first clause",
    "tts_first_audio": "first audio",
    "playout": "playout",
    "total": "total",
}
_TEXT_SHOWN = 52


def turn_lines(turns: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each turn of the record, below a heading. Stages are in seconds. Empty without turns."""
    if not turns:
        return []
    heads = ["turn", "who", "what was heard", *_STAGES.values()]
    table = [heads, *map(_cells, turns)]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads))]
    text_columns = heads.index("what was heard")
    lines = [
        "  ".join(
            cell.ljust(width) if 0 < column <= text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    return [*lines, "stages of each answer in seconds; ✂: the caller interrupted"]


def _cells(turn: Mapping[str, Any]) -> list[str]:
    text = printable(turn["text"])
    shown = f"{text[:_TEXT_SHOWN]}…" if len(text) > _TEXT_SHOWN else text
    latency = turn["latency"] or {}
    return [
        str(turn["number"]),
        "caller" if turn["role"] == "user" else "agent",
        f"{shown} ✂" if turn["interrupted"] else shown,
        *(f"{latency[stage]:.3f}" if stage in latency else "" for stage in _STAGES),
    ]
