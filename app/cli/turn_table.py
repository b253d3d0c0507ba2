"""A table of a call's turns, with the latency of each answer by stage."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from app.observability.printable import printable

_STAGES = {
    "end_of_turn": "end of turn",
    "llm_first_token": "time to first token",
    "first_clause": "first clause",
    "tts_first_audio": "time to first audio",
    "playout": "playout",
    "total": "total",
}
_TEXT_SHOWN = 52


def turn_table(title: str, turns: Sequence[dict[str, Any]]) -> Table:
    """A row for each turn of the record. Stages are in seconds."""
    table = Table(title=title, caption="stages of each answer in seconds; ✂: the caller interrupted")
    for name in ("turn", "who", "what was heard"):
        table.add_column(name)
    for name in _STAGES.values():
        table.add_column(name, justify="right")
    for turn in turns:
        text = printable(turn["text"])
        shown = f"{text[:_TEXT_SHOWN]}…" if len(text) > _TEXT_SHOWN else text
        who = "caller" if turn["role"] == "user" else "agent"
        latency = turn["latency"] or {}
        cells = [f"{latency[stage]:.3f}" if stage in latency else "" for stage in _STAGES]
        table.add_row(str(turn["number"]), who, Text(f"{shown} ✂" if turn["interrupted"] else shown), *cells)
    return table
