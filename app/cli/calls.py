"""``voice-agent calls``: a list of calls, newest first, for an operator who looks for one."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.call_source import call_source, told
from app.clock import iso_utc, parse_iso
from app.observability.printable import printable
from app.storage.call_lists import CallFilter

_WIDTH = 180
_QUIET = ("none", "policy")
_NUMBERS = ("length", "answers p95", "unanswered")
_COLUMNS = ("call", "started (UTC)", "", "from", "to", "agent", "length", "end", "fault", *_NUMBERS[1:])


def wanted_calls(*, since: str | None, until: str | None, outcome: Sequence[str], **more: Any) -> CallFilter:
    """The filter of the options. Raises typer.BadParameter for a time or an outcome that is none."""
    fields = [part.partition("=") for part in outcome]
    if not all(name and value for name, _, value in fields):
        raise typer.BadParameter("--outcome takes the name of a field and its value, such as booked=true")
    found = {name: value for name, _, value in fields}
    return CallFilter(since=_moment("--since", since), until=_moment("--until", until), outcome=found, **more)


def calls_command(wanted: CallFilter, *, limit: int, as_json: bool, address: str | None) -> int:
    """Print the calls. Returns the exit status: 1 if they could not be read."""
    source = call_source(address)
    calls = told(lambda: source.list(wanted, limit))
    if calls is None:
        return 1
    if as_json:
        sys.stdout.write(json.dumps({"calls": list(calls)}, ensure_ascii=False, indent=2) + "\n")
        return 0
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(_table(calls) if calls else Text(f"There is no such call {source}."))
    return 0


def _table(calls: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name in _NUMBERS else "left")
    for call in calls:
        cells = [Text(printable(str(cell))) for cell in _cells(call)]
        table.add_row(*cells, style="" if call["fault"] in _QUIET and not _unanswered(call) else "red")
    return table


def _cells(call: Mapping[str, Any]) -> Sequence[Any]:
    seconds, p95 = call["duration_seconds"], call["latency"].get("total", {}).get("p95")
    return (
        call["call_id"],
        call["started_at"][:19].replace("T", " "),
        call["direction"],
        call["caller_number"] or "-",
        call["called_number"] or "-",
        call["agent"] or "-",
        "-" if seconds is None else f"{seconds:.0f} s",
        call["end_reason"] or call["status"],
        call["fault"],
        "-" if p95 is None else f"{p95:.2f} s",
        _unanswered(call) or "-",
    )


def _moment(option: str, text: str | None) -> str | None:
    try:
        return None if text is None else iso_utc(parse_iso(text))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"{option} is not an ISO 8601 time, such as 2026-11-22T10:00") from error


def _unanswered(call: Mapping[str, Any]) -> int:
    return int((call["unanswered"] or {}).get("count", 0))
