"""What came of a demo call: the visit that the clinic has, the typed outcome, and the webhook that reported it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.observability.printable import printable
from sandbox.clinic.clinic import ReceivedWebhook

EVENT = "call.analyzed"
"""The webhook that a demo waits for."""
_MUST_BE_KNOWN = ("day", "time", "patient", "telephone")
_VERIFIED = {"caller": "caller, who said yes", "keypad": "keypad", "tool": "tool"}


def problems(
    record: Mapping[str, Any], visits: Sequence[Mapping[str, Any]], webhook: ReceivedWebhook | None
) -> list[str]:
    """What is not as it should be after a booking; empty if all went well."""
    analysis: Mapping[str, Any] = record.get("analysis") or {}
    fields: Mapping[str, Any] = analysis.get("fields") or {}
    unknown = [name for name in _MUST_BE_KNOWN if not _is_proven(fields.get(name) or {})]
    end = record["end_reason"]
    checks = {
        f"The call ended by {end}, not by the agent's goodbye.": end == "agent_hangup",
        "No disclosure was heard.": record.get("disclosure_heard_at") is not None,
        f"The clinic has {len(visits)} visits, not one.": len(visits) == 1,
        f"The outcome does not say, with quote and turn: {', '.join(unknown)}.": not unknown,
        f"No webhook {EVENT} came with a signature that is right.": webhook is not None,
        "The webhook does not say what the record says.": webhook is None
        or webhook.message["data"].get("analysis") == record.get("analysis"),
    }
    return [problem for problem, is_fine in checks.items() if not is_fine]


def print_outcome(
    console: Console,
    record: Mapping[str, Any],
    visits: Sequence[Mapping[str, Any]],
    webhook: ReceivedWebhook | None,
    receiver: str,
) -> None:
    """Print the visit, the outcome with what speaks for each value, and the webhook. ``receiver`` is its address."""
    analysis: Mapping[str, Any] = record.get("analysis") or {}
    console.print()
    console.print(_table(analysis))
    console.print(Text(f"summary   {printable(analysis.get('summary') or '-')}"), soft_wrap=True)
    for visit in visits:
        booked = ", ".join(f"{name} {printable(str(value))}" for name, value in visit.items())
        console.print(Text(f"visit     {booked}: booked by the tool book_visit"), soft_wrap=True)
    if webhook is not None:
        console.print(Text(f"webhook   {webhook.message['type']}, {webhook.id}, sent to {receiver}"), soft_wrap=True)
        console.print("          standardwebhooks has verified its signature; it holds this outcome")


def _table(analysis: Mapping[str, Any]) -> Table:
    table = Table(title=f"outcome: {_word(analysis.get('success'))}; analysis {analysis.get('status', 'missing')}")
    for name in ("field", "value", "quote", "turn", "verified by"):
        table.add_column(name)
    for name, found in (analysis.get("fields") or {}).items():
        cells = (found["value"], found["quote"], found["turn"], _VERIFIED.get(found["verified_by"]))
        table.add_row(name, *(Text("-" if cell is None else printable(str(cell))) for cell in cells))
    return table


def _word(success: object) -> str:
    return "unknown" if success is None else "success" if success else "no success"


def _is_proven(field: Mapping[str, Any]) -> bool:
    return all(field.get(part) is not None for part in ("value", "quote", "turn"))
