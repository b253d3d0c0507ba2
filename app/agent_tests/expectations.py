"""Compares a call with what was expected of it. Every kind of expectation can fail, and says at which turn and why."""

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.agent_tests.judge import Judge
from app.agent_tests.shape import Expectation, Question, is_pattern
from app.agent_tests.transcript import said_in
from app.errors import ProviderError
from app.journal.record import CallRecord, TurnRecord, call_record
from app.models import JournalRow


@dataclass(frozen=True, slots=True)
class Checked:
    """An expectation and whether it was met."""

    expectation: str
    """In words."""
    is_met: bool
    why: str = ""
    """What was found instead."""
    turn: int | None = None
    """The number of the turn at which it failed; None if it is about the call as a whole."""
    said: str = ""
    """What was said in that turn."""


@dataclass(frozen=True, slots=True)
class _Call:
    rows: Sequence[JournalRow]
    record: CallRecord
    judge: Judge

    @property
    def last_turn(self) -> int | None:
        return self.record.turns[-1].number if self.record.turns else None

    def agent_turns(self) -> Iterator[TurnRecord]:
        return (turn for turn in self.record.turns if turn.role == "assistant")

    def tool_calls(self, name: str) -> list[tuple[int | None, dict[str, Any]]]:
        """The turn and the arguments of each call of a tool that was run."""
        return [
            (row.turn, _arguments(row.data.get("arguments")))
            for row in self.rows
            if row.type == "agent.tool_called" and row.data.get("name") == name and not row.data.get("refused")
        ]


_GOES_ON_SECONDS = 1.0
"""A caller who says more so soon after the agent has begun had not finished."""

Found = tuple[bool, str, int | None]
"""Whether it is as expected; otherwise what was found, and in which turn."""


async def check(expectation: Expectation, rows: Sequence[JournalRow], judge: Judge) -> Checked:
    """Compare a call with one expectation. A judge that does not answer is a failure, too."""
    call = _Call(rows, call_record(rows), judge)
    try:
        is_met, why, turn = await _CHECKS[expectation.kind](expectation, call)
    except (ProviderError, ValueError) as error:
        reason = error.code if isinstance(error, ProviderError) else str(error)
        is_met, why, turn = False, f"the model that judges gave no answer: {reason}", None
    said = "" if is_met else said_in(call.record, turn)
    return Checked(described(expectation), is_met, "" if is_met else why, None if is_met else turn, said)


def described(expectation: Expectation) -> str:
    """The expectation in words."""
    kind = expectation.kind
    value = getattr(expectation, kind)
    if isinstance(value, Question):
        return f"{kind.replace('_', ' ')}: {value.judge}"
    if kind == "tool":
        arguments = f" {json.dumps(expectation.arguments, ensure_ascii=False)}" if expectation.arguments else ""
        times = f", {expectation.times} times" if expectation.times is not None else ""
        return f"tool {value}{arguments}{times}"
    shown = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
    return f"{kind.replace('_', ' ')}: {shown}"


async def _said(expectation: Expectation, call: _Call) -> Found:
    wanted = expectation.said
    if isinstance(wanted, Question):
        found = await call.judge.answer(wanted.judge, call.rows)
        return found.is_yes, found.reason, found.turn or call.last_turn
    is_said = any(_holds(turn.text, str(wanted)) for turn in call.agent_turns())
    return is_said, "the agent did not say it", call.last_turn


async def _not_said(expectation: Expectation, call: _Call) -> Found:
    wanted = expectation.not_said
    if isinstance(wanted, Question):
        found = await call.judge.answer(wanted.judge, call.rows)
        return not found.is_yes, found.reason, found.turn or call.last_turn
    turn = next((turn for turn in call.agent_turns() if _holds(turn.text, str(wanted))), None)
    return turn is None, "the agent said it", None if turn is None else turn.number


async def _tool(expectation: Expectation, call: _Call) -> Found:
    made = call.tool_calls(str(expectation.tool))
    fitting = [turn for turn, arguments in made if _fit(expectation.arguments, arguments)]
    wanted = expectation.times
    if fitting if wanted is None else len(fitting) == wanted:
        return True, "", None
    if not made:
        return False, "it was not called", call.last_turn
    if wanted is not None and fitting:
        return False, f"it was called {len(fitting)} times", fitting[-1]
    turn, arguments = made[-1]
    return False, f"it was called with {json.dumps(arguments, ensure_ascii=False)}", turn


async def _no_tool(expectation: Expectation, call: _Call) -> Found:
    made = call.tool_calls(str(expectation.no_tool))
    if not made:
        return True, "", None
    return False, f"it was called with {json.dumps(made[0][1], ensure_ascii=False)}", made[0][0]


async def _outcome(expectation: Expectation, call: _Call) -> Found:
    findings = await call.judge.findings(call.rows)
    for name, wanted in (expectation.outcome or {}).items():
        if name == "success":
            found: Any = findings.success
        elif name in findings.fields:
            found = findings.fields[name].value
        else:
            return False, f"the agent's outcome has no field {name}", None
        if not _equal(wanted, found):
            turn = findings.fields[name].turn if name in findings.fields else None
            return False, f"{name} is {json.dumps(found, ensure_ascii=False)}", turn or call.last_turn
    return True, "", None


async def _end_reason(expectation: Expectation, call: _Call) -> Found:
    reason = call.record.end_reason
    return reason == expectation.end_reason, f"the call ended as {reason}", call.last_turn


async def _latency(expectation: Expectation, call: _Call) -> Found:
    limit = expectation.latency or 0.0
    for turn in call.agent_turns():
        if turn.latency is not None and turn.latency["total"] > limit:
            return False, f"the answer took {turn.latency['total']:.3f} s", turn.number
    return True, "", None


async def _interrupts(expectation: Expectation, call: _Call) -> Found:
    turns = list(_interruptions(call.rows))
    limit = expectation.interrupts or 0
    if len(turns) <= limit:
        return True, "", None
    return False, f"the agent began to speak over the caller {len(turns)} times", turns[limit]


async def _turns(expectation: Expectation, call: _Call) -> Found:
    taken = [turn.number for turn in call.record.turns if turn.role == "user"]
    limit = expectation.turns or 0
    if len(taken) <= limit:
        return True, "", None
    return False, f"the caller needed {len(taken)} turns", taken[limit]


async def _cost(expectation: Expectation, call: _Call) -> Found:
    total = spent_usd(call.rows)
    if total is None:
        return False, "the price of the model is not known", call.last_turn
    limit = expectation.cost or 0.0
    if total <= limit:
        return True, "", None
    return False, f"the call cost ${total:.6f}", _turn_of_cost(call.rows, limit) or call.last_turn


_CHECKS: Mapping[str, Callable[[Expectation, _Call], Awaitable[Found]]] = {
    "said": _said,
    "not_said": _not_said,
    "tool": _tool,
    "no_tool": _no_tool,
    "outcome": _outcome,
    "end_reason": _end_reason,
    "latency": _latency,
    "interrupts": _interrupts,
    "turns": _turns,
    "cost": _cost,
}


def spent_usd(rows: Sequence[JournalRow]) -> float | None:
    """What the vendors of a call ask for, in US dollars; None if a price is not known."""
    costs = [row.data.get("cost") for row in rows if row.type == "provider.used"]
    return None if None in costs else float(sum(cost or 0.0 for cost in costs))


def _turn_of_cost(rows: Sequence[JournalRow], limit: float) -> int | None:
    """The turn in which the sum of the costs passed the limit."""
    spent = 0.0
    for row in rows:
        if row.type == "provider.used":
            spent += row.data.get("cost") or 0.0
            if spent > limit:
                return row.turn
    return None


def _interruptions(rows: Sequence[JournalRow]) -> Iterator[int]:
    """The turns whose answer began although the caller had not finished.

    They were speaking words, or went on with words within a second.
    """
    speaks, has_words = False, False
    began: tuple[float, int] | None = None
    """When the last answer began, and its turn, as long as the caller may show that they had not finished."""
    for row in rows:
        match row.type:
            case "caller.sound_started":
                speaks, has_words = True, False
                if began is not None and row.data["since_t"] - began[0] > _GOES_ON_SECONDS:
                    began = None
            case "caller.words":
                has_words = True
                if speaks and began is not None:
                    yield began[1]
                    began = None
            case "caller.sound_stopped" | "caller.turn_ended":
                speaks = False
            case "agent.reply_started" if row.data["kind"] == "reply":
                began = row.t, row.turn or 0
                if speaks and has_words:
                    yield began[1]
                    began = None
            case _:
                pass


def _holds(text: str, wanted: str) -> bool:
    if is_pattern(wanted):
        return re.search(wanted[1:-1], text, re.IGNORECASE) is not None
    return " ".join(wanted.casefold().split()) in " ".join(text.casefold().split())


def _fit(wanted: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    return all(name in given and _equal(value, given[name]) for name, value in wanted.items())


def _equal(wanted: Any, given: Any) -> bool:
    if isinstance(wanted, str) and is_pattern(wanted):
        return re.search(wanted[1:-1], str(given), re.IGNORECASE) is not None
    return bool(wanted == given)


def _arguments(text: Any) -> dict[str, Any]:
    try:
        read = json.loads(text or "{}")
    except (ValueError, TypeError):
        return {}
    return read if isinstance(read, dict) else {}
