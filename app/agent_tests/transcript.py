"""What was said and done in a call, as models read it."""

from collections.abc import Sequence

from app.journal.record import CallRecord, TurnRecord, call_record
from app.models import JournalRow


def transcript(rows: Sequence[JournalRow]) -> str:
    """One line for each turn, ``[2] caller: Hello?``, and for each tool. It holds no times and no ids."""
    record = call_record(rows)
    arguments = {row.data.get("id"): row.data.get("arguments") for row in rows if row.type == "agent.tool_called"}
    lines = [(turn.started_at, 0, _line(turn)) for turn in record.turns]
    lines += [
        (tool.called_at, 1, f"[{tool.number}] tool {tool.name} {arguments.get(tool.id) or ''}: {tool.outcome}")
        for tool in record.tools
    ]
    return "\n".join(line for _, _, line in sorted(lines, key=lambda each: each[:2]))


def being_said(rows: Sequence[JournalRow]) -> str:
    """The words of the agent that have begun and not ended; empty when the agent is silent."""
    clauses: dict[int, list[str]] = {}
    for row in rows:
        if row.type == "agent.clause_started":
            clauses.setdefault(row.data["speech"], []).append(row.data["text"])
        elif row.type in ("agent.finished", "agent.interrupted"):
            clauses.pop(row.data["speech"], None)
    return " ".join("".join(texts).strip() for texts in clauses.values())


def said_in(record: CallRecord, number: int | None) -> str:
    """What both sides said in that turn, for a report; the last words of the call without a turn."""
    of_turn = [turn for turn in record.turns if turn.number == number] if number is not None else record.turns[-2:]
    return " / ".join(_line(turn) for turn in of_turn)


def _line(turn: TurnRecord) -> str:
    return f"[{turn.number}] {'caller' if turn.role == 'user' else 'agent'}: {' '.join(turn.text.split())}"
